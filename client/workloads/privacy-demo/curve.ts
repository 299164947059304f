/**
 * What privacy costs: one model trained by DP-SGD on all the training data at several noise multipliers, each with the ε that
 * the accountant charges and the accuracy that is left.
 */

import { privacyEpsilon } from '../../../shared/privacy/accounting/calibrate.js';
import type { Rng } from '../../../shared/rng.js';
import { meansOf } from '../../../shared/run/metrics.js';
import type { Hyper, TrainingSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { addUpdate, packTensors } from '../../../shared/tensors/params.js';
import { dpSgd } from '../../training/dp-sgd.js';
import { evaluate } from '../../training/evaluate.js';
import type { Shard, Workload } from '../../workload.js';

/** One training with clipping and several with noise; `noiseMultipliers` are multiples of `clippingBound`, ε is at `delta`. */
export interface CurveSetup<Data> {
  readonly workload: Workload<Data>;
  readonly data: Data;
  readonly hyper: Hyper;
  readonly rng: Rng;
  readonly noiseMultipliers: readonly number[];
  readonly steps: number;
  readonly samplingRate: number;
  readonly clippingBound: number;
  readonly learningRate: number;
  readonly delta: number;
}

/** One training run. */
interface CurvePoint {
  readonly noiseMultiplier: number;
  readonly epsilon: number;
  readonly accuracy: number;
}

/** Accuracy against noise. */
export interface Curve {
  readonly points: readonly CurvePoint[];
  /** Accuracy with clipping alone. */
  readonly withoutNoise: number;
}

/** DP-SGD is not made for no noise at all; this much changes no digit that is shown. */
const NO_NOISE = 1e-6;
const CHUNK = 128;

/** All runs begin at one model and take the same lots. Leaves no tensor behind. */
export async function epsilonCurve<Data>(setup: CurveSetup<Data>): Promise<Curve> {
  const { samplingRate, steps, delta } = setup;
  const points: CurvePoint[] = [];
  for (const noiseMultiplier of setup.noiseMultipliers) {
    const accuracy = await accuracyAt(setup, noiseMultiplier);
    points.push({
      noiseMultiplier,
      accuracy,
      epsilon: privacyEpsilon({ noiseMultiplier, samplingRate, steps, delta }),
    });
  }
  return { points, withoutNoise: await accuracyAt(setup, NO_NOISE) };
}

async function accuracyAt<Data>(setup: CurveSetup<Data>, noiseMultiplier: number): Promise<number> {
  const { workload, data, hyper, rng, clippingBound, samplingRate, delta } = setup;
  const { shared } = workload.init(rng.split('init'), hyper);
  const { train, test } = workload.examples(data, hyper);
  const shard: Shard = { train: countTo(train.count), test: countTo(test.count), index: 0, count: 1 };
  const layout = packTensors(shared).layout.map(({ name, shape }) => ({ name, shape }));
  const phase = { name: 'train', channels: [updateChannel(layout)] };
  const { contribution } = await dpSgd({
    workload,
    data,
    hyper,
    shard,
    phase,
    shared,
    privateTensors: {},
    rng,
    round: 1,
    rounds: 1,
    training: trainingOf(setup),
    privacy: { mode: 'example', clippingBound, noiseMultiplier, samplingRate, delta },
    noiseKey: rng.split(`noise/${noiseMultiplier}`).bytes(32),
  });
  const trained = addUpdate(shared, contribution.values);
  const sums = await evaluate({ workload, data, hyper, shard, split: 'test', shared: trained, privateTensors: {} });
  return meansOf(sums, 'test')['test.accuracy'];
}

function trainingOf({ steps, learningRate }: Pick<CurveSetup<unknown>, 'steps' | 'learningRate'>): TrainingSpec {
  return {
    localSteps: steps,
    batchSize: CHUNK,
    clientLr: learningRate,
    momentum: 0,
    weightDecay: 0,
    gradientClipNorm: 0,
    lrSchedule: 'constant',
    proximalMu: 0,
  };
}

function countTo(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}
