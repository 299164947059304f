/**
 * The patients of heart where the data set lies (STARLING_DATA_DIR), in either form, against figures that pandas gives
 * (heart.py): of UCI's files they are FLamby's own, run with its dataset.py.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { checkConfig, loadWorkload, resolve, simulate } from 'starling-fl';
import { createTrainerPool } from 'starling-fl/client';
import { selectBackend } from '../../client/backends/index.js';
import { findData } from '../../client/data/index.js';
import { heart } from '../../client/workloads/heart/index.js';
import {
  FEATURES,
  type HeartData,
  HOSPITALS,
  type Patients,
  readHeart,
} from '../../client/workloads/heart/patients.js';
import { withFolder } from '../e2e/support.js';
import { torchLinear, torchRand } from '../support/torch-linear.js';

const WIDTH = FEATURES.length;

/** What one patient of Cleveland, who trains, makes different. */
const CLEVELAND = {
  uci: {
    illInTraining: 91,
    own: [
      0.1995, 0.6789, -0.7024, -0.2582, -0.412, 1.2365, -0.671, -0.2271, 2.5176, -0.6398, -0.9727, -0.1005, -1.0025,
    ],
    pooled: [
      0.3166, 0.5657, -0.6852, 0.1726, -0.42, 1.4839, -0.7935, -0.1271, 2.0005, -0.5244, -1.0496, -0.4166, -0.5625,
    ],
    right: 64,
    rightPooled: 142,
    modelSha256: 'aef2de602d9e85c36eb6384a7011b5621531b326331d9c1a0f9b5094d4b28966',
  },
  copy: {
    illInTraining: 90,
    own: [0.2101, 0.671, -0.7002, -0.2442, -0.412, 1.2313, -0.671, -0.2271, 2.5176, -0.6475, -0.963, -0.1005, -0.9925],
    pooled: [
      0.3207, 0.5625, -0.6842, 0.1755, -0.42, 1.4815, -0.7935, -0.1271, 2.0005, -0.5276, -1.0453, -0.4166, -0.5593,
    ],
    right: 63,
    rightPooled: 141,
    modelSha256: '86f1a54c7345ee8dc03cd93fcf8d8e8b5d2337f5adedcfe1aaf83ee706be6951',
  },
};

/** Positions of a hospital's patients. */
const of = ({ hospitals }: Patients, hospital: number) =>
  [...hospitals.keys()].filter((i) => hospitals[i] === hospital);
const rounded = (values: Float32Array) => Array.from(values, (value) => Number(value.toFixed(4)));

describe('the patients of heart', function () {
  this.timeout(300_000);
  let data: HeartData;
  let cleveland: (typeof CLEVELAND)['uci'];
  before(async () => {
    await selectBackend('wasm');
    const folder = findData('heart');
    data = await readHeart(folder);
    cleveland = CLEVELAND[existsSync(join(folder, 'processed.cleveland.data')) ? 'uci' : 'copy'];
  });

  it("are FLamby's: as many of each hospital and part, and as many of them ill", () => {
    const counts = HOSPITALS.map((_, hospital) =>
      [data.train, data.test].flatMap((part) => {
        const patients = of(part, hospital);
        return [patients.length, patients.filter((i) => part.ill[i] === 1).length];
      }),
    );
    assert.deepEqual(counts, [
      [199, cleveland.illInTraining, 104, 48],
      [172, 65, 89, 33],
      [30, 30, 16, 15],
      [85, 66, 45, 35],
    ]);
  });

  it('are scaled by the training patients of their hospital, or by all', () => {
    const first = (hospital: number) => {
      const [i] = of(data.test, hospital);
      return rounded(data.test.own.subarray(i * WIDTH, (i + 1) * WIDTH));
    };
    assert.deepEqual(first(0), cleveland.own);
    assert.deepEqual(
      [first(1), first(2), first(3)],
      [
        [
          -2.0444, -1.5575, -1.8296, -0.4114, -0.2851, 0.4534, -0.6836, -0.6862, 1.2793, -0.4397, -0.826, 2.4178,
          -0.1539,
        ],
        [-1.1715, 0.3277, -1.0224, 0, -0.3277, -0.0538, 0.8598, 1.3456, -0.1826, -0.3277, 0.3856, -0.5424, -0.1826],
        [-2.052, 0.1543, -0.184, 0.2992, -0.6967, 0.2475, -1.312, -1.2896, -0.2209, -0.4787, 0.6055, 1.1056, -0.4031],
      ],
    );
    assert.deepEqual(rounded(data.test.pooled.subarray(0, WIDTH)), cleveland.pooled);
  });

  it('are told apart by a model of PyTorch as they are by FLamby', () => {
    // torch.manual_seed(42); torch.rand(3), to the digits that PyTorch prints
    assert.deepEqual(
      torchRand(42, 3).map((draw) => draw.toFixed(4)),
      ['0.8823', '0.9150', '0.3829'],
    );
    const values = torchLinear(42, WIDTH);
    const right = (hospital?: number) =>
      tf.tidy(() => {
        const params = {
          weights: tf.tensor2d(values.subarray(0, WIDTH), [WIDTH, 1]),
          bias: tf.tensor1d([values[WIDTH]]),
        };
        const all = [...data.test.hospitals.keys()];
        const indices = Int32Array.from(hospital === undefined ? all : of(data.test, hospital));
        const shard = { train: new Int32Array(0), test: indices, index: 0, count: 1 };
        const hyper = heart.manifest.scales.demo.hyper;
        const sums = heart.metrics(params, heart.batch(data, indices, { hyper, shard, split: 'test' }));
        return [sums.accuracy, sums['pooled-accuracy']].map(({ sum }) => sum.dataSync()[0]);
      });
    assert.deepEqual(
      HOSPITALS.map((_, hospital) => right(hospital)[0]),
      [cleveland.right, 50, 9, 26],
    );
    assert.equal(right()[1], cleveland.rightPooled);
  });

  it('give the same model of seed 1 to the bit', () =>
    withFolder(async (directory) => {
      const workload = await loadWorkload('heart');
      const config = checkConfig({ workload: 'heart', scale: 'demo', seed: 1, rounds: 2, 'min-clients': 4 }, 'heart');
      const trainer = await createTrainerPool({ workers: 1, backend: 'wasm' });
      const how = { workers: 1, transport: 'memory', dropout: 0, baselines: 'none', backend: 'wasm' } as const;
      const { report } = await simulate({ ...resolve(config, workload), ...how, workload, trainer, directory }).finally(
        () => trainer.close(),
      );
      assert.equal(report.modelSha256, cleveland.modelSha256);
    }));
});
