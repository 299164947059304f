/**
 * Fed-TCGA-BRCA of FLamby (Ogier du Terrail et al. 2022, arXiv:2210.04620): who of 1,088 patients with breast cancer dies sooner,
 * by Cox regression on 39 features. A client is one of six regions (partition `natural`); data, split, loss and settings are
 * FLamby's, so that its table can be set beside a run: docs/reproduction.md.
 *
 * A training batch is its own set of patients at risk, as in FLamby. Tests compare a patient with those of the same region that
 * the client has, whatever the batches, so that figures add up over regions; `c-index` of one region is FLamby's, and over
 * several it is that of all pairs within a region.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { findData } from '../../data/index.js';
import { type Batch, type BatchContext, defineWorkload, type TensorMap } from '../../workload.js';
import { hyperChoice, hyperInteger } from '../parts/hyper.js';
import { linearUnit } from '../parts/linear.js';
import { type BrcaData, makeUpBrca, type Patients, REGIONS, readBrca, WIDTH } from './patients.js';
import { concordance, coxLosses, diedBefore, isAtRisk } from './survival.js';

const FLAMBY: Hyper = {
  data: 'flamby', // or made-up
  patients: 0, // of each part, when they are made up
};
/** Of one patient with others: more than any region tests. */
const MOST_PAIRS = 256;
const REGRESSION =
  'the model is the method: Cox regression on the features as they are, of which `in one place` is the row';
const SOURCE = 'owkin/FLamby at edacf54, results_benchmark_fed_tcga_brca: five seeds, mean over the six regions';

export const brca = defineWorkload<BrcaData>({
  manifest: {
    name: 'brca',
    topic: 'Federated survival analysis',
    paper: 'Ogier du Terrail et al. 2022, FLamby: Datasets and Benchmarks for Cross-Silo Federated Learning',
    data: 'TCGA-BRCA by region (GDC open access, no attempt at re-identification; starling data get brca)',
    privacyUnits: ['client'],
    roleKeys: [],
    headline: { metric: 'test.c-index', better: 'higher' },
    withoutFloors: { 'raw-features': REGRESSION, classical: REGRESSION },
    published: [{ metric: 'test.c-index', value: 0.732, source: `${SOURCE}, FedAvg100` }],
    figures: () => ({ 'c-index': ['div', ['sum', 'pairs', 0], ['sum', 'pairs', 1]] }),
    maskedMetrics: () => [
      { name: 'loss', size: 1, max: 16 },
      { name: 'pairs', size: 2, max: MOST_PAIRS },
    ],
    scales: {
      smoke: {
        clients: REGIONS,
        cohort: REGIONS,
        rounds: 3,
        partition: 'natural',
        training: { localSteps: 30, batchSize: 8, clientLr: 0.1 },
        hyper: { ...FLAMBY, data: 'made-up', patients: 180 },
      },
      demo: flamby(),
      full: flamby(),
    },
  },

  init: (rng) => ({ shared: linearUnit(rng, WIDTH) }),

  async load({ hyper, dataDir, rng }) {
    const source = hyperChoice(hyper, 'data', ['flamby', 'made-up']);
    if (source === 'made-up') return makeUpBrca(rng, hyperInteger(hyper, 'patients', REGIONS));
    return readBrca(findData('brca', { dataDir }));
  },

  examples: ({ train, test }) => ({
    train: { count: train.count, groups: train.regions },
    test: { count: test.count, groups: test.regions },
  }),

  batch(data, indices, { split, shard }) {
    const patients = data[split];
    const features = rowsOf(patients, indices);
    const events = tf.tensor2d(
      Float32Array.from(indices, (i) => patients.events[i]),
      [indices.length, 1],
    );
    return { features, events, ...(split === 'train' ? within(patients, indices) : beside(patients, indices, shard)) };
  },

  loss: (params, batch) => tf.mean(losses(params, batch)) as tf.Scalar,

  metrics(params, batch) {
    const count = batch.features.shape[0];
    const { one, others } = risksOf(params, batch);
    return {
      loss: { sum: tf.sum(losses(params, batch)), count },
      pairs: { sum: concordance(one, others, batch.pairs), count },
    };
  },

  floors: [
    {
      name: 'equal',
      label: 'the same risk for all',
      kind: 'trivial',
      fit: (context) => (shard) => {
        const pairs = tf.tidy(() => tf.sum(context.batch(shard.test, { shard, split: 'test' }).pairs).dataSync()[0]);
        return { pairs: { sum: [pairs / 2, pairs], count: shard.test.length } };
      },
    },
  ],

  predict: {
    inputs: () => ({ features: { shape: [WIDTH], about: 'as in brca.csv, from age_at_index to tumor_stage' } }),
    outputs: { risk: 'log hazard, up to a constant: who has more of it dies sooner' },
    forward: (params, { features }) => ({ risk: riskOf(params, features) }),
  },
});

