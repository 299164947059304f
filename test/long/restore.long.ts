/**
 * A machine that is lost, on real processes: a backup that was taken while the coordinator worked, kill -9, the data gone,
 * restored. A run of which nothing is forgotten goes on to the model of an undisturbed one; of one that its labs have seen
 * further along, the coordinator says so and ends it, and a new run starts from the model that it has.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child } from '../../simulations/local-process.js';
import { Deployment, starling, succeed } from '../e2e/support.js';

const LABS = 3;
const RUN = {
  workload: 'cnn',
  scale: 'smoke',
  clients: LABS,
  cohort: LABS,
  'secure-aggregation': true,
  'adversary-fraction': 0,
};

describe('a coordinator whose machine is lost', function () {
  this.timeout(240_000);
  let site: Deployment;
  let listen: string;
  let coordinator: Child;
  const labs: Child[] = [];
  const at = (name: string) => join(site.folder, name);
  const policy = (first = '') => site.openPolicy(`min-survivors: 2\nadversary-fraction: 0\n${first}`);

  before(async () => {
    site = await Deployment.open();
    coordinator = site.coordinator;
    listen = (await readFile(join(site.dataDir, 'address'), 'utf8')).trim();
    for (let i = 1; i <= LABS; i++) {
      labs.push(await site.lab(`c${i}`, '--policy', await policy(), '--slice', `${i}/${LABS}`));
    }
  });

  after(() => site?.close());

  const backUp = (name: string) => succeed(['backup', site.dataDir, '--to', at(name)], { cwd: site.folder });

  async function loseAndRestore(name: string): Promise<string> {
    await coordinator.kill();
    await rm(site.dataDir, { recursive: true });
    const said = await succeed(['restore', at(name), '--to', site.dataDir], { cwd: site.folder });
    const args = ['coordinator', '--data-dir', site.dataDir, '--listen', listen, '--log-level', 'info'];
    coordinator = site.start(args, site.folder);
    await coordinator.line(/listens on/);
    return said;
  }

  it('goes on from a backup of which nothing is forgotten', async () => {
    const run = await site.run({ ...RUN, rounds: 3, 'min-clients': LABS + 1, seed: 3 }); // it waits for a fourth
    const said = await backUp('early');
    assert.match(said, new RegExp(`1 runs, .*\n${run}  running  round 1\n$`));
    await loseAndRestore('early');
    const fourth = await site.lab('c4', '--policy', await policy(), '--slice', '1/3');
    await site.follow(run);
    const { status, reason, directory } = await site.show(run);
    assert.deepEqual([status, reason], ['completed', '']);
    assert.match(await succeed(['verify', directory], { cwd: site.folder }), /3 rounds/);
    await fourth.end();
  });

  it('ends a run whose labs are ahead, says so to its operator, and starts anew from the model that it has', async () => {
    const run = await site.run({ ...RUN, rounds: 1_000, seed: 4 });
    await site.follow(run, (event) => event.kind === 'round-ended' && event.summary.round === 1);
    await backUp('late'); // while the run goes on: of how many rounds it knows is not for this test to say
    const most = (await site.show(run)).report.rounds.length;
    await site.follow(run, (event) => event.kind === 'round-ended' && event.summary.round >= most + 2);
    await site.operator('run', 'stop', run);
    await loseAndRestore('late');
    await site.follow(run);
    const { status, reason, directory } = await site.show(run);
    assert.equal(status, 'failed');
    const [, forgotten, known, model] =
      /^round (\d+) is in a model, .* which c\d has shown; these data know of (\d+): .*initial-model: (models\/[0-9a-f]{64}\.safetensors) of this run's folder/.exec(
        reason,
      )!;
    assert.ok(Number(forgotten) >= most + 2 && Number(known) >= 1 && Number(known) <= most, reason);
    const resumed = await starling(['run', 'resume', run, '--data-dir', site.dataDir], { cwd: site.folder });
    assert.equal(resumed.code, 1);
    assert.match(resumed.stderr, /round \d+ is in a model/);
    assert.match(await succeed(['run', 'list', '--data-dir', site.dataDir], { cwd: site.folder }), /failed/);

    const heads = (await readdir(site.home('c1'), { recursive: true })).find((name) =>
      name.endsWith('ledger-heads.jsonl'),
    )!;
    const ledger = await starling(['verify', directory, '--against', join(site.home('c1'), heads)], {
      cwd: site.folder,
    });
    assert.doesNotMatch(ledger.stdout + ledger.stderr, /two different lines/, 'no round was signed twice');

    const sha256 = model.slice('models/'.length, -'.safetensors'.length);
    for (const [i, lab] of labs.entries()) {
      await lab.end();
      const args = [
        'client',
        'run',
        '--policy',
        await policy(`first-model: ${sha256}\n`),
        '--slice',
        `${i + 1}/${LABS}`,
      ];
      await site.start(args, site.home(`c${i + 1}`)).line(/connected/);
    }
    // the same labs: a sum of this model was opened, and one over other labs could be held against it
    const next = await site.run({ ...RUN, rounds: 2, seed: 5, 'initial-model': join(directory, model) });
    await site.follow(next);
    const { report } = await site.show(next);
    assert.deepEqual([report.status, report.rounds.map(({ survivors }) => survivors)], ['completed', [3, 3]]);
  });
});
