/**
 * Fed-Heart-Disease of FLamby (Ogier du Terrail et al. 2022, arXiv:2210.04620): who of 740 patients of four hospitals has heart
 * disease, by logistic regression on thirteen features. A client is a hospital (partition `natural`); data, split, scaling and
 * settings are FLamby's, so that its table can be set beside a run: docs/reproduction.md.
 *
 * Each hospital scales features by its own training patients. FLamby's row "Pooled Training" learns from patients scaled by the
 * spread of all (`scaling` pooled), and its figure "Pooled Test" is of patients scaled so: `pooled-accuracy` here.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { findData } from '../../data/index.js';
import { type Batch, defineWorkload, type TensorMap } from '../../workload.js';
import { classFloors } from '../parts/floors.js';
import { hyperChoice, hyperInteger } from '../parts/hyper.js';
import { linearUnit } from '../parts/linear.js';
import { FEATURES, type HeartData, HOSPITALS, makeUpHeart, readHeart } from './patients.js';

const FLAMBY: Hyper = {
  data: 'flamby', // or made-up
  patients: 0, // of each part, when they are made up
  scaling: 'own', // of training patients: by their own hospital's, or pooled
};
const SOURCE = 'owkin/FLamby at edacf54, results_benchmark_fed_heart_disease: five seeds, mean over the four hospitals';

export const heart = defineWorkload<HeartData>({
  manifest: {
    name: 'heart',
    topic: 'Federated learning between hospitals',
    paper: 'Ogier du Terrail et al. 2022, FLamby: Datasets and Benchmarks for Cross-Silo Federated Learning',
    data: 'UCI heart disease (CC BY 4.0; starling data get heart)',
    privacyUnits: ['client', 'example'],
    roleKeys: [],
    headline: { metric: 'test.accuracy', better: 'higher' },
    published: [{ metric: 'test.accuracy', value: 0.685, source: `${SOURCE}, FedAvg100` }],
    maskedMetrics: () => [
      { name: 'loss', size: 1, max: 16 },
      { name: 'accuracy', size: 1, max: 1 },
      { name: 'pooled-accuracy', size: 1, max: 1 },
    ],
    scales: {
      smoke: {
        clients: HOSPITALS.length,
        cohort: HOSPITALS.length,
        rounds: 3,
        partition: 'natural',
        training: { localSteps: 20, batchSize: 4, clientLr: 0.1 },
        hyper: { ...FLAMBY, data: 'made-up', patients: 120 },
      },
      demo: flamby(),
      full: flamby(),
    },
  },

  init: (rng) => ({ shared: linearUnit(rng, FEATURES.length) }),

  async load({ hyper, dataDir, rng }) {
    const source = hyperChoice(hyper, 'data', ['flamby', 'made-up']);
    if (source === 'made-up') return makeUpHeart(rng, hyperInteger(hyper, 'patients', HOSPITALS.length));
    return readHeart(findData('heart', { dataDir }));
  },

  examples: ({ train, test }) => ({
    train: { count: train.count, labels: Int32Array.from(train.ill), groups: train.hospitals },
    test: { count: test.count, labels: Int32Array.from(test.ill), groups: test.hospitals },
  }),

  batch(data, indices, { split, hyper }) {
    const patients = data[split];
    const scaling = split === 'test' ? 'own' : hyperChoice(hyper, 'scaling', ['own', 'pooled']);
    const rows = (of: Float32Array, width: number) => {
      const out = new Float32Array(indices.length * width);
      for (const [row, i] of indices.entries()) out.set(of.subarray(i * width, (i + 1) * width), row * width);
      return tf.tensor2d(out, [indices.length, width]);
    };
    return {
      features: rows(patients[scaling], FEATURES.length),
      pooled: rows(patients.pooled, FEATURES.length),
      ill: rows(patients.ill, 1),
      classes: tf.tensor2d(
        Array.from(indices, (i) => [1 - patients.ill[i], patients.ill[i]]),
        [indices.length, 2],
      ),
    };
  },

  loss: (params, batch) => tf.mean(crossEntropies(params, batch)) as tf.Scalar,
  perExampleLoss: (params, batch) => crossEntropies(params, batch),

  metrics(params, batch) {
    const count = batch.ill.shape[0];
    const right = (features: tf.Tensor) => {
      const isIll = tf.greater(logits(params, features), 0);
      return { sum: tf.sum(tf.cast(tf.equal(isIll, tf.cast(batch.ill, 'bool')), 'float32')), count };
    };
    return {
      loss: { sum: tf.sum(crossEntropies(params, batch)), count },
      accuracy: right(batch.features),
      'pooled-accuracy': right(batch.pooled),
    };
  },

  floors: classFloors(['majority', 'softmax', 'nearest-mean', 'knn'], {
    inputs: 'features',
    labels: 'classes',
    metric: 'accuracy',
  }),

  predict: {
    inputs: () => ({
      features: { shape: [FEATURES.length], about: `${FEATURES.join(', ')}; less the mean, by the deviation` },
    }),
    outputs: { illness: 'the probability of heart disease' },
    forward: (params, { features }) => ({ illness: tf.sigmoid(logits(params, features)) }),
  },
});

/** flamby/config_heart_disease.json and fed_heart_disease/common.py: FedAvg, 15 rounds of 100 steps. */
function flamby() {
  return {
    clients: HOSPITALS.length,
    cohort: HOSPITALS.length,
    rounds: 15,
    partition: 'natural',
    training: { localSteps: 100, batchSize: 4, clientLr: 0.001 },
    hyper: FLAMBY,
  };
}

/** [batch, 1] */
function logits({ weights, bias }: TensorMap, features: tf.Tensor): tf.Tensor {
  return tf.add(tf.matMul(features as tf.Tensor2D, weights as tf.Tensor2D), bias);
}

/** [batch]: log(1 + e^z) - y z, which is the cross-entropy of sigmoid(z). */
function crossEntropies(params: TensorMap, batch: Batch): tf.Tensor1D {
  const z = logits(params, batch.features);
  return tf.sum(tf.sub(tf.softplus(z), tf.mul(batch.ill, z)), 1);
}
