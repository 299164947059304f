/** What a run may cost, case by case: each rule is refused by name, and no figure is remembered for another question. */
import assert from 'node:assert/strict';
import { latticeFor } from '../../../shared/run/client-level-privacy.js';
import {
  checkPrivacySpec,
  costOf,
  epsilonAfter,
  type PrivacyCost,
  privacyReport,
  roundSamplerError,
} from '../../../shared/run/privacy-cost.js';
import type { PrivacySpec, RunSpec, WorkSpec } from '../../../shared/run/spec.js';
import type { RoundSummary } from '../../../shared/run/summary.js';
import { type ChannelSpec, updateChannel } from '../../../shared/tensors/channels.js';

const MODEL = [{ name: 'w', shape: [9] }];
const UPDATE = updateChannel(MODEL);

function workWith(privacy: Partial<PrivacySpec>, more: Partial<WorkSpec> = {}): WorkSpec {
  const training = { localSteps: 1, batchSize: 1, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 };
  return {
    ...{ workload: 'w', scale: 'smoke', hyper: {}, partition: 'iid', seed: 1, rounds: 8, model: MODEL },
    training: { ...training, lrSchedule: 'constant', proximalMu: 0 },
    phases: [{ name: 'train', channels: [UPDATE] }],
    privacy: { mode: 'central', clippingBound: 1, noiseMultiplier: 2, delta: 1e-5, cohortMax: 10, ...privacy },
    secure: {
      ...{ valueRange: 1, weightCap: 1, adversaryFraction: 0, dropFraction: 0.1, survivorsMin: 8 },
      ...{ phaseDeadlineMs: 1000, trainMetrics: [], testMetrics: [] },
    },
    ...more,
  };
}

const ENGINE = { cohort: 10, overSelection: 0 } as RunSpec['engine'];
const EXAMPLE = { mode: 'example', samplingRate: 0.5 } as const;

describe('a remembered epsilon', () => {
  const COST: PrivacyCost = {
    ...{ unit: 'client', spend: { release: { mechanism: 'zcdp', rho: 0.1 }, count: 1 }, delta: 1e-5 },
    accountant: 'rdp',
  };
  const gaussian = { release: { mechanism: 'gaussian', noiseMultiplier: 2, samplingRate: 0.1 }, count: 9 } as const;
  const others: Readonly<Record<string, [PrivacyCost, PrivacyCost]>> = {
    delta: [COST, { ...COST, delta: 1e-7 }],
    'sampler error': [COST, { ...COST, samplerError: 1e-8 }],
    noise: [COST, { ...COST, spend: { release: { mechanism: 'zcdp', rho: 0.2 }, count: 1 } }],
    count: [COST, { ...COST, spend: { ...COST.spend, count: 2 } }],
    accountant: [
      { ...COST, spend: gaussian },
      { ...COST, spend: gaussian, accountant: 'pld' },
    ],
    tree: [COST, { ...COST, tree: { rounds: 8, separation: 2 } }],
  };
  for (const [what, [one, other]] of Object.entries(others)) {
    it(`is not that of another ${what}`, () => {
      const [first, second] = [epsilonAfter(one, 3), epsilonAfter(other, 3)];
      assert.ok(Number.isFinite(first) && Math.abs(second - first) > 1e-6 * first, `${first} ${second}`);
      assert.deepEqual([epsilonAfter(one, 3), epsilonAfter(other, 3)], [first, second], 'asked again');
    });
  }

  it('is not that of another number of rounds, and none costs nothing', () => {
    const figures = [0, 1, 2, 3].map((rounds) => epsilonAfter(COST, rounds));
    assert.equal(figures[0], 0);
    assert.deepEqual(
      figures,
      [...new Set(figures)].sort((a, b) => a - b),
    );
  });
});

