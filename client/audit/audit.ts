/**
 * An audit of training: plants canaries by the toss of a coin, trains by the very functions that a client trains by, and
 * scores each planted example by how much the result looks as if it had been there.
 *
 * Three attackers: on gradient canaries one who sees all that was released (the sum of the updates is enough, because a
 * canary's coordinate is its own); on mislabelled and on ordinary images one who has the final model and asks for its loss
 * (Yeom et al. 2018, arXiv:1709.01604).
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../shared/rng.js';
import { meansOf } from '../../shared/run/metrics.js';
import type { Hyper, PrivacySpec, TrainingSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { addUpdate, type HostTensors, packTensors } from '../../shared/tensors/params.js';
import type { ImageData } from '../data/images.js';
import { dpSgd } from '../training/dp-sgd.js';
import { evaluate, uploadTensors } from '../training/evaluate.js';
import { localSgd } from '../training/local-sgd.js';
import type { Shard, Workload } from '../workload.js';
import { CANARY_TENSOR, mislabelled, withGradientCanaries } from './canaries.js';

/** What is trained, and how often, to audit the privacy that is promised for it. */
export interface AuditSetup {
  /** With a per-example loss, over images. */
  readonly workload: Workload<ImageData>;
  readonly hyper: Hyper;
  readonly data: ImageData;
  /** How many of each kind get a coin; images are taken from the training set, mislabelled ones first. */
  readonly gradientCanaries: number;
  readonly mislabelledImages: number;
  readonly ordinaryImages: number;
  readonly training: TrainingSpec;
  /** Absent: plain local training, without clipping and noise. */
  readonly privacy?: PrivacySpec;
  readonly rng: Rng;
}

/** Of one kind of example: who was in, and how much it looks so. */
export interface Scored {
  readonly included: readonly boolean[];
  /** Higher: looks as if it was in. */
  readonly scores: readonly number[];
}

interface AuditScores {
  readonly gradientCanaries: Scored;
  readonly mislabelledImages: Scored;
  readonly ordinaryImages: Scored;
  readonly testAccuracy: number;
}

const CHUNK = 200;
/** Far above any clipping bound, so that a clipped canary has the bound's norm exactly; modest where nothing clips. */
const SLOPE = { clipped: 1e3, plain: 1 };

/** Trains once and scores every planted example. Equal setups give equal scores on one back end. Leaves no tensor behind. */
export async function auditTraining(setup: AuditSetup): Promise<AuditScores> {
  const { hyper, rng, gradientCanaries, mislabelledImages, ordinaryImages } = setup;
  const wrong = countFrom(0, mislabelledImages);
  const usual = countFrom(mislabelledImages, ordinaryImages);
  const canaries = countFrom(setup.data.train.count, gradientCanaries);
  const data = mislabelled(setup.data, wrong, rng.split('labels'));
  const slope = setup.privacy === undefined ? SLOPE.plain : SLOPE.clipped;
  const workload = withGradientCanaries(setup.workload, { canaries: gradientCanaries, slope });
  const coins = rng.split('coins');
  const [inWrong, inUsual, inCanaries] = [wrong, usual, canaries].map((kind) => kind.map(() => coins.below(2) === 1));
  const chosen = [...only(wrong, inWrong), ...only(usual, inUsual), ...only(canaries, inCanaries)];
  const shard = {
    train: Int32Array.from(chosen),
    test: Int32Array.from(countFrom(0, data.test.count)),
    index: 0,
    count: 1,
  };
  const trained = await train(setup, workload, data, shard);
  const losses = await lossesOf(setup, data, trained, [...wrong, ...usual]);
  const sums = await evaluate({
    workload: setup.workload,
    data,
    hyper,
    shard,
    split: 'test',
    shared: trained,
    privateTensors: {},
  });
  // Gradient descent moves against the slope.
  const moved = Array.from(trained[CANARY_TENSOR].data, (coordinate) => -coordinate);
  return {
    gradientCanaries: { included: inCanaries, scores: moved },
    mislabelledImages: { included: inWrong, scores: losses.slice(0, wrong.length).map((loss) => -loss) },
    ordinaryImages: { included: inUsual, scores: losses.slice(wrong.length).map((loss) => -loss) },
    testAccuracy: meansOf(sums, 'test')['test.accuracy'],
  };
}

async function train(
  { hyper, training, privacy, rng }: AuditSetup,
  workload: Workload<ImageData>,
  data: ImageData,
  shard: Shard,
): Promise<HostTensors> {
  const { shared } = workload.init(rng.split('init'), hyper);
  const { layout } = packTensors(shared);
  const phase = { name: 'train', channels: [updateChannel(layout.map(({ name, shape }) => ({ name, shape })))] };
  const about = { workload, data, hyper, training, shard, phase, shared, privateTensors: {}, rng: rng.split('train') };
  const task = { ...about, round: 1, rounds: 1 };
  const { contribution } =
    privacy === undefined
      ? await localSgd(task)
      : await dpSgd({ ...task, privacy, noiseKey: rng.split('noise').bytes(32) });
  return addUpdate(shared, contribution.values);
}

/** Loss of the trained model on each of the training images at `indices`. Leaves no tensor behind. */
export async function lossesOf(
  { workload, hyper }: Pick<AuditSetup, 'workload' | 'hyper'>,
  data: ImageData,
  trained: HostTensors,
  indices: readonly number[],
): Promise<number[]> {
  const shard: Shard = { train: Int32Array.from(indices), test: new Int32Array(0), index: 0, count: 1 };
  const params = uploadTensors(trained);
  const losses: number[] = [];
  try {
    for (let from = 0; from < indices.length; from += CHUNK) {
      const part = tf.tidy(() => {
        const batch = workload.batch(data, shard.train.slice(from, from + CHUNK), { hyper, shard, split: 'train' });
        return workload.perExampleLoss!(params, batch);
      });
      losses.push(...(await part.data()));
      part.dispose();
    }
    return losses;
  } finally {
    tf.dispose(params);
  }
}

function only(examples: readonly number[], coins: readonly boolean[]): number[] {
  return examples.filter((_, i) => coins[i]);
}

/** `count` integers from `first` on. */
export function countFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
