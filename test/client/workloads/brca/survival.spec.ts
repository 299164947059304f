/** Cox's loss and the C-index, against libraries that have nothing to do with FLamby's code or ours. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import { brca } from '../../../../client/workloads/brca/index.js';
import type { BrcaData, Patients } from '../../../../client/workloads/brca/patients.js';
import {
  concordance,
  coxLosses,
  diedBefore,
  isAtRisk,
  type Outcomes,
} from '../../../../client/workloads/brca/survival.js';

/** [patients, patients] */
function related(outcomes: Outcomes, relation: typeof isAtRisk): tf.Tensor2D {
  const all = [...outcomes.times.keys()];
  return tf.tensor2d(all.map((i) => all.map((j) => (relation(outcomes, i, j) ? 1 : 0))));
}

const column = (values: readonly number[]) => tf.tensor2d(values as number[], [values.length, 1]);

/** Equal times, equal risks, deaths and last sightings on one day. */
const TIED = {
  outcomes: {
    times: Float32Array.of(5, 3, 9, 3, 7, 5, 2, 9, 1, 7),
    events: Float32Array.of(1, 1, 0, 0, 1, 0, 1, 1, 0, 1),
  },
  risks: [0.3, 0.9, -0.5, 0.9, 0.1, 0.4, 0.2, -0.5, 1.5, 0.3],
};

describe('survival', () => {
  before(() => selectBackend('wasm'));

  it('counts the pairs that scikit-survival and lifelines count', () => {
    // sksurv.metrics.concordance_index_censored (0.7, 16 concordant, 6 discordant, 3 tied); lifelines 0.30.3: 0.7
    const { outcomes, risks } = TIED;
    const [right, pairs] = tf.tidy(() => {
      const one = column(risks);
      return Array.from(concordance(one, tf.transpose(one), related(outcomes, diedBefore)).dataSync());
    });
    assert.deepEqual([right, pairs], [16 + 3 / 2, 16 + 6 + 3]);
  });

  it("has the partial likelihood of statsmodels' PHReg, also where e to a risk is out of range", () => {
    const outcomes = {
      times: Float32Array.of(5, 3, 9, 4, 7, 6, 2, 8),
      events: Float32Array.of(1, 1, 0, 0, 1, 1, 1, 0),
    };
    const risks = [0.3, 0.9, -0.5, 1.9, 0.1, 0.4, 0.2, -2.5];
    const lossAt = (factor: number) =>
      tf.tidy(() => {
        const one = column(risks.map((risk) => factor * risk));
        const events = column([...outcomes.events]);
        return tf.mean(coxLosses(one, tf.transpose(one), related(outcomes, isAtRisk), events)).dataSync()[0];
      });
    // -PHReg(T, X, status=E).loglike([factor]) / 8, statsmodels
    assert.ok(Math.abs(lossAt(1) - 0.8423895) < 1e-6, String(lossAt(1)));
    assert.ok(Math.abs(lossAt(30) - 10.5061035) < 1e-5, String(lossAt(30)));
    assert.ok(Number.isFinite(lossAt(1000)));
  });

  it('compares a test patient with all of its region that the client has, however they are batched', () => {
    const { outcomes, risks } = TIED;
    const features = new Float32Array(39 * 20);
    for (let i = 0; i < 20; i++) features[39 * i] = risks[i % 10];
    const twice = (values: Float32Array) => Float32Array.from([...values, ...values]);
    const test: Patients = {
      count: 20,
      regions: Int32Array.from({ length: 20 }, (_, i) => (i < 10 ? 0 : 3)), // two regions that are alike
      features,
      times: twice(outcomes.times),
      events: twice(outcomes.events),
    };
    const data: BrcaData = { train: test, test };
    const shard = { train: new Int32Array(0), test: Int32Array.from({ length: 20 }, (_, i) => i), index: 0, count: 1 };
    const hyper = brca.manifest.scales.smoke.hyper;
    const pairsOf = (indices: number[]) =>
      tf.tidy(() => {
        const weights = tf.tensor2d([1, ...new Array<number>(38).fill(0)], [39, 1]);
        const batch = brca.batch(data, Int32Array.from(indices), { hyper, shard, split: 'test' });
        return Array.from(brca.metrics({ weights, bias: tf.zeros([1]) }, batch).pairs.sum.dataSync());
      });
    const [first, rest] = [pairsOf([0, 1, 2, 3, 11, 12, 13]), pairsOf([4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 19])];
    assert.deepEqual([first[0] + rest[0], first[1] + rest[1]], [2 * 17.5, 2 * 25]);
    assert.deepEqual(pairsOf([...shard.test]), [2 * 17.5, 2 * 25]);
  });
});
