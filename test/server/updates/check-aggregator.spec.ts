/** Which runs can be aggregated as they say, case by case: each is refused by name, and its nearest neighbour is not. */
import assert from 'node:assert/strict';
import { checkAggregator } from '../../../server/updates/check-aggregator.js';
import { parseOrderStatistic } from '../../../server/updates/order-statistics.js';
import type { EngineSpec, RunSpec, WorkSpec } from '../../../shared/run/spec.js';
import { type ChannelSpec, updateChannel } from '../../../shared/tensors/channels.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { toySpec } from '../../support/toy.js';

function specOf(engine: Partial<EngineSpec>, work: Partial<WorkSpec> = {}): RunSpec {
  const toy = toySpec({ aggregator: 'median', cohort: 9, minClients: 9, minSurvivors: 3, ...engine });
  return { work: { ...toy.work, ...work }, engine: toy.engine };
}

const TENSORS = toySpec().work.model;
const channels = (...given: ChannelSpec[]) => ({ phases: [{ name: 'train', channels: given }] });
const UPDATE = updateChannel(TENSORS);
const SUMS: ChannelSpec = { ...UPDATE, name: 'sums', reduce: 'sum' };
/** 2^20 numbers: a vector is 4 MiB, and 256 of them are what may lie in memory. */
const LARGE = { model: [{ name: 'w', shape: [2 ** 10, 2 ** 10] }] };
const groups = (groupSize: number) => ({ secure: { ...SECURE, groupSize } });

const CASES: readonly [what: string, refused: RunSpec, because: RegExp, allowed: RunSpec][] = [
  [
    'a channel that is a sum',
    specOf({}, channels(UPDATE, SUMS)),
    /^aggregator: median is no sum, which channel "sums" asks for$/,
    specOf({ aggregator: 'mean' }, channels(UPDATE, SUMS)),
  ],
  [
    'tensors that not every client holds',
    specOf({}, channels({ ...UPDATE, weight: 'per-tensor' })),
    /^aggregator: median needs a value of every client: channel "update"/,
    specOf({}, channels({ ...UPDATE, weight: 'clients' })),
  ],
  [
    'more vectors than memory holds',
    specOf({ cohort: 257 }, LARGE),
    /^aggregator: 257 vectors of 1048576 numbers are 1077936128 bytes in memory; at most 1073741824$/,
    specOf({ cohort: 256 }, LARGE),
  ],
  [
    'more vectors than memory holds, some of them invited in reserve',
    specOf({ cohort: 256, overSelection: 0.01 }, LARGE),
    /^aggregator: 259 vectors/, // 256 · 1.01 = 258.56
    specOf({ cohort: 128, overSelection: 1 }, LARGE),
  ],
  [
    'fewer survivors than an order statistic needs',
    specOf({ minSurvivors: 2 }),
    /^minSurvivors with aggregator median: expected at least 3, got 2$/,
    specOf({ minSurvivors: 3 }),
  ],
  [
    'fewer groups than an order statistic needs',
    specOf({ cohort: 8 }, groups(3)),
    /^groups for aggregator median: expected at least 3, got "2 \(cohort 8 in groups of 3\)"$/,
    specOf({ cohort: 9, minSurvivors: 2 }, groups(3)),
  ],
  [
    'single updates that are masked',
    specOf({}, { secure: SECURE }),
    /^aggregator: expected mean with secure-aggregation, .*; or secure-groups, got "median"$/,
    specOf({ aggregator: 'mean' }, { secure: SECURE }),
  ],
];

describe('a run with an order statistic', () => {
  for (const [what, refused, because, allowed] of CASES) {
    it(`is refused ${what}`, () => {
      assert.throws(() => checkAggregator(refused), { code: 'invalid-argument', message: because });
      checkAggregator(allowed);
    });
  }
});

describe('the values that an order statistic drops', () => {
  it('are so many at each end, whatever a product of two doubles comes to', () => {
    const trim = (text: string, count: number) => parseOrderStatistic(text)?.trimOf(count);
    assert.ok(0.07 * 100 > 7 && 0.1 * 3 > 0.3);
    const cases = [
      ['trimmed-mean:0.07', 100, 7],
      ['trimmed-mean:0.1', 30, 3],
      ['trimmed-mean:0.1', 31, 4],
      ['trimmed-mean:0.1', 3, 1],
      ['trimmed-mean', 10, 2],
      ['trimmed-mean:0.49', 3, 1],
      ['median', 9, 4],
      ['median', 10, 4],
    ] as const;
    for (const [text, count, expected] of cases) assert.equal(trim(text, count), expected, `${text} of ${count}`);
    for (const text of ['trimmed-mean:0.5', 'trimmed-mean:0', 'trimmed-mean:0.1:0.2', 'median:0.1', 'mean']) {
      assert.equal(parseOrderStatistic(text), undefined, text);
    }
  });
});
