/** What is left of one secure aggregation when the next begins, and what groups have in common and what not. */
import assert from 'node:assert/strict';
import type { PlainContribution } from '../../../client/round/secagg-task.js';
import { CurrentAggregation } from '../../../server/secagg/current.js';
import { GroupedAggregation } from '../../../server/secagg/grouped.js';
import { unmaskHere } from '../../../server/unmask-pool.js';
import { parseAggregator } from '../../../server/updates/aggregator.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import { encodePrivately } from '../../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import { groupPlansOf } from '../../../shared/run/secagg-groups.js';
import { FakeClock } from '../../support/fake-clock.js';
import { toySpec } from '../../support/toy.js';
import { planFor, SecureCohort, settled } from './cohort.js';

const NAMES = ['c1', 'c2', 'c3'];
const ONES: PlainContribution = {
  values: new Float32Array(6).fill(1),
  weights: [1, 1],
  metrics: { loss: { sum: [2], count: 2 } },
};

describe('a round and its evaluation', () => {
  it('do not take each other’s sums and proofs, and a sum is taken once', async () => {
    const posted: string[] = [];
    const cohort: SecureCohort = new SecureCohort((client, frame) => current.receive(client, frame));
    const current: CurrentAggregation = new CurrentAggregation({
      ...{ clock: new FakeClock(), rng: rngFromSeed(1), unmasking: { unmask: async (job) => unmaskHere(job) } },
      engine: { ...toySpec().engine, minSurvivors: 3 },
      send: (client, _, frame) => cohort.deliver(client, frame),
      post: (event) => posted.push(event.kind === 'secured' ? `secured ${event.survivors.join()}` : event.kind),
    });
    const play = async (plan: RoundPlan, given: PlainContribution) => {
      current.open(plan, rngFromSeed(2));
      for (const name of Object.keys(plan.secure!.enrolled)) cohort.enter(name, plan, async () => given);
      await settled();
    };
    await play(planFor(NAMES), ONES);
    const { proofs } = current;
    assert.equal(proofs?.length, 1);
    // the least survivors of a round are not those of an evaluation, in which fewer may be asked
    current.cancel();
    const figures = { values: new Float32Array(0), weights: [], metrics: ONES.metrics };
    const evaluation = planFor(NAMES, { kind: 'evaluate' });
    current.open(evaluation, rngFromSeed(2));
    for (const name of NAMES) cohort.enter(name, evaluation, async () => figures);
    await settled();
    assert.deepEqual(posted, ['secured c1,c2,c3', 'secured c1,c2,c3'], posted.join('; '));
    assert.equal(current.proofs, proofs);
    const sum = current.takeSum();
    assert.ok(sum?.mean.values.length === 6 && sum.mean.values.every((value) => Math.abs(value - 1) < 1e-3));
    assert.equal(current.takeSum(), undefined);
  });

  it('judges with fewer than a round needs', async () => {
    const posted: string[] = [];
    const cohort: SecureCohort = new SecureCohort((client, frame) => current.receive(client, frame));
    const current: CurrentAggregation = new CurrentAggregation({
      ...{ clock: new FakeClock(), rng: rngFromSeed(1), unmasking: { unmask: async (job) => unmaskHere(job) } },
      engine: { ...toySpec().engine, minSurvivors: 4 },
      send: (client, _, frame) => cohort.deliver(client, frame),
      post: (event) => posted.push(event.kind),
    });
    for (const kind of ['evaluate', 'train'] as const) {
      const plan = planFor(NAMES, { kind });
      current.open(plan, rngFromSeed(2));
      const given = kind === 'train' ? ONES : { values: new Float32Array(0), weights: [], metrics: ONES.metrics };
      for (const name of NAMES) cohort.enter(name, plan, async () => given);
      await settled();
    }
    assert.deepEqual(posted, ['secured', 'unsecured']);
  });
});

describe('groups of one cohort', () => {
  const SIX = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];

  async function summed(
    plan: RoundPlan,
    {
      contribute,
      aggregator = 'mean',
      minSurvivors = 6,
      noise = rngFromSeed(2),
    }: {
      readonly contribute: (name: string) => PlainContribution;
      readonly aggregator?: string;
      readonly minSurvivors?: number;
      readonly noise?: Rng;
    },
  ) {
    const outcomes: Parameters<ConstructorParameters<typeof GroupedAggregation>[1]['listener']['done']>[0][] = [];
    const failures: string[] = [];
    const cohort: SecureCohort = new SecureCohort((client, frame) => grouped.receive(client, frame));
    const grouped: GroupedAggregation = new GroupedAggregation(plan, {
      ...{ clock: new FakeClock(), rng: rngFromSeed(1), noise, deadlineMs: 1000, minSurvivors },
      aggregator: parseAggregator(aggregator),
      listener: {
        send: (client, frame) => cohort.deliver(client, frame),
        dropped: () => undefined,
        done: (outcome) => outcomes.push(outcome),
        failed: (detail) => failures.push(detail),
      },
    });
    for (const name of SIX) cohort.enter(name, plan, async () => contribute(name));
    await settled();
    return { outcomes, failures };
  }

  const grouped = { secure: { groupSize: 3, survivorsMin: 2 } };

  it('need the least survivors of all groups together, and no more', async () => {
    const exact = await summed(planFor(SIX, grouped), { contribute: () => ONES });
    assert.deepEqual([exact.outcomes.length, exact.failures], [1, []]);
    const more = await summed(planFor(SIX, grouped), { contribute: () => ONES, minSurvivors: 7 });
    assert.deepEqual(more.failures, ['6 of at least 7 survivors']);
  });

  it('judge together: the figures of an evaluation are added up under any aggregator', async () => {
    const figures = { values: new Float32Array(0), weights: [], metrics: ONES.metrics };
    const plan = planFor(SIX, { kind: 'evaluate', ...grouped });
    const { outcomes, failures } = await summed(plan, { contribute: () => figures, aggregator: 'median' });
    assert.deepEqual(failures, []);
    assert.ok(Math.abs(outcomes[0].pooled.loss.count - 12) < 1e-3);
  });

  it('have noise and randomness of their own', async () => {
    const labels: string[] = [];
    const noise = rngFromSeed(2);
    const split = noise.split.bind(noise);
    noise.split = (label: string) => {
      labels.push(label);
      return split(label);
    };
    const { outcomes } = await summed(planFor(SIX, grouped), { contribute: () => ONES, noise });
    assert.deepEqual([outcomes.length, labels], [1, ['group/0', 'group/1']]);
  });

  it('count the signs of all, from which the clipping bound follows', async () => {
    const bound = { clippingBound: 100, noiseMultiplier: 0.01, delta: 1e-5, cohortMax: 6, adaptive: true };
    const privacy = { mode: 'distributed', ...bound } as const;
    const plan = planFor(SIX, { ...grouped, work: { privacy } });
    const plans = groupPlansOf(plan);
    const { outcomes, failures } = await summed(plan, {
      contribute: (name) => {
        const own = plans.find(({ secure }) => secure!.enrolled[name])!;
        const values = Float32Array.from(encodePrivately(own, new Float32Array(6).fill(1), rngFromSeed(3).split(name)));
        return { values, weights: [1, 1, 1], metrics: {} };
      },
    });
    assert.deepEqual(failures, []);
    // six updates far within the bound: +6, with noise of less than one
    assert.ok(outcomes[0].withinBound! > 4.5 && outcomes[0].withinBound! < 7.5, `${outcomes[0].withinBound}`);
  });
});
