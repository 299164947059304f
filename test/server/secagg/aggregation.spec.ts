/** The shell of one secure aggregation: its times, what it says again, and which sums it believes. */
import assert from 'node:assert/strict';
import type { PlainContribution } from '../../../client/round/secagg-task.js';
import { SecureAggregation, type SecureOutcome } from '../../../server/secagg/aggregation.js';
import { type UnmaskJob, unmaskHere } from '../../../server/unmask-pool.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { ChannelSpec } from '../../../shared/tensors/channels.js';
import { FakeClock } from '../../support/fake-clock.js';
import { toySpec } from '../../support/toy.js';
import { planFor, SecureCohort, settled } from './cohort.js';

const NAMES = ['c3', 'c1', 'c2'];
const TRAINING_MS = 10_000;
const PHASE_MS = 1000;
const TIMES = { phaseDeadlineMs: PHASE_MS };

function open(plan: RoundPlan, unmask?: (job: UnmaskJob) => Promise<Int32Array>) {
  const clock = new FakeClock();
  const outcomes: SecureOutcome[] = [];
  const failures: string[] = [];
  const dropped: string[] = [];
  const cohort: SecureCohort = new SecureCohort((client, frame) => aggregation.receive(client, frame));
  const aggregation: SecureAggregation = new SecureAggregation(plan, {
    ...{ clock, rng: rngFromSeed(1), noise: rngFromSeed(2), deadlineMs: TRAINING_MS, ...(unmask && { unmask }) },
    listener: {
      send: (client, frame) => cohort.deliver(client, frame),
      dropped: (client, reason) => dropped.push(`${client} ${reason}`),
      done: (outcome) => outcomes.push(outcome),
      failed: (detail) => failures.push(detail),
    },
  });
  const enterAll = (given: PlainContribution) => {
    for (const name of NAMES) cohort.enter(name, plan, async () => given);
  };
  return { aggregation, clock, cohort, outcomes, failures, dropped, enterAll };
}

const ONES: PlainContribution = {
  values: new Float32Array(6).fill(1),
  weights: [2, 2],
  metrics: { loss: { sum: [2], count: 2 } },
};

describe('a secure aggregation', () => {
  it('ends in the sum over its survivors, sorted by name, and nothing times out afterwards', async () => {
    const { outcomes, clock, failures, enterAll } = open(planFor(NAMES));
    enterAll(ONES);
    await settled();
    const [{ survivors, mean, weights, pooled }] = outcomes;
    assert.deepEqual([survivors, weights, failures], [['c1', 'c2', 'c3'], [6, 6], []]);
    assert.ok(mean.length === 6 && mean.every((value) => Math.abs(value - 1) < 1e-3));
    assert.ok(Math.abs(pooled.loss.count - 6) < 1e-3);
    assert.equal(clock.waiting, 0);
  });

  it('waits the time of a phase from its beginning, whatever comes meanwhile, and the round’s for training', async () => {
    const { clock, cohort, failures, outcomes } = open(planFor(NAMES, { secure: TIMES }));
    const plan = planFor(NAMES, { secure: TIMES });
    let train = () => {};
    const trained = new Promise<PlainContribution>((resolve) => {
      train = () => resolve(ONES);
    });
    for (const [at, name] of NAMES.entries()) {
      clock.advance(at === 2 ? PHASE_MS - 1 : 0); // the last at the last moment
      cohort.enter(name, plan, () => trained);
      await settled();
    }
    assert.equal(cohort.says.filter((line) => / bundles$/.test(line)).length, 3);
    clock.advance(TRAINING_MS - 1);
    await settled();
    assert.deepEqual([failures, outcomes.length], [[], 0]);
    train();
    await settled();
    assert.equal(outcomes.length, 1);
  });

  it('is over when its time is, by a phase’s deadline that no frame has moved', async () => {
    const plan = planFor(NAMES, { secure: TIMES });
    const { clock, cohort, failures } = open(plan);
    clock.advance(PHASE_MS - 1);
    cohort.enter('c1', plan, async () => ONES);
    await settled();
    assert.deepEqual(failures, []);
    clock.advance(1);
    assert.deepEqual(failures, ['secure aggregation: cohort-too-small']);
    assert.equal(clock.waiting, 0);
  });

  it('ends the training of those who do not come back at the round’s deadline', async () => {
    const plan = planFor(NAMES, { secure: TIMES });
    const { clock, cohort, failures } = open(plan);
    for (const name of NAMES) cohort.enter(name, plan, () => new Promise(() => undefined));
    await settled();
    clock.advance(TRAINING_MS);
    assert.deepEqual(failures, ['secure aggregation: too-few-survivors']);
  });

  it('says again to who is back, and to nobody else', async () => {
    const plan = planFor(NAMES);
    const { aggregation, cohort } = open(plan);
    for (const name of NAMES) cohort.enter(name, plan, () => new Promise(() => undefined));
    await settled();
    const before = cohort.says.length;
    aggregation.resume('c1');
    assert.deepEqual(cohort.says.slice(before), ['to c1 bundles']);
  });

  it('of an evaluation has figures and no noise of the coordinator, whatever the run’s privacy', async () => {
    const privacy = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 3 } as const;
    const { outcomes, failures, enterAll } = open(planFor(NAMES, { kind: 'evaluate', work: { privacy } }));
    enterAll({ values: new Float32Array(0), weights: [], metrics: { loss: { sum: [2], count: 2 } } });
    await settled();
    assert.deepEqual([failures, outcomes[0]?.mean.length, outcomes[0]?.withinBound], [[], 0, undefined]);
    assert.ok(Math.abs(outcomes[0].pooled.loss.count - 6) < 0.1); // three times within a step of 2^-6
  });
});

