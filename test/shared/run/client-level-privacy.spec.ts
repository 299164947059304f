import assert from 'node:assert/strict';
import { rngFromSeed } from '../../../shared/rng.js';
import {
  adaptedBound,
  decodePrivately,
  encodePrivately,
  latticeFor,
} from '../../../shared/run/client-level-privacy.js';
import { checkPrivacySpec, costOf, epsilonAfter } from '../../../shared/run/privacy-cost.js';
import type { PrivacySpec, RunSpec, WorkSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';

const SIZE = 500;
const MODEL = [{ name: 'w', shape: [SIZE] }];
const SECURE = {
  valueRange: 1,
  weightCap: 1,
  adversaryFraction: 0,
  dropFraction: 0.1,
  survivorsMin: 20,
  phaseDeadlineMs: 1000,
  trainMetrics: [],
  testMetrics: [],
};

function workWith(privacy: Partial<PrivacySpec>, more: Partial<WorkSpec> = {}): WorkSpec {
  return {
    workload: 'w',
    scale: 'smoke',
    hyper: {},
    partition: 'iid',
    seed: 1,
    rounds: 3,
    model: MODEL,
    training: {
      localSteps: 1,
      batchSize: 1,
      clientLr: 1,
      momentum: 0,
      weightDecay: 0,
      gradientClipNorm: 0,
      lrSchedule: 'constant',
      proximalMu: 0,
    },
    phases: [{ name: 'train', channels: [updateChannel(MODEL)] }],
    privacy: { mode: 'central', clippingBound: 2, noiseMultiplier: 0.5, delta: 1e-5, cohortMax: 40, ...privacy },
    secure: SECURE,
    ...more,
  };
}

/** What clients let out, added up, in a round of `work`; and the numbers of each client. */
function sumOf(work: WorkSpec, updates: readonly Float32Array[], clippingBound?: number) {
  const plan = { work, round: 1, ...(clippingBound !== undefined && { clippingBound }) };
  const rng = rngFromSeed(7);
  const sum = new Int32Array(latticeFor(work, 1).length);
  updates.forEach((update, client) => {
    encodePrivately(plan, update, rng.split(`client ${client}`)).forEach((value, i) => {
      sum[i] += value;
    });
  });
  return decodePrivately(plan, sum, rng.split('coordinator'));
}

function gaussian(size: number, norm: number, label: string): Float32Array {
  const rng = rngFromSeed(3).split(label);
  const direction = Float64Array.from({ length: size }, () => rng.normal());
  const length = Math.hypot(...direction);
  return Float32Array.from(direction, (value) => (value * norm) / length);
}

describe('private sums', () => {
  for (const mode of ['central', 'distributed', 'local'] as const) {
    it(`${mode}: the sum of clipped updates, with noise of the deviation that was stated`, () => {
      const clients = 40;
      const updates = Array.from({ length: clients }, (_, i) => gaussian(SIZE, i % 2 === 0 ? 1 : 6, `update ${i}`));
      const { sums: values } = sumOf(workWith({ mode }), updates);
      const clipped = updates.map((update, i) => update.map((value) => (i % 2 === 0 ? value : value / 3)));
      const noise = values.map((value, at) => value - clipped.reduce((total, update) => total + update[at], 0));
      // z C of the coordinator; z C from each; or as many shares as there are clients, each made for 20 of them
      const scale = { central: 1, local: Math.sqrt(clients), distributed: Math.sqrt(clients / 20) }[mode];
      const expected = 0.5 * 2 * scale;
      const measured = Math.sqrt(noise.reduce((squares, value) => squares + value * value, 0) / SIZE);
      // the deviation of a sample deviation is σ / sqrt(2 n): five of them
      assert.ok(Math.abs(measured / expected - 1) < 5 / Math.sqrt(2 * SIZE), `${measured} against ${expected}`);
    });
  }

  it('has noise on the sum of all rounds that a tree keeps small (Kairouz et al. 2021)', () => {
    const work = workWith({ tree: { separation: 1 } }, { rounds: 8 });
    const rng = rngFromSeed(5);
    const zeros = new Int32Array(latticeFor(work, 1).length);
    const total = new Float64Array(SIZE);
    const deviations = Array.from({ length: 8 }, (_, i) => {
      const { sums } = decodePrivately({ work, round: i + 1 }, zeros, rng);
      for (let at = 0; at < SIZE; at++) total[at] += sums[at];
      return Math.hypot(...total) / Math.sqrt(SIZE);
    });
    // after t rounds as many nodes as t has ones in binary, each of deviation z C = 1
    const nodes = [1, 1, 2, 1, 2, 2, 3, 1];
    for (const [i, deviation] of deviations.entries()) {
      assert.ok(
        Math.abs(deviation / Math.sqrt(nodes[i]) - 1) < 5 / Math.sqrt(2 * SIZE),
        `round ${i + 1}: ${deviation}`,
      );
    }
  });

  it('costs a client by how often it took part in a tree: one node a level for each round', () => {
    const cost = costOf(workWith({ tree: { separation: 4 }, noiseMultiplier: 4 }, { rounds: 8 }))!;
    const rhoOf = (rounds: number) => ({ spend: { release: { mechanism: 'zcdp', rho: rounds } as const, count: 1 } });
    // 4 levels over 8 rounds; spans of 8 hold two rounds that are 4 apart, shorter ones hold one
    const expected = [1 * 4, 2 * (1 + 1 + 1 + 2)].map((squared) => squared / (2 * 4 ** 2));
    for (const [i, rho] of expected.entries()) {
      const plain = { ...cost, tree: undefined, ...rhoOf(rho) };
      assert.ok(Math.abs(epsilonAfter(cost, i + 1) - epsilonAfter(plain, 1)) < 1e-9);
    }
  });

  it('costs what the Gaussian mechanism of this noise costs, and more for local noise', () => {
    const rhoOf = (mode: 'central' | 'distributed' | 'local') => {
      const { release } = costOf(workWith({ mode, noiseMultiplier: 2 }))!.spend;
      assert.equal(release.mechanism, 'zcdp');
      return 'rho' in release ? release.rho : Number.NaN;
    };
    // 1 / (2 z²); a local message must look alike for any two updates, which lie up to twice the bound apart
    assert.ok(Math.abs(rhoOf('central') - 1 / 8) < 1e-9);
    assert.ok(Math.abs(rhoOf('distributed') - 1 / 8) < 1e-6);
    assert.ok(Math.abs(rhoOf('local') - 1 / 2) < 1e-9);
  });

  it('clips each channel to its own bound, and one noise hides all of them', () => {
    const prototypes = {
      ...({ name: 'prototypes', tensors: [{ name: 'a', shape: [SIZE] }], reduce: 'sum', weight: 'clients' } as const),
      clip: { norm: 10 },
    };
    const work = workWith({}, { phases: [{ name: 'train', channels: [updateChannel(MODEL), prototypes] }] });
    const update = gaussian(SIZE, 6, 'u');
    const prototype = gaussian(SIZE, 30, 'p');
    const { sums: values } = sumOf(work, [Float32Array.from([...update, ...prototype])]);
    const noise = values.map((value, i) => (i < SIZE ? value - update[i] / 3 : (value - prototype[i - SIZE] / 3) / 5));
    const measured = Math.sqrt(noise.reduce((squares, value) => squares + value * value, 0) / (2 * SIZE));
    assert.ok(Math.abs(measured / (0.5 * 2 * Math.SQRT2) - 1) < 5 / Math.sqrt(4 * SIZE), String(measured));
  });

  it('names a channel without a bound', () => {
    const channel = { name: 'logits', tensors: MODEL, reduce: 'mean', weight: 'clients' } as const;
    const work = workWith({}, { phases: [{ name: 'train', channels: [channel] }] });
    assert.throws(() => encodePrivately({ work, round: 1 }, new Float32Array(SIZE), rngFromSeed(1)), /channel logits/);
  });

  it('lets the bound find the median norm, from far below and far above (Andrew et al. 2021, figure 2)', () => {
    const work = workWith({ adaptive: true });
    const updates = Array.from({ length: 40 }, (_, i) => gaussian(SIZE, 0.5 + i / 40, `update ${i}`));
    for (const start of [0.1, 5]) {
      let bound = start;
      for (let round = 0; round < 60; round++) {
        bound = adaptedBound(bound, sumOf(work, updates, bound).withinBound!, updates.length);
      }
      assert.ok(bound > 0.75 && bound < 1.25, `from ${start} to ${bound}, median norm 1`);
    }
  });

  it('says what cohort adaptive clipping needs', () => {
    assert.throws(
      () => latticeFor(workWith({ adaptive: true, cohortMax: 5 }), 1),
      /clipping-bound adaptive.*at least 6/,
    );
  });

  it('adds up example-level steps as the accountant does', () => {
    const work = workWith({ mode: 'example', noiseMultiplier: 1.5, samplingRate: 0.04, clippingBound: 1 });
    const cost = costOf({ ...work, training: { ...work.training, localSteps: 2249 } })!;
    // opacus/tests/accountants_test.py: PRV, σ 1.5, q 0.04, 2,249 steps, δ 1e-5: 6.7774; its figure holds a margin of 0.01
    const epsilon = epsilonAfter(cost, 1);
    assert.ok(epsilon > 6.75 && epsilon <= 6.78, String(epsilon));
  });

  it('refuses what could not be carried out', () => {
    const engine = { cohort: 40, overSelection: 0, aggregator: 'median' } as RunSpec['engine'];
    assert.throws(() => checkPrivacySpec({ work: workWith({}), engine }), /aggregator: expected mean/);
    const tree = { tree: { separation: 1 } };
    assert.throws(() => checkPrivacySpec({ work: workWith({ ...tree, mode: 'local' }), engine }), /tree.*central/);
    assert.throws(() => checkPrivacySpec({ work: workWith({ ...tree, adaptive: true }), engine }), /tree.*fixed/);
    const work = workWith({ epsilonBudget: 0.5 });
    assert.throws(
      () => checkPrivacySpec({ work, engine: { ...engine, aggregator: 'mean' } }),
      /epsilon-budget.*at least/,
    );
  });
});
