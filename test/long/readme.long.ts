/**
 * README's sections for operator and lab member, typed as they stand on two machines with the addresses that they have there:
 * a hub, and a lab behind a router.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CLI } from '../../simulations/local-process.js';
import { HUB, PageWalk } from './page-walk.js';

const LAB = 'lab.example.org';

describe('README on two machines', function () {
  this.timeout(1_500_000);
  this.bail(true);
  let walk: PageWalk;

  before(async () => {
    walk = await PageWalk.open('README.md', { sections: ['The operator', 'The lab member'] });
  });

  after(() => walk?.close());

  const asked = (...args: string[]) =>
    walk.network.on(HUB, process.execPath, CLI, ...args, '--data-dir', join(walk.hub.folder, 'coordinator'));

  it("has the operator's run end as completed, by labs of the other machine", async () => {
    await walk.through('run list');
    const [run] = (await readFile(join(walk.hub.folder, 'started'), 'utf8')).split(':');
    assert.equal(JSON.parse(asked('run', 'show', run, '--json')).status, 'completed');
    assert.deepEqual(await keysAt(HUB), [], 'no lab is on the machine of the hub');
  });

  it('has the lab member take part, with a key that only its machine has', async () => {
    await walk.toTheEnd();
    await walk.person(LAB).line('tum.log', /tum: connected/);
    const clients = JSON.parse(asked('client', 'list', '--json')) as { name: string; online: boolean }[];
    const online = clients.filter(({ online }) => online).map(({ name }) => name);
    assert.deepEqual(online.sort(), ['lab-1', 'lab-2', 'lab-3', 'tum']);
    assert.ok((await keysAt(LAB)).includes('tum'));
  });

  /** Clients that have a key on that machine. */
  async function keysAt(machine: string): Promise<string[]> {
    const clients = join(walk.person(machine).folder, 'home', 'clients');
    const files = await readdir(clients, { recursive: true }).catch(() => []); // nobody has joined there
    return files.filter((file) => file.endsWith('identity.key')).map((file) => dirname(file));
  }
});