describe('the weights of a sum', () => {
  const tensors = toySpec().work.model;
  const own: ChannelSpec = { name: 'update', tensors, reduce: 'mean', weight: 'per-tensor' };
  const plan = planFor(NAMES, { work: { phases: [{ name: 'train', channels: [own] }] } });
  // after six values the client's weight, 1 to 16 each, then one for each of two tensors, 0 to 16 each
  const cases: readonly [at: number, weight: number, isPossible: boolean][] = [
    [6, 2, false],
    [6, 3, true],
    [6, 48, true],
    [6, 49, false],
    [7, -1, false],
    [7, 0, true],
    [8, 48, true],
    [8, 49, false],
  ];
  for (const [at, weight, isPossible] of cases) {
    it(`${isPossible ? 'are' : 'cannot be'} ${weight} of 3 clients at ${at}: ${isPossible ? 'believed' : 'a failure'}`, async () => {
      const { outcomes, failures, enterAll } = open(plan, async (job) => unmaskHere(job).with(at, weight));
      enterAll(ONES);
      await settled();
      assert.deepEqual([outcomes.length, failures.length], isPossible ? [1, 0] : [0, 1]);
      if (!isPossible) assert.match(failures[0], /the weights of 3 clients add up to .*-?\d+/);
    });
  }
});

describe('masks that are being taken off', () => {
  function held() {
    const waiting: { resolve(sum: Int32Array): void; reject(error: Error): void }[] = [];
    const unmask = () => new Promise<Int32Array>((resolve, reject) => waiting.push({ resolve, reject }));
    return { waiting, unmask };
  }

  it('give nothing that anybody hears once the aggregation was cancelled', async () => {
    for (const end of ['resolve', 'reject'] as const) {
      const { waiting, unmask } = held();
      const { aggregation, outcomes, failures, enterAll } = open(planFor(NAMES), unmask);
      enterAll(ONES);
      await settled();
      assert.equal(waiting.length, 1);
      aggregation.cancel();
      if (end === 'resolve') waiting[0].resolve(new Int32Array(9).fill(3));
      else waiting[0].reject(new Error('the thread died'));
      await settled();
      assert.deepEqual([outcomes, failures], [[], []], end);
    }
  });

  it('and cannot be are a failure of the aggregation', async () => {
    const { waiting, unmask } = held();
    const { outcomes, failures, enterAll } = open(planFor(NAMES), unmask);
    enterAll(ONES);
    await settled();
    waiting[0].reject(new Error('the thread died'));
    await settled();
    assert.deepEqual([outcomes, failures], [[], ['secure aggregation: the thread died']]);
  });
});