/** flamby/config_tcga_brca.json and fed_tcga_brca/common.py: FedAvg, 5 rounds of 100 steps. */
function flamby() {
  return {
    clients: REGIONS,
    cohort: REGIONS,
    rounds: 5,
    partition: 'natural',
    training: { localSteps: 100, batchSize: 8, clientLr: 0.1 },
    hyper: FLAMBY,
  };
}

/** Each patient is compared with those of the batch; [batch, batch]. */
function within(patients: Patients, indices: Int32Array): Batch {
  const isOne = (relation: typeof isAtRisk) =>
    tf.tensor2d(
      Float32Array.from({ length: indices.length ** 2 }, (_, at) => {
        const [row, column] = [Math.floor(at / indices.length), at % indices.length];
        return relation(patients, indices[row], indices[column]) ? 1 : 0;
      }),
      [indices.length, indices.length],
    );
  return { atRisk: isOne(isAtRisk), pairs: isOne(diedBefore) };
}

/** Each is compared with those of its region in the client's test data: [batch, most, 39], and [batch, most], which is 0 where there is none. */
function beside(patients: Patients, indices: Int32Array, { test }: BatchContext['shard']): Batch {
  const mates = Array.from(indices, (i) => test.filter((j) => patients.regions[j] === patients.regions[i]));
  const most = Math.max(1, ...mates.map(({ length }) => length));
  const [rows, size] = [indices.length, indices.length * most];
  const features = new Float32Array(size * WIDTH);
  const atRisk = new Float32Array(size);
  const pairs = new Float32Array(size);
  for (const [row, i] of indices.entries()) {
    for (const [column, j] of mates[row].entries()) {
      const at = row * most + column;
      features.set(patients.features.subarray(j * WIDTH, (j + 1) * WIDTH), at * WIDTH);
      atRisk[at] = isAtRisk(patients, i, j) ? 1 : 0;
      pairs[at] = diedBefore(patients, i, j) ? 1 : 0;
    }
  }
  return {
    others: tf.tensor3d(features, [rows, most, WIDTH]),
    atRisk: tf.tensor2d(atRisk, [rows, most]),
    pairs: tf.tensor2d(pairs, [rows, most]),
  };
}

function rowsOf({ features }: Patients, indices: Int32Array): tf.Tensor2D {
  const out = new Float32Array(indices.length * WIDTH);
  for (const [row, i] of indices.entries()) out.set(features.subarray(i * WIDTH, (i + 1) * WIDTH), row * WIDTH);
  return tf.tensor2d(out, [indices.length, WIDTH]);
}

/** [batch, 1] */
function riskOf({ weights, bias }: TensorMap, features: tf.Tensor): tf.Tensor {
  return tf.add(tf.matMul(features as tf.Tensor2D, weights as tf.Tensor2D), bias);
}

/** [batch, 1], and of those that each is compared with: [batch, others], or [1, batch] when they are the batch. */
function risksOf(params: TensorMap, batch: Batch): { one: tf.Tensor; others: tf.Tensor } {
  const one = riskOf(params, batch.features);
  if (batch.others === undefined) return { one, others: tf.transpose(one) };
  const [rows, most] = batch.others.shape;
  return { one, others: tf.reshape(riskOf(params, tf.reshape(batch.others, [-1, WIDTH])), [rows, most]) };
}

/** [batch] */
function losses(params: TensorMap, batch: Batch): tf.Tensor1D {
  const { one, others } = risksOf(params, batch);
  return coxLosses(one, others, batch.atRisk, batch.events);
}
