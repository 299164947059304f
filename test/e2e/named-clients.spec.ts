/** What an operator sees of single clients while a run goes on: who declined, who is silent, who is away, and what to do. */
import assert from 'node:assert/strict';
import { encode } from '../../shared/tensors/safetensors.js';
import { resolveForLabs } from '../../simulations/config/for-labs.js';
import type { Child } from '../../simulations/local-process.js';
import { Deployment, processesIn } from './support.js';

const SMOKE = { workload: 'cnn', scale: 'smoke', seed: 1, cohort: 3, 'min-survivors': 2 };
const TIME = '\\d\\d:\\d\\d:\\d\\d';

describe('the clients of a deployed run', function () {
  this.timeout(240_000);
  let site: Deployment;
  /** Of the lab that each test does something to. */
  let lab: Child;

  before(async () => {
    site = await Deployment.open(undefined, 'info');
    for (const name of ['lab-2', 'lab-3']) await site.openLab(name);
    lab = await site.openLab('lab-1');
  });

  after(() => site?.close());

  /** A run in which a lab is there, and will not answer: soon enough after that for nobody to miss it. */
  async function silentRun(config: object): Promise<string> {
    const { spec, model } = await resolveForLabs(
      { ...SMOKE, 'secure-aggregation': false, rounds: 1, ...config },
      'run.yaml',
    );
    const [pid] = (await processesIn(site.home('lab-1'))).map((line) => Number(line.split(' ')[0]));
    return site.withAdmin((admin) => {
      process.kill(pid, 'SIGSTOP');
      return admin.startRun(spec, encode(model));
    });
  }

  async function back(rules = ''): Promise<void> {
    lab = site.start(['client', 'run', '--policy', await site.openPolicy(rules)], site.home('lab-1'));
    await lab.line(/connected/);
  }

  const watch = (run: string) => site.start(['run', 'watch', run, '--data-dir', site.dataDir], site.folder);
  const listed = () => site.operator('run', 'list');

  it('are named when one is silent and when it is away, since when and until when; the round takes it when it is back', async () => {
    const run = await silentRun({ 'offline-wait-ms': 500_000 });
    const watched = watch(run);
    const ends = `2 of 3 done, round ends at ${TIME} at the latest`;
    const silent = new RegExp(`waiting for lab-1(?: \\(offline since ${TIME}\\))?, ${ends}`); // a slow machine misses it
    await watched.line(silent);
    assert.match(await listed(), silent);

    await lab.kill();
    const away = new RegExp(`waiting for lab-1 \\(offline since ${TIME}\\), ${ends}`);
    await watched.line(away);
    await site.coordinator.line(away, 'log');
    assert.match(await listed(), away);
    assert.match(await site.operator('client', 'list'), new RegExp(`^lab-1 +offline +${TIME} +approved$`, 'm'));

    await back();
    await site.follow(run);
    assert.equal((await site.show(run)).report.rounds[0].survivors, 3);
    await watched.line(/^each of 3 clients took part in 1 of 1 round$/);
  });

  it('that are away cost a round no more than their own wait', async () => {
    const run = await silentRun({ 'deadline-ms': 100_000_000, 'offline-wait-ms': 1 });
    await site.follow(run, (event) => event.kind === 'waiting-for' && event.done === 2);
    await lab.kill();
    const events = await site.follow(run); // a day later it would be over, too
    const ended = events.at(-1)!;
    assert.equal(ended.kind === 'ended' && ended.status, 'completed');
    const { report } = await site.show(run);
    assert.equal(report.rounds[0].survivors, 2);
    assert.match(
      JSON.stringify(report.rounds[0].dropped),
      /"client":"lab-1","reason":"deadline","detail":"offline since /,
    );
    assert.deepEqual(ended.kind === 'ended' && ended.shares, {
      clients: [
        { client: 'lab-1', took: 0 },
        { client: 'lab-2', took: 1 },
        { client: 'lab-3', took: 1 },
      ],
      more: 0,
    });
  });

  it('are named when one declines, with what to do; it is asked again when its policy has changed', async () => {
    await back('max-local-epochs: 1\n');
    const run = await site.run({ ...SMOKE, rounds: 2, 'local-epochs': 3 });
    const reason = 'policy: max-local-epochs: expected at most 1, got 3';
    const wayOut = new RegExp(
      `lab-1 declined this run: ${reason}; min-clients 3 can no longer be met: stop it, or set min-clients 2`,
    );
    const watched = watch(run);
    await watched.line(wayOut);
    assert.match(await listed(), wayOut);
    await site.coordinator.line(wayOut, 'log');
    await site.coordinator.line(/"client":"lab-1".*"detail":"policy: max-local-epochs.*lab-1 declined this run/, 'log');
    assert.ok((await lab.line(/^lab-1: plan declined /)).includes(reason));
    const clients = await site.operator('client', 'list');
    assert.match(
      clients,
      new RegExp(`^lab-1 +online +${TIME} +approved +refused: ${reason}.* \\(run ${run}, round 1\\)$`, 'm'),
    );
    assert.match(clients, new RegExp(`^lab-3 +online +${TIME} +approved$`, 'm'));

    await lab.end();
    await back();
    await site.follow(run);
    const { status, report } = await site.show(run);
    assert.equal(status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ survivors }) => survivors),
      [2, 3],
    );
    await watched.line(/^lab-1 took part in 1 of 2 rounds$/);
  });
});
