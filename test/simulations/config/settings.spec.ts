/** The table of settings: what a configuration says reaches the specification. */
import assert from 'node:assert/strict';
import { loadWorkload } from '../../../client/workloads/index.js';
import { givenOf, TRAINING_SETTINGS } from '../../../shared/run/settings.js';
import { checkConfig, resolve } from '../../../simulations/config/resolve.js';

const CNN = { workload: 'cnn', scale: 'smoke' };

describe('the settings of a run', () => {
  it('reach the specification under their names in camelCase', async () => {
    const training = { 'batch-size': 3, 'client-lr': 0.3, momentum: 0.4, 'weight-decay': 0.5, 'gradient-clip-norm': 6 };
    const rounds = { 'over-selection': 0.5, 'min-clients': 4, 'min-survivors': 4, 'deadline-ms': 7, 'max-attempts': 8 };
    const evaluation = { 'evaluate-every': 9, 'evaluate-clients': 4, aggregator: 'median' };
    const secure = { 'value-range': 2, 'weight-cap': 10, 'adversary-fraction': 0.125, 'drop-fraction': 0.25 };
    const privacy = { 'noise-multiplier': 2, delta: 1e-6, 'epsilon-budget': 1e6, 'sampling-rate': 0.5 };
    const cohort = {
      clients: 4,
      cohort: 4,
      'lr-schedule': 'cosine',
      'lr-warmup-rounds': 2,
      strategy: 'fedavg',
      'server-lr': 0.5,
    };
    const workload = await loadWorkload('cnn');
    const given = { ...CNN, ...training, ...rounds, ...evaluation, ...cohort };
    const { work, engine } = resolve(checkConfig(given, 'test'), workload).spec;
    assert.deepEqual(work.training, {
      localEpochs: work.training.localEpochs,
      batchSize: 3,
      clientLr: 0.3,
      momentum: 0.4,
      weightDecay: 0.5,
      gradientClipNorm: 6,
      lrSchedule: 'cosine',
      lrWarmupRounds: 2,
      proximalMu: 0,
    });
    assert.deepEqual(engine, {
      cohort: 4,
      strategy: 'fedavg:lr=0.5',
      overSelection: 0.5,
      minClients: 4,
      minSurvivors: 4,
      deadlineMs: 7,
      maxAttempts: 8,
      evaluateEvery: 9,
      evaluateClients: 4,
      aggregator: 'median',
      figures: { headline: { metric: 'test.accuracy', better: 'higher' } },
    });
    const hidden = { ...CNN, 'secure-aggregation': true, privacy: 'example', 'local-steps': 2, ...secure, ...privacy };
    const { work: protectedWork } = resolve(checkConfig(hidden, 'test'), workload).spec;
    const { trainMetrics: _, testMetrics: __, ...sums } = protectedWork.secure!;
    assert.deepEqual(sums, {
      valueRange: 2,
      weightCap: 10,
      adversaryFraction: 0.125,
      dropFraction: 0.25,
      survivorsMin: 2,
      phaseDeadlineMs: 60_000,
    });
    assert.deepEqual(protectedWork.privacy, {
      mode: 'example',
      clippingBound: 1,
      noiseMultiplier: 2,
      delta: 1e-6,
      epsilonBudget: 1e6,
      samplingRate: 0.5,
    });
  });

  it('name the encoding of updates, and nothing where there is none', async () => {
    const workload = await loadWorkload('cnn');
    const workOf = (given: object) => resolve(checkConfig({ ...CNN, ...given }, 'test'), workload).spec.work;
    assert.equal(workOf({ compression: 'int8' }).compression, 'int8');
    assert.deepEqual(workOf({ compression: 'none' }), workOf({}));
    assert.ok(!('compression' in workOf({})));
    assert.throws(() => workOf({ compression: 'bf16', 'secure-aggregation': true }), /none with secure-aggregation/);
  });

  it('leave out what a configuration does not say', () => {
    assert.deepEqual(givenOf({}, TRAINING_SETTINGS), {});
    assert.deepEqual(givenOf({ momentum: 0, 'batch-size': undefined }, TRAINING_SETTINGS), { momentum: 0 });
  });

  it('are refused beyond what a specification may hold, by their own names', () => {
    for (const [key, value] of Object.entries({ 'batch-size': 2_000_000, 'over-selection': 11, momentum: 1 })) {
      const says = new RegExp(`^test: ${key}: .*, got ${value}$`);
      assert.throws(() => checkConfig({ ...CNN, [key]: value }, 'test'), { code: 'invalid-argument', message: says });
    }
  });
});
