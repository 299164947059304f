/**
 * What the network has to be better than: regression on what is seen, on what is heard, and both together by adding up
 * their log-probabilities (late fusion), with no word from one modality to the other.
 */
import type { SumMetrics } from '../../../shared/run/metrics.js';
import type { PairData } from '../../data/pairs.js';
import type { Floor, FloorContext, FloorJudge } from '../../workload.js';
import {
  bestOf,
  type LabelledRows,
  majority,
  nearestMean,
  type Scores,
  softmaxRegression,
} from '../parts/classifiers.js';
import { joined, rowAt, rowsOf } from '../parts/floors.js';
import { heldBy } from './batch.js';
import { MODALITIES, type Modality } from './model.js';

type Fit = (rows: LabelledRows, rng: FloorContext<PairData>['rng']) => Scores;

/** Rows `floor/majority`, `floor/late-fusion` and `floor/nearest-mean`. */
export const misaFloors: readonly Floor<PairData>[] = [
  { name: 'majority', label: 'the commonest digit', kind: 'trivial', fit: fused(majority) },
  {
    name: 'late-fusion',
    label: 'late fusion of two softmax regressions on the inputs',
    kind: 'raw-features',
    fit: fused(softmaxRegression),
  },
  {
    name: 'nearest-mean',
    label: 'nearest class means, their distances added up',
    kind: 'classical',
    fit: fused(nearestMean),
  },
];

function fused(learn: Fit): Floor<PairData>['fit'] {
  return (context) => {
    const { shards, data, hyper, rng } = context as FloorContext<PairData>;
    const all = context as FloorContext<unknown>;
    const of = (m: Modality) => ({ inputs: m, labels: 'labels' });
    const fitted = MODALITIES.map((m) => {
      const holding = shards.map((shard) => ({
        ...shard,
        train: shard.train.filter((i) => heldBy(data.train.speakers[i], hyper).includes(m)),
      }));
      const rows = joined(holding.map((shard) => rowsOf(all, { shard, split: 'train' }, of(m))));
      return rows.count === 0 ? undefined : learn(rows, rng.split(m));
    });
    return ((shard) => {
      const rows = MODALITIES.map((m) => rowsOf(all, { shard, split: 'test' }, of(m)));
      const { count, labels, classes } = rows[0];
      const right = (modalitiesOf: (i: number) => readonly Modality[]): SumMetrics[string] => {
        let sum = 0;
        for (let i = 0; i < count; i++) {
          const total = new Float64Array(classes);
          for (const [k, m] of MODALITIES.entries()) {
            if (!modalitiesOf(i).includes(m)) continue;
            fitted[k]?.(rowAt(rows[k], i)).forEach((score, c) => {
              total[c] += score;
            });
          }
          if (bestOf(total) === labels[i]) sum++;
        }
        return { sum: [sum], count };
      };
      return {
        accuracy: right((i) => heldBy(data.test.speakers[shard.test[i]], hyper)),
        'fusion.accuracy': right(() => MODALITIES),
        'image.accuracy': right(() => ['image']),
        'audio.accuracy': right(() => ['audio']),
      };
    }) satisfies FloorJudge;
  };
}
