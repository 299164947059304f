/**
 * An audit of client-level privacy: whole clients are in a small federation or not, by the toss of a coin, and their updates
 * go through the very functions that clip, round, noise and add up in a run; what is released gives each a score.
 *
 * A *canary client* is the worst that a clipping bound admits: its update is far beyond the bound and lies along one
 * coordinate that nobody else's touches, so what is released about that coordinate is one trial of the mechanism, independent
 * of all others. Out means zero, as in the accounting; where the noise is local it means the opposite update, which lies
 * twice as far off and is what local noise is sold to hide. Half of the canary clients *turn*: their sign changes from round
 * to round, and so does that of the attacker's sum, in which noise that were drawn once for several rounds would cancel.
 *
 * The other clients train on a few mislabelled images of their own, and an attacker asks the last model for its loss on them.
 */
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { decodePrivately, encodePrivately, vectorLayout } from '../../shared/run/client-level-privacy.js';
import type { Hyper, PrivacySpec, TrainingSpec, WorkSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { addUpdate, type HostTensors, packTensors, sizeOf } from '../../shared/tensors/params.js';
import type { ImageData } from '../data/images.js';
import { localSgd } from '../training/local-sgd.js';
import type { Shard, Workload } from '../workload.js';
import { countFrom, lossesOf, type Scored } from './audit.js';
import { CANARY_TENSOR, mislabelled } from './canaries.js';

/** A federation, and what is promised for its clients. */
export interface ClientAuditSetup {
  readonly workload: Workload<ImageData>;
  readonly hyper: Hyper;
  readonly data: ImageData;
  readonly training: TrainingSpec;
  readonly mode: Exclude<PrivacySpec['mode'], 'example'>;
  readonly clippingBound: number;
  readonly noiseMultiplier: number;
  readonly delta: number;
  readonly rounds: number;
  /** Every other one turns. */
  readonly canaryClients: number;
  readonly trainingClients: number;
  readonly imagesEach: number;
  readonly rng: Rng;
  /** What becomes of updates; another one only to see whether the audit finds it out. */
  readonly mechanism?: Mechanism;
}

/** From an update to integers, and from their sum to numbers. */
export interface Mechanism {
  readonly encode: typeof encodePrivately;
  readonly decode: typeof decodePrivately;
}

interface ClientScores {
  readonly canaryClients: Scored;
  readonly trainingClients: Scored;
}

/** A canary's update before it is clipped, over the bound. */
const BEYOND = 1e3;
const SECURE = { valueRange: 1, weightCap: 1, adversaryFraction: 0, dropFraction: 0, phaseDeadlineMs: 1000 };

/** The specification of that federation, in which all clients are in every sum. */
export function workOf(setup: Omit<ClientAuditSetup, 'data'>): WorkSpec {
  const { workload, hyper, training, rounds, mode, clippingBound, noiseMultiplier, delta, rng } = setup;
  const clients = setup.canaryClients + setup.trainingClients;
  const model = packTensors(workload.init(rng.split('init'), hyper).shared).layout;
  const tensors = [...model, { name: CANARY_TENSOR, shape: [setup.canaryClients] }].map(({ name, shape }) => ({
    name,
    shape,
  }));
  return {
    ...{ workload: workload.manifest.name, scale: 'smoke', hyper, training, partition: 'iid', seed: 1, rounds },
    ...{ model: tensors, phases: [{ name: 'train', channels: [updateChannel(tensors)] }] },
    privacy: { mode, clippingBound, noiseMultiplier, delta, cohortMax: clients },
    ...(mode === 'distributed' && { secure: { ...SECURE, survivorsMin: clients, trainMetrics: [], testMetrics: [] } }),
  };
}

/** Trains the federation and scores its clients. Equal setups give equal scores on one back end. Leaves no tensor behind. */
export async function auditClients(setup: ClientAuditSetup): Promise<ClientScores> {
  const { rng, workload, hyper, canaryClients, trainingClients, imagesEach, rounds } = setup;
  const images = countFrom(0, trainingClients).map((client) => countFrom(client * imagesEach, imagesEach));
  const data = mislabelled(setup.data, images.flat(), rng.split('labels'));
  const coins = rng.split('coins');
  const toss = (count: number) => Array.from({ length: count }, () => coins.below(2) === 1);
  const [inCanaries, inTraining] = [toss(canaryClients), toss(trainingClients)];
  const federation = { ...setup, data, work: workOf(setup), images, inCanaries, inTraining };
  let shared: HostTensors = workload.init(rng.split('init'), hyper).shared;
  const seen = new Float64Array(canaryClients);
  for (let round = 1; round <= rounds; round++) {
    const released = await releaseRound(federation, shared, round);
    for (const i of seen.keys()) seen[i] += signOf(i, round) * released.canaries[i];
    shared = addUpdate(shared, released.update);
  }
  const losses = await lossesOf(setup, data, shared, images.flat());
  const meanLoss = (own: readonly number[]) => own.reduce((sum, image) => sum + losses[image], 0) / imagesEach;
  return {
    canaryClients: { included: inCanaries, scores: [...seen] },
    trainingClients: { included: inTraining, scores: images.map((own) => -meanLoss(own)) },
  };
}

/** Of a canary's update in a round. */
function signOf(canary: number, round: number): number {
  return canary % 2 === 1 && round % 2 === 0 ? -1 : 1;
}

type Federation = ClientAuditSetup & {
  readonly work: WorkSpec;
  readonly images: readonly (readonly number[])[];
  readonly inCanaries: readonly boolean[];
  readonly inTraining: readonly boolean[];
};

/** What a round lets out about the canaries' coordinates, and by what it moves the model: the mean over those that train. */
async function releaseRound(federation: Federation, shared: HostTensors, round: number) {
  const { work, mode, clippingBound, rng, inCanaries, inTraining, mechanism } = federation;
  const { encode, decode } = mechanism ?? { encode: encodePrivately, decode: decodePrivately };
  const plan = { work, round };
  const length = sizeOf(vectorLayout(work, round));
  const first = length - inCanaries.length;
  const sum = new Int32Array(length);
  const add = (message: Int32Array) => {
    for (let i = 0; i < length; i++) sum[i] += message[i];
  };
  const alone = new Float64Array(inCanaries.length);
  for (const [i, isIn] of inCanaries.entries()) {
    const vector = new Float32Array(length);
    const away = mode === 'local' ? -1 : 0;
    vector[first + i] = signOf(i, round) * BEYOND * clippingBound * (isIn ? 1 : away);
    const message = encode(plan, vector, rng.split(`canary/${round}/${i}`));
    alone[i] = message[first + i];
    if (mode !== 'local') add(message);
  }
  for (const [i, isIn] of inTraining.entries()) {
    const vector = new Float32Array(length);
    if (isIn) vector.set(await trainedUpdate(federation, { shared, round, client: i }));
    add(encode(plan, vector, rng.split(`client/${round}/${i}`)));
  }
  const { sums } = decode(plan, sum, rng.split(`coordinator/${round}`));
  const update = Float32Array.from(sums.subarray(0, first), (value) => value / inTraining.length);
  // Locally the message is the release: whoever collects them sees each.
  return { canaries: mode === 'local' ? alone : sums.subarray(first), update };
}

/** Zero, where training fails: a model that is mostly noise has losses without end. */
async function trainedUpdate(
  { workload, data, hyper, training, rounds, images, rng }: Federation,
  { shared, round, client }: { readonly shared: HostTensors; readonly round: number; readonly client: number },
): Promise<Float32Array> {
  const { layout } = packTensors(shared);
  const phase = { name: 'train', channels: [updateChannel(layout.map(({ name, shape }) => ({ name, shape })))] };
  const about = { workload, data, hyper, training, phase, shared, privateTensors: {}, round, rounds };
  try {
    const task = { ...about, shard: shardOf(images[client]), rng: rng.split(`train/${round}/${client}`) };
    return (await localSgd(task)).contribution.values;
  } catch (error) {
    if (error instanceof FlError && error.code === 'failed-precondition') return new Float32Array(sizeOf(layout));
    throw error;
  }
}

function shardOf(train: readonly number[]): Shard {
  return { train: Int32Array.from(train), test: new Int32Array(0), index: 0, count: 1 };
}
