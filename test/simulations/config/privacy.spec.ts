/** The keys of a private run: what they come to, and what each contradiction is answered with. */
import assert from 'node:assert/strict';
import type { Workload } from '../../../client/workload.js';
import { loadWorkload } from '../../../client/workloads/index.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { checkConfig, resolve } from '../../../simulations/config/resolve.js';

describe('the privacy of a configuration', () => {
  let cnn: Workload;
  let simclr: Workload;
  before(async () => {
    cnn = await loadWorkload('cnn');
    simclr = await loadWorkload('simclr');
  });

  const specOf = (keys: object, workload = cnn) =>
    resolve(checkConfig({ workload: 'cnn', scale: 'smoke', ...keys }, 'test'), workload).spec;
  const privacyOf = (keys: object): PrivacySpec | undefined => specOf(keys).work.privacy;

  it('is none unless it is asked for, and complete when it is', () => {
    assert.equal(privacyOf({}), undefined);
    assert.deepEqual(privacyOf({ privacy: 'example' }), {
      mode: 'example',
      noiseMultiplier: 1,
      clippingBound: 1,
      delta: 1e-5,
      samplingRate: 0.05,
    });
    assert.deepEqual(privacyOf({ privacy: 'central', 'over-selection': 0.5, 'epsilon-budget': 9 }), {
      mode: 'central',
      noiseMultiplier: 1,
      clippingBound: 1,
      delta: 1e-5,
      epsilonBudget: 9,
      cohortMax: 6,
    });
    const adaptive = { privacy: 'central', 'clipping-bound': 'adaptive', clients: 20, cohort: 20 };
    assert.deepEqual(privacyOf(adaptive), {
      mode: 'central',
      noiseMultiplier: 1,
      clippingBound: 0.1,
      delta: 1e-5,
      cohortMax: 20,
      adaptive: true,
    });
    const tree = { privacy: 'central', noise: 'tree', separation: 2, clients: 8, cohort: 4 };
    assert.deepEqual(privacyOf(tree)?.tree, { separation: 2 });
  });

  it('noises test figures of single examples, as often as the run is judged', () => {
    const keys = { privacy: 'example', 'test-noise-multiplier': 5, rounds: 7 };
    const { tests } = privacyOf({ ...keys, 'evaluate-every': 3 })!;
    assert.deepEqual([tests!.noiseMultiplier, tests!.evaluations], [5, 3]);
    assert.deepEqual(
      tests!.metrics.map(({ name, max }) => [name, max]),
      [
        ['accuracy', 1],
        ['loss', 16],
        ['confusion', 1],
      ],
    );
    assert.equal(privacyOf(keys)!.tests!.evaluations, 7);
    assert.equal(privacyOf({ ...keys, 'evaluate-every': 0 })!.tests!.evaluations, 1);
    const budget = { ...keys, 'noise-multiplier': 4, 'epsilon-budget': 3 };
    assert.ok(specOf({ ...budget, 'test-noise-multiplier': 20 }));
    assert.throws(() => specOf({ ...budget, 'test-noise-multiplier': 1 }), /^.*epsilon-budget: expected at least/);
  });

  it('lets a client weigh 1 and tell no training metric', () => {
    const secure = specOf({ privacy: 'distributed', 'secure-aggregation': true }).work.secure!;
    assert.deepEqual([secure.weightCap, secure.trainMetrics], [1, []]);
    assert.equal(specOf({ privacy: 'example', 'secure-aggregation': true }).work.secure!.weightCap, 1024);
  });

  const contradictions: Record<string, [keys: object, answer: RegExp]> = {
    'noise without privacy': [{ 'noise-multiplier': 2 }, /^noise-multiplier: expected privacy to be central/],
    'secret noise without privacy': [{ 'secret-noise': true }, /^secret-noise: expected privacy to be central/],
    'noise of test figures without privacy': [
      { 'test-noise-multiplier': 2 },
      /^test-noise-multiplier: expected privacy/,
    ],
    'noise of test figures of whole clients': [
      { privacy: 'central', 'test-noise-multiplier': 2 },
      /^test-noise-multiplier: expected privacy example/,
    ],
    'distributed noise in the clear': [{ privacy: 'distributed' }, /^privacy distributed: expected secure-aggregation/],
    'examples drawn at random by a coordinator': [
      { privacy: 'central', 'sampling-rate': 0.1 },
      /^sampling-rate: expected/,
    ],
    'adaptive clipping of examples': [
      { privacy: 'example', 'clipping-bound': 'adaptive' },
      /^clipping-bound: expected/,
    ],
    'correlated noise of examples': [
      { privacy: 'example', noise: 'tree' },
      /^noise: expected privacy central, got "?example/,
    ],
    'a separation of examples': [{ privacy: 'example', separation: 2 }, /^separation: expected privacy central/],
    'correlated noise of clients': [
      { privacy: 'distributed', 'secure-aggregation': true, noise: 'tree' },
      /^noise tree: expected privacy central/,
    ],
    'a separation without a tree': [{ privacy: 'central', separation: 2 }, /^separation: expected noise tree/],
    'more rest than there are clients': [
      { privacy: 'central', noise: 'tree', separation: 2 }, // the scale has 4 clients, all in each round
      /^separation: expected at most clients \/ cohort \(4 \/ 4\)/,
    ],
    'a budget below one round': [
      { privacy: 'central', 'epsilon-budget': 0.1 },
      /^epsilon-budget: expected at least 4\.7/,
    ],
    'a robust mean': [
      { privacy: 'central', aggregator: 'median', 'min-survivors': 3 },
      /^aggregator: expected mean with privacy central/,
    ],
  };
  for (const [name, [keys, answer]] of Object.entries(contradictions)) {
    it(`does not allow ${name}`, () => {
      assert.throws(() => specOf(keys), { code: 'invalid-argument', message: answer });
    });
  }

  it('names the unit to use instead, where a loss does not split per example', () => {
    assert.throws(
      () => specOf({ privacy: 'example' }, simclr),
      /privacy: expected distributed or central, .* the loss of simclr does not split per example, got "example"/,
    );
  });
});
