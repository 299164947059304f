/** A supervisor starts a lab by one command each time: it joins at the first start, and is the same lab at all others. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Deployment } from './support.js';

describe('client run --name NAME --token-file FILE', function () {
  this.timeout(60_000);
  let site: Deployment;

  beforeEach(async () => {
    site = await Deployment.open();
  });

  afterEach(() => site?.close());

  it('joins once: killed and started again by the same command, it is the same client, though its token is used up', async () => {
    const token = join(site.folder, 'token');
    await writeFile(token, await site.operator('token', 'create', '--name', 'charite'));
    const command = ['client', 'run', '--name', 'charite', '--token-file', token, '--policy', await site.openPolicy()];
    const home = site.home('charite');
    const key = () => readFile(join(home, 'clients', 'charite', 'identity.key'), 'hex');

    const first = site.start(command, home);
    await first.line(/connected/);
    const joinedKey = await key();
    await first.kill();
    await site.start(command, home).line(/connected/);

    assert.equal(await key(), joinedKey);
    assert.deepEqual(Object.keys(JSON.parse(await site.operator('token', 'enrolled'))), ['charite']);
  });
});
