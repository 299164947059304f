/** The shell of a run over a disk that a test holds: in which order things become durable and are said, and what an end ends. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelStore } from '../../../server/journal/models.js';
import type { RunRecord } from '../../../server/journal/records.js';
import { initialState } from '../../../server/round/state.js';
import { CommittedRounds } from '../../../server/run/committed.js';
import { Run } from '../../../server/run/run.js';
import { parseStrategy } from '../../../server/strategies/index.js';
import type { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RunEvent } from '../../../shared/run/events.js';
import { type RunSpec, storedSpec } from '../../../shared/run/spec.js';
import { bytesOf, sha256Of } from '../../../shared/tensors/bytes.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { keyOf, SECURE } from '../../secure/hostile-coordinator.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { coordinatorIdentity } from '../../support/peer.js';
import { TOY_SIZE, toyModel, toySpec } from '../../support/toy.js';

const NAMES = ['c1', 'c2', 'c3'];

function specOf(secure: boolean, overrides: Partial<RunSpec['engine']>): RunSpec {
  const clients = { cohort: 3, minClients: 3, minSurvivors: 2, evaluateEvery: 0, maxAttempts: 1 };
  const { work, engine } = toySpec({ rounds: 2, ...clients, ...overrides });
  return { work: secure ? { ...work, secure: SECURE } : work, engine };
}

describe('the shell of a run', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-shell-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** @param step how far an update moves the model */
  async function open({
    secure = false,
    step = 1,
    engine = {},
  }: {
    secure?: boolean;
    step?: number;
    engine?: Partial<RunSpec['engine']>;
  } = {}) {
    const log: string[] = [];
    const records: RunRecord[] = [];
    const kept: string[][] = [];
    const fatal: FlError[] = [];
    const emitted: RunEvent[] = [];
    let held: Promise<void> | undefined;
    const clock = new FakeClock();
    const params = toyModel();
    const first = sha256Of(params);
    const models = {
      put: async (_: Uint8Array, sha256: string) => void log.push(sha256 === first ? 'disk first model' : 'disk model'),
      setFinal: async () => void log.push('disk final model'),
      async prune(keep: ReadonlySet<string>) {
        kept.push([...keep]);
        return [];
      },
    } as unknown as ModelStore;
    const spec = specOf(secure, engine);
    const strategy = parseStrategy(`fed-avg:lr=${step}`);
    const run: Run = new Run(
      {
        ...{ clock, directory, models, strategy, identity: coordinatorIdentity, rng: rngFromSeed(1) },
        journal: {
          async append(record) {
            const { kind } = record as RunRecord;
            if (kind === 'committed') await held;
            records.push(record as RunRecord);
            log.push(`disk ${kind}`);
          },
          close: async () => undefined,
          compact: async () => undefined,
        },
        ledger: {
          async append({ round }) {
            log.push('disk ledger line');
            return { run: 'r', round, lineSha256: 'a'.repeat(64) };
          },
          end: { round: 0, lineSha256: '', modelSha256: '', sizeBytes: 0 },
        },
        noise: { noiseOf: () => rngFromSeed(1), erase: async () => void log.push('noise erased') },
        keysOf: (names) => Object.fromEntries(names.map((name) => [name, keyOf(name)])),
        unmasking: { unmask: () => assert.fail('nothing is masked') },
        send: (client, { kind }) => void log.push(`to ${client}: ${kind}`),
        fatal: (error) => fatal.push(error),
      },
      {
        ...{ spec, createdAtMs: 0, state: initialState('r', storedSpec(spec).engine, first) },
        ...{ committed: new CommittedRounds([]), pastRounds: 0 },
        model: { sha256: first, params, file: encode(params), strategyState: strategy.init(TOY_SIZE) },
      },
    );
    run.feed.subscribe((event) => void emitted.push(event));
    for (const client of NAMES) run.post({ kind: 'online', client });
    await run.idle();
    const hold = () => {
      let release = () => {};
      held = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    };
    const updateOf = (value: number) => {
      const { round, attempt } = run.state;
      const values = new Float32Array(TOY_SIZE).fill(value);
      const about = { run: 'r', round, attempt, weights: [1, 1], metrics: {} };
      return { values, header: { ...about, sha256: sha256Of({ values }), sizeBytes: values.byteLength } };
    };
    const bring = async (value: number) => {
      const { header, values } = updateOf(value);
      for (const client of NAMES) void run.updates.offer(client, header, bytesOf(values));
      for (let i = 0; i < 5; i++) await turns();
    };
    const judge = async () => {
      const { round, attempt } = run.state;
      const task = { run: 'r', kind: 'evaluate', round, attempt } as const;
      for (const client of NAMES) run.post({ kind: 'evaluated', client, task, metrics: {} });
      await run.idle();
    };
    return { run, log, records, kept, fatal, emitted, clock, hold, updateOf, bring, judge, first };
  }

  for (const way of ['header', 'bytes']) {
    it(`says of an update that comes again while its round is being written down nothing that a crash could undo (by its ${way})`, async () => {
      const { run, log, hold, updateOf, bring } = await open();
      const { header, values } = updateOf(1);
      const release = hold();
      await bring(1);
      log.length = 0;
      const again =
        way === 'header' ? run.updates.answerHeader('c1', header) : run.updates.offer('c1', header, bytesOf(values));
      const said = again.then((reply) => void log.push(`reply ${reply?.outcome}`));
      for (let i = 0; i < 5; i++) await turns();
      assert.deepEqual([...log], [], 'whoever has this receipt forgets its update');
      release();
      await Promise.all([said, run.idle()]);
      assert.equal(log[0], 'disk committed');
      assert.ok(log.includes('reply accepted'));
    });
  }

  it('makes model, journal, ledger line durable in this order, and says heads and receipts last', async () => {
    const { run, log, hold, bring, first } = await open();
    log.length = 0;
    const release = hold();
    await bring(1);
    assert.deepEqual(log, ['disk model']);
    assert.equal(run.model.sha256, first, 'not the run’s before its round is committed');
    release();
    await run.idle();
    const said = (kind: string) => NAMES.map((name) => `to ${name}: ${kind}`);
    const whole = ['disk model', 'disk committed', 'disk ledger line', ...said('ledger-head'), ...said('receipt')];
    assert.deepEqual(log.slice(0, whole.length), whole);
    assert.notEqual(run.model.sha256, first);
  });

  it('counts traffic by rounds, and keeps the model of now and the one before', async () => {
    const { run, records, kept, bring, judge, first } = await open();
    run.traffic.up += 5;
    await bring(1);
    await run.idle();
    const second = run.model.sha256;
    await bring(2);
    await judge();
    const ended = records.flatMap((record) => (record.kind === 'round-ended' ? [record.summary] : []));
    assert.deepEqual(
      ended.map(({ bytesUp }) => bytesUp),
      [5, 0],
    );
    assert.equal(2 * ended[0].bytesDown, ended[1].bytesDown, 'three plans with their model, and three to judge it');
    assert.deepEqual(kept, [
      [second, first],
      [run.model.sha256, second],
    ]);
  });

  it('erases its noise once it is completed, and keeps it when it was stopped or failed', async () => {
    const whole = await open();
    for (const value of [1, 2]) await whole.bring(value);
    await whole.judge();
    assert.equal(whole.run.state.status, 'completed');
    assert.deepEqual(whole.log.slice(-2), ['disk ended', 'noise erased']);
    for (const status of ['stopped', 'failed'] as const) {
      const { run, log } = await open();
      run.post({ kind: 'stop', status, reason: 'lunch' });
      await run.idle();
      assert.ok(log.includes('disk ended') && !log.includes('noise erased'));
    }
  });

  it('fails alone when its model diverges: that is no fault of the coordinator', async () => {
    const { run, fatal, bring } = await open({ step: 1e30 });
    await bring(1e10); // 1e40 is beyond float32
    await run.idle();
    assert.deepEqual(fatal, []);
    assert.equal(run.state.status, 'failed');
    assert.match(run.state.reason, /^round 1: the new model is not finite at element 0$/);
  });

  it('waits for nothing once it has ended, neither for a round nor for an aggregation', async () => {
    for (const secure of [false, true]) {
      const { run, clock } = await open({ secure });
      assert.equal(clock.waiting, secure ? 2 : 1);
      run.post({ kind: 'stop', status: 'stopped', reason: 'lunch' });
      await run.idle();
      assert.equal(clock.waiting, 0);
    }
  });

  it('tells a client that comes back while its round is being closed what became of the update that it keeps', async () => {
    // two of three are enough: the third is away when the second update is in the queue, and here before its turn comes
    const { run, log } = await open({ engine: { cohort: 2, overSelection: 0.5 } });
    const values = new Float32Array(TOY_SIZE).fill(1);
    const about = { run: 'r', round: 1, attempt: 1, sha256: sha256Of({ values }) };
    run.post({ kind: 'offline', client: 'c3' });
    await run.idle();
    log.length = 0;
    for (const client of ['c1', 'c2']) {
      const header = { ...about, sizeBytes: values.byteLength, weights: [1, 1], metrics: {} };
      void run.updates.offer(client, header, bytesOf(values));
    }
    run.enter('c3', [about]);
    for (let i = 0; i < 5; i++) await turns();
    await run.idle();
    assert.ok(log.includes('to c3: receipt'), log.join('; '));
  });

  it('takes a frame for the task of now alone', async () => {
    const { run, emitted } = await open({ secure: true });
    const dropped = () => emitted.flatMap((event) => (event.kind === 'dropped' ? [event.client] : []));
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    const malformed = new Uint8Array(3);
    for (const other of [
      { ...task, attempt: 2 },
      { ...task, round: 2 },
      { ...task, kind: 'evaluate' as const },
    ]) {
      run.receiveSecure('c1', other, malformed);
    }
    run.receiveSecure('stranger', task, malformed);
    await run.idle();
    assert.deepEqual(dropped(), []);
    run.receiveSecure('c1', task, malformed);
    await run.idle();
    assert.deepEqual(dropped(), ['c1']);
    run.post({ kind: 'stop', status: 'stopped', reason: 'lunch' });
    await run.idle();
  });
});