describe('a run with privacy', () => {
  const tree = { tree: { separation: 1 } };
  const second = { name: 'second', channels: [UPDATE] };
  const unbounded: ChannelSpec = { ...UPDATE, name: 'means', tensors: [{ name: 'm', shape: [3] }] };
  const refused: readonly [string, WorkSpec, RegExp, Partial<RunSpec['engine']>?][] = [
    ['noise of 0', workWith({ noiseMultiplier: 0 }), /noiseMultiplier: expected a number > 0/],
    ['noise that nobody can have meant', workWith({ noiseMultiplier: 1e-9 }), /noiseMultiplier: expected at least/],
    ['examples without a rate', workWith({ mode: 'example' }), /samplingRate: expected a rate/],
    ['a rate above 1', workWith({ ...EXAMPLE, samplingRate: 1.5 }), /samplingRate: expected a probability/],
    [
      'more steps than anyone adds up',
      workWith(EXAMPLE, { training: { ...workWith({}).training, localSteps: 1_000_000 }, rounds: 1001 }),
      /rounds x local-steps: expected at most 1000000000, got 1001000000/,
    ],
    [
      'more phases than are priced at once',
      workWith(
        {},
        { phases: Array.from({ length: 65 }, (_, i) => ({ name: `p${i}`, rounds: 1, channels: [UPDATE] })) },
      ),
      /phases: expected at most 64/,
    ],
    ['a cohort beyond its integers', workWith({ cohortMax: 9 }), /cohortMax: expected at least 10/],
    [
      'a cohort beyond them when more are invited',
      workWith({}),
      /cohortMax: expected at least 13/,
      { overSelection: 0.25 },
    ],
    ['no cohort', workWith({ cohortMax: undefined }), /cohortMax: expected a number with mode central/],
    ['shares of noise in the clear', workWith({ mode: 'distributed' }, { secure: undefined }), /secure-aggregation/],
    ['a tree of local noise', workWith({ ...tree, mode: 'local' }), /noise tree: expected privacy central/],
    ['a tree and an adaptive bound', workWith({ ...tree, adaptive: true, cohortMax: 30 }), /tree: expected a fixed/],
    [
      'a tree over two phases',
      workWith(tree, { phases: [{ name: 'first', rounds: 4, channels: [UPDATE] }, second] }),
      /noise tree: expected a workload with one phase/,
    ],
    [
      'a channel without a bound in its second phase',
      workWith(
        {},
        {
          phases: [
            { name: 'first', rounds: 4, channels: [UPDATE] },
            { ...second, channels: [UPDATE, unbounded] },
          ],
        },
      ),
      /channel means: expected a clipping bound/,
    ],
    ['a median of what is noised for a sum', workWith({}), /aggregator: expected mean/, { aggregator: 'median' }],
    ['less budget than one round costs', workWith({ epsilonBudget: 0.01 }), /epsilon-budget: expected at least/],
  ];
  for (const [name, work, message, engine = {}] of refused) {
    it(`is refused with ${name}`, () => {
      assert.throws(() => checkPrivacySpec({ work, engine: { ...ENGINE, ...engine } }), message);
    });
  }

  it('is taken with what stands at the edge of these rules', () => {
    const phases = [{ name: 'first', rounds: 4, channels: [UPDATE] }, second];
    const cost = epsilonAfter(costOf(workWith({}))!, 1);
    const taken: [WorkSpec, Partial<RunSpec['engine']>?][] = [
      [workWith({})],
      [workWith({ cohortMax: 13 }), { overSelection: 0.25 }],
      [workWith(tree)],
      [workWith({}, { phases })],
      [workWith({ epsilonBudget: cost })],
      [workWith({}), { aggregator: 'mean' }],
      [workWith(EXAMPLE), { aggregator: 'median' }],
      [workWith({ mode: 'distributed' })],
    ];
    for (const [work, engine = {}] of taken) checkPrivacySpec({ work, engine: { ...ENGINE, ...engine } });
  });

  it('reports the largest epsilon of its rounds, wherever it stands', () => {
    const rounds = [0.5, 2, 1].map((epsilon) => ({ epsilon }) as RoundSummary);
    assert.equal(privacyReport(workWith({}), rounds)!.epsilon, 2);
  });
});

describe('the noise of honest shares', () => {
  it('hides a client also when colluders know their own', () => {
    const { secure } = workWith({});
    const shares = (adversaryFraction: number) => {
      const { certainShares, shareVariance } = latticeFor(
        workWith({ mode: 'distributed' }, { secure: { ...secure!, adversaryFraction } }),
        1,
      );
      return { certainShares, total: certainShares * shareVariance };
    };
    // 8 survivors at least, of whom a quarter collude: 6 shares carry all the noise
    assert.deepEqual(
      [0, 0.25].map((fraction) => shares(fraction).certainShares),
      [8, 6],
    );
    const [all, some] = [0, 0.25].map((fraction) => shares(fraction).total);
    assert.ok(Math.abs(all / some - 1) < 1e-9, `${all} ${some}`);
  });
});

describe('the error of the samplers under a tree', () => {
  it('is that of all its nodes, fewer than twice as many as rounds', () => {
    const release = { mechanism: 'zcdp', rho: 0.1 } as const;
    const cost: PrivacyCost = {
      ...{ unit: 'client', spend: { release, count: 1 }, delta: 1e-5, accountant: 'rdp' },
      ...{ tree: { rounds: 8, separation: 2 }, samplerError: 1e-9 },
    };
    // a client is in 8 / 2 = 4 rounds; in each it is charged a quarter of 2 · 8 nodes
    assert.equal(roundSamplerError(cost), (16 * 1e-9) / 4);
    // the least error that 2^-10 of δ does not cover: (1 + e^ε) η = 2^-10 δ, ε being that of δ (1 - 2^-10)
    const { samplerError: _, ...ideal } = cost;
    const small = epsilonAfter({ ...ideal, delta: 1e-5 * (1 - 2 ** -10) }, 4);
    const least = (2 ** -10 * 1e-5) / (1 + Math.exp(small));
    const at = (eta: number) => epsilonAfter({ ...cost, samplerError: eta / 16 }, 4);
    assert.equal(at(0.99 * least), small);
    assert.equal(at(1.01 * least), epsilonAfter({ ...ideal, delta: 1e-5 / 2 }, 4));
  });
});
