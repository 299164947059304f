/** The phases of a run, and what a client does in a round of each: exchange opinions, then teach the student. */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { type Contribution, type PhaseSpec, updateChannel } from '../../../shared/tensors/channels.js';
import type { HostTensors, TensorSpec } from '../../../shared/tensors/params.js';
import type { ImageData, ImageSet } from '../../data/images.js';
import { localSgd } from '../../training/local-sgd.js';
import type { TrainContext, Workload } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { range } from '../parts/image-tensors.js';
import { crossEntropy } from '../parts/layers.js';
import { ARCHITECTURES, classify, type NetworkSize, startNetwork } from '../parts/networks.js';
import { CLASSES, lesson, logitsOn, type Teacher, taught } from './teaching.js';

/** Names of tensors: the client's network is private, the student and the mean logits are the model. */
export const OWN = 'own';
export const STUDENT = 'student';
export const LOGITS = 'logits/public';

/** Images of the clients and images that all have. */
export interface DistillationData extends ImageData {
  /** Without labels that anyone looks at; none of them is among the private training images. */
  readonly open: ImageSet;
  /** A fixed part of the test images. */
  readonly common: ImageSet;
}

type Loss = NonNullable<Workload<DistillationData>['loss']>;

/** Each client by itself, whose logits come to one opinion; then with that opinion as a teacher; then the student alone. */
export function phasesOf(hyper: Hyper, shared: readonly TensorSpec[]): PhaseSpec[] {
  const [channel, tensor] = LOGITS.split('/');
  const logits = shared.filter(({ name }) => name === LOGITS).map(({ shape }) => ({ name: tensor, shape }));
  const student = shared.filter(({ name }) => name !== LOGITS);
  if (isAveraging(hyper)) return [{ name: 'average', channels: [updateChannel(student)] }];
  const clip = { norm: 1, per: 'row' } as const;
  const channels = [{ name: channel, tensors: logits, reduce: 'mean', weight: 'clients', clip } as const];
  return [
    { name: 'alone', rounds: 1, channels },
    { name: 'exchange', rounds: hyperInteger(hyper, 'exchange-rounds', 2) - 1, channels },
    { name: 'student', channels: [{ ...updateChannel(student), weight: 'clients' }] },
  ];
}

/** Whether the run is what distillation is compared with. */
export function isAveraging(hyper: Hyper): boolean {
  return hyperChoice(hyper, 'exchange', ['logits', 'weights']) === 'weights';
}

/** The student's network on a client's own labels: federated averaging, to compare with. */
export const averagingLoss: Loss = (params, { images, labels }) =>
  tf.mean(crossEntropy(classify(params, STUDENT, images as tf.Tensor4D), labels as tf.Tensor2D));

/** Digest, revisit, communicate. Returns the client's new network. */
export async function exchange(
  distillation: Workload<DistillationData>,
  shared: HostTensors,
  privateTensors: HostTensors,
  data: DistillationData,
  context: TrainContext,
): Promise<{ contribution: Contribution; network: HostTensors }> {
  const { hyper, rng, shard } = context;
  const kind = ARCHITECTURES[shard.index % ARCHITECTURES.length];
  const fresh = Object.keys(privateTensors).length === 0;
  const network = fresh ? startNetwork(kind, networkSize(hyper), rng.split('network'), OWN) : privateTensors;
  const teacher = teacherOf(shared, data, hyper);
  const digest = teacher.logits.some((logit) => logit !== 0) ? hyperNumber(hyper, 'digest') : 0;
  const loss: Loss = (params, { images, labels }, stepRng) => {
    const revisited = tf.mean(crossEntropy(classify(params, OWN, images as tf.Tensor4D), labels as tf.Tensor2D));
    if (digest === 0) return revisited as tf.Scalar;
    const open = Int32Array.from({ length: images.shape[0] }, () => stepRng.below(data.open.count));
    return tf.add(revisited, tf.mul(digest, taught(params, OWN, lesson(teacher, open))));
  };
  const trained = await localSgd({
    // The engine's local SGD, with the network as private tensors and nothing shared.
    ...context,
    phase: { ...context.phase, channels: [updateChannel([])] },
    shared: {},
    privateTensors: network,
    data,
    workload: { ...distillation, loss },
  });
  const values = await logitsOn(teacher, trained.privateTensors, OWN);
  return {
    contribution: { values, weights: [1], metrics: trained.contribution.metrics },
    network: trained.privateTensors,
  };
}

/** The client's part of the public set, so that the federation as a whole goes through it once in an epoch. */
export async function teachStudent(
  distillation: Workload<DistillationData>,
  shared: HostTensors,
  data: DistillationData,
  context: TrainContext,
): Promise<{ contribution: Contribution }> {
  const { hyper, shard } = context;
  const part = range(0, data.open.count).filter((i) => i % shard.count === shard.index);
  const { localSteps: _, ...rest } = context.training;
  const training = { ...rest, localEpochs: hyperInteger(hyper, 'student-epochs', 1) };
  const teacher = teacherOf(shared, data, hyper);
  const workload: Workload<DistillationData> = {
    ...distillation,
    batch: (_, indices) => lesson(teacher, indices),
    loss: (params, batch) => taught(params, STUDENT, batch),
  };
  const { contribution } = await localSgd({
    ...context,
    training,
    shard: { ...shard, train: part },
    workload,
    data,
    shared,
    privateTensors: {},
  });
  return { contribution: { ...contribution, weights: contribution.weights.map(() => 1) } };
}

function teacherOf(shared: HostTensors, data: DistillationData, hyper: Hyper): Teacher {
  const bound = hyperNumber(hyper, 'logit-bound', 1);
  return { open: data.open, scale: data, logits: shared[LOGITS].data, bound };
}

/** Of the student, and of every client's network of its kind. */
export function networkSize(hyper: Hyper): NetworkSize {
  const side = hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1);
  const [filters, hidden] = [hyperInteger(hyper, 'filters', 1), hyperInteger(hyper, 'hidden', 1)];
  return { side, classes: CLASSES, filters, hidden };
}
