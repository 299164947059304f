/** The coordinator's process on a data directory that a kill or a bad disk has left: it starts, and says what it found. */
import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Deployment, succeed } from './support.js';

const RUN = { workload: 'cnn', scale: 'smoke', rounds: 2, seed: 1, clients: 1, cohort: 1 };

describe('a coordinator process', function () {
  this.timeout(180_000);
  let site: Deployment;

  beforeEach(async () => {
    site = await Deployment.open();
  });
  afterEach(() => site?.close());

  const startAgain = async () => {
    const args = ['coordinator', '--data-dir', site.dataDir, '--listen', '127.0.0.1:0', '--log-level', 'info'];
    const child = site.start(args, site.folder);
    await child.line(/listens on/);
    return child;
  };

  it('that is killed while a run is accepted starts again, with the run whole or not at all', async () => {
    const runs = join(site.dataDir, 'runs');
    await mkdir(runs, { recursive: true });
    let victim = site.coordinator;
    let known = 0;
    for (const moment of [/^\.new-/, /^cnn-/]) {
      const watcher = watch(runs);
      const killed = new Promise<void>((resolve) => {
        watcher.on('change', (_, name) => {
          if (moment.test(String(name))) resolve(victim.kill());
        });
      });
      await Promise.all([killed, site.run(RUN).catch(() => undefined)]); // nobody is left to answer it
      watcher.close();
      victim = await startAgain();
      const listed = JSON.parse(await site.operator('run', 'list', '--json')) as { run: string; status: string }[];
      assert.deepEqual((await readdir(runs)).sort(), listed.map(({ run }) => run).sort());
      assert.ok(listed.every(({ status }) => status === 'running'));
      assert.ok(listed.length - known <= 1);
      known = listed.length;
    }
    assert.ok(known >= 1, 'after its last step a run is there');
  });

  it('goes on without a run that is damaged, and says which file of it is wrong and what to do', async () => {
    const [bad, good] = [await site.run(RUN), await site.run(RUN)];
    await site.coordinator.kill();
    const journal = join(site.dataDir, 'runs', bad, 'journal.log');
    const bytes = await readFile(journal);
    bytes[3] ^= 0xff;
    await writeFile(journal, bytes);
    const child = await startAgain();
    const list = await site.operator('run', 'list');
    assert.match(list, new RegExp(`^${bad} .*damaged .*journal\\.log: .*next: starling run repair ${bad};`, 'm'));
    assert.match(list, new RegExp(`^${good} +cnn +running`, 'm'));
    const show = ['run', 'show', bad, '--data-dir', site.dataDir];
    assert.match(await succeed(show, { cwd: site.folder }), /damaged .*journal\.log: .*\ndirectory .*\n$/);
    bytes[3] ^= 0xff;
    await writeFile(journal, bytes);
    await child.kill();
    await startAgain();
    assert.match(
      await site.operator('run', 'list'),
      new RegExp(`^${bad} +cnn +running`, 'm'),
      'as it was, once mended',
    );
  });
});
