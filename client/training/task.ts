/**
 * One task of one client, from the plan's words to numbers: load the workload and its data, take this client's share,
 * train or evaluate. What is costly is done once and kept: data for each (workload, hyper, seed), shares for each
 * partition of it.
 *
 * Randomness comes from the run's seed by label: `init` for the first model, `data` for generated data, `partition`, and
 * `train/ROUND/CLIENT` for local training; so neither the order of clients nor the process they run in changes a bit.
 */

import { FlError, invalidArgument } from '../../shared/errors.js';
import { rngFromKey, rngFromSeed } from '../../shared/rng.js';
import { asValidation, type SumMetrics } from '../../shared/run/metrics.js';
import { isProtected, type TrainingSpec, type WorkSpec } from '../../shared/run/spec.js';
import { noised } from '../../shared/run/test-noise.js';
import {
  type Contribution,
  contributionLayout,
  type PhaseSpec,
  phaseOfRound,
  UPDATE_CHANNEL,
} from '../../shared/tensors/channels.js';
import { type HostTensors, layoutOf, sizeOf, type TensorSpec } from '../../shared/tensors/params.js';
import { heldOut } from '../data/hold-out.js';
import { type Partition, partition } from '../data/partition.js';
import type { JudgedSplit, Shard, TrainContext, Workload } from '../workload.js';
import { complete, updateOnly } from './contribute.js';
import { inputFault } from './data-fault.js';
import { checkExamplePrivacy, dpSgd } from './dp-sgd.js';
import { evaluate, evaluateEach } from './evaluate.js';
import { type FewerSteps, fewerSteps, type MostSteps } from './fewer-steps.js';
import { finiteOr, notFiniteIn, zerosFor } from './finite.js';
import { type LocalResult, localSgd, type Progress } from './local-sgd.js';

/** What a site decides of the work that it does. */
export interface SiteRules {
  /** Of the training examples, in every run; absent: as the plan asks. A validation split of the workload's own stays. */
  readonly validationFraction?: number;
  /** The most that is done of a round's work; absent: all of it. */
  readonly most?: MostSteps;
}

interface ClientTask {
  readonly work: WorkSpec;
  /** The client's name: part of the label that its randomness is derived by. */
  readonly client: string;
  /** This client's share of a data set that many divide; absent: all the data of the site is its own. */
  readonly slice?: { readonly index: number; readonly count: number };
  /** What the site decides for itself, whatever the plan says; absent: nothing. */
  readonly site?: SiteRules;
  readonly round: number;
  /** The shared tensors, flat, in the order of `work.model`. */
  readonly model: Float32Array;
  /** Hash of `model`: a pool sends a model that it knows only once. */
  readonly modelSha256?: string;
  /** Private tensors as the client's last training left them; absent: as `init` makes them. */
  readonly privateTensors?: HostTensors;
}

/** A round of local training. */
export interface TrainTask extends ClientTask {
  readonly kind: 'train';
  /** 32 secret bytes from which example-level privacy draws its lots and its noise; needed for nothing else. */
  readonly noiseKey?: Uint8Array;
}

interface EvaluateTask extends ClientTask {
  readonly kind: 'evaluate';
  /** 32 secret bytes from which the noise of test figures is drawn; needed where the plan noises them. */
  readonly noiseKey?: Uint8Array;
}

/** One task of one client. */
export type Task = TrainTask | EvaluateTask;

/** What training gives; the caller owns all of it. */
export type TrainResult = {
  readonly kind: 'train';
  readonly contribution: Contribution;
  /** New private tensors, to be kept until the next round; absent when the workload has none. */
  readonly privateTensors?: HostTensors;
  /** In a run that protects its clients: why the contribution is all zeros. For the site's own log. */
  readonly zeroed?: string;
  /** Where the site does less than was asked for; likewise for its own log. */
  readonly fewer?: Pick<FewerSteps, 'taken' | 'asked'>;
};

/** Sums over the client's test examples; none where these were `zeroed`, as in training. */
export type EvaluateResult = { readonly kind: 'evaluate'; readonly metrics: SumMetrics; readonly zeroed?: string };

export type ResultOf<T extends Task> = T extends TrainTask ? TrainResult : EvaluateResult;

/** How a task is cancelled and watched. */
export interface TaskOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: Progress;
}

/** Computes tasks: in this process, or in a pool of threads. */
export interface TaskRunner {
  /** Tasks may overlap; each is computed as if it were alone. */
  run<T extends Task>(task: T, options?: TaskOptions): Promise<ResultOf<T>>;
  /** Examples of this client under a plan's work, which depend on no model; absent: nobody asks. @throws as `run` */
  count?(of: CountTask): Promise<ExampleCounts>;
}

/** Whose examples. */
export type CountTask = Pick<ClientTask, 'work' | 'slice' | 'site'>;

/** How many there are of each split. */
export interface ExampleCounts {
  readonly train: number;
  readonly validation?: number;
  readonly test: number;
}

/** @param options.loadWorkload maps a name of a plan to a workload; it decides which names are allowed */
export function createTaskRunner(options: {
  readonly loadWorkload: (name: string) => Promise<Workload>;
  /** Where this site keeps its data. */
  readonly dataDir?: string;
}): Required<TaskRunner> {
  const sites = new Map<string, Promise<Site>>();

  async function site({ workload, hyper, seed }: WorkSpec): Promise<Site> {
    const key = JSON.stringify([workload, Object.entries(hyper).sort(), seed]);
    let loading = sites.get(key);
    if (loading === undefined) {
      loading = openSite(await options.loadWorkload(workload), { hyper, seed }, options.dataDir);
      sites.set(key, loading);
      loading.catch(() => sites.delete(key)); // the data may be there when it is asked for again
    }
    return loading;
  }

  async function run(task: Task, { signal, onProgress }: TaskOptions = {}): Promise<TrainResult | EvaluateResult> {
    const { workload, data, shard: shardOf, newPrivateTensors } = await site(task.work);
    const { hyper } = task.work;
    const shared = unflatten(task.model, task.work.model);
    const privateTensors = task.privateTensors ?? newPrivateTensors();
    const shard = shardOf(task.work.partition, task.slice, fractionOf(task));
    const own = { workload, data, shard, shared, privateTensors, signal, onProgress };
    const toTheEnd = isProtected(task.work);
    if (task.kind === 'train') {
      const { privateTensors: kept, ...result } = await train({ ...own, task, toTheEnd });
      return { kind: 'train', ...result, privateTensors: Object.keys(kept).length > 0 ? kept : undefined };
    }
    const { tests } = task.work.privacy ?? {};
    if (tests !== undefined) {
      const total = await evaluateEach({ ...own, hyper, split: 'test' }, tests);
      return { kind: 'evaluate', metrics: noised(total, tests, rngFromKey(noiseKeyOf(task), 'tests/v1')) };
    }
    let metrics: SumMetrics = {};
    let zeroed: string | undefined;
    for (const split of ['test', 'validation'] as const) {
      const outcome = await finiteOr(() => evaluate({ ...own, hyper, split, toTheEnd }));
      if ('result' in outcome)
        metrics = { ...metrics, ...(split === 'test' ? outcome.result : asValidation(outcome.result)) };
      else zeroed ??= await explained({ ...own, hyper }, split, outcome.notFinite);
      if (zeroed !== undefined && !toTheEnd) throw new FlError('failed-precondition', zeroed);
    }
    return zeroed === undefined ? { kind: 'evaluate', metrics } : { kind: 'evaluate', metrics: {}, zeroed };
  }

  async function count(of: CountTask): Promise<ExampleCounts> {
    const { train, test, validation } = (await site(of.work)).shard(of.work.partition, of.slice, fractionOf(of));
    return { train: train.length, test: test.length, ...(validation && { validation: validation.length }) };
  }

  return { run: run as TaskRunner['run'], count };
}

/** What a run is drawn from. */
type Seeded = Pick<WorkSpec, 'hyper' | 'seed'>;

/** The first model of a run, and the tensors that stay private; equal for equal work. */
export function initialModel(
  workload: Workload,
  { hyper, seed }: Seeded,
): { shared: HostTensors; private: HostTensors } {
  const { shared, private: privateTensors = {} } = workload.init(rngFromSeed(seed).split('init'), hyper);
  return { shared, private: privateTensors };
}

/** The data of a run; equal for equal work. `dataDir`: where this site keeps its own. */
export function loadData(workload: Workload, { hyper, seed }: Seeded, dataDir?: string): Promise<unknown> {
  const rng = rngFromSeed(seed).split('data');
  return workload.load({ hyper, rng, dataDir });
}

/** A workload with its data, divided as a run divides them. */
export interface Site {
  readonly workload: Workload;
  readonly data: unknown;
  /** @param validationFraction of the training examples, where the workload has no validation split */
  readonly shard: (scheme: string, slice: ClientTask['slice'], validationFraction?: number) => Shard;
  /** The private tensors of a client that has never trained: its to change. */
  readonly newPrivateTensors: () => HostTensors;
}

/** Loads the data of a run and divides them on demand. @throws FlError as the workload's `load` */
export async function openSite(workload: Workload, { hyper, seed }: Seeded, dataDir?: string): Promise<Site> {
  const rng = rngFromSeed(seed);
  const data = await loadData(workload, { hyper, seed }, dataDir);
  const { train, test } = workload.examples(data, hyper);
  const validation = workload.validation?.examples(data, hyper);
  const partitions = new Map<string, Partition>();
  const ownShard = (scheme: string, slice: ClientTask['slice']): Shard => {
    if (slice === undefined) {
      const own = validation && { validation: countTo(validation.count) };
      return { train: countTo(train.count), test: countTo(test.count), ...own, index: 0, count: 1 };
    }
    const { index, count } = slice;
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw invalidArgument('slice.index', `an integer from 0 to ${count - 1}`, index);
    }
    const key = `${scheme} ${count}`;
    const shares =
      partitions.get(key) ?? partition({ scheme, clients: count, train, test, validation }, rng.split('partition'));
    partitions.set(key, shares);
    const own = shares.validation && { validation: shares.validation[index] };
    return { train: shares.train[index], test: shares.test[index], ...own, index, count };
  };
  const shard: Site['shard'] = (scheme, slice, fraction = 0) => {
    const own = ownShard(scheme, slice);
    if (validation !== undefined || fraction === 0) return own;
    const isHeldOut = heldOut(train.count, fraction);
    return { ...own, train: own.train.filter((i) => !isHeldOut(i)), validation: own.train.filter(isHeldOut) };
  };
  let initial: HostTensors | undefined; // drawing a whole model may take longer than training it
  const newPrivateTensors = () => {
    initial ??= initialModel(workload, { hyper, seed }).private;
    const copies = Object.entries(initial).map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]);
    return Object.fromEntries(copies) as HostTensors;
  };
  return { workload, data, shard, newPrivateTensors };
}

/** The site's word before the plan's. */
function fractionOf({ work, site }: CountTask): number | undefined {
  return site?.validationFraction ?? work.validationFraction;
}

interface TrainInput {
  readonly task: TrainTask;
  readonly workload: Workload;
  readonly data: unknown;
  readonly shard: Shard;
  readonly shared: HostTensors;
  readonly privateTensors: HostTensors;
  /** The run protects its clients: of what is not finite it becomes zeros, and every step is taken. */
  readonly toTheEnd: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: Progress | undefined;
}

type Trained = Omit<LocalResult, 'diverged'> & Pick<TrainResult, 'zeroed' | 'fewer'>;

async function train(input: TrainInput): Promise<Trained> {
  const { task, workload, shard, toTheEnd } = input;
  const { work, round } = task;
  const less = fewerSteps(work, shard.train.length, task.site?.most);
  const fewer = less && { taken: less.taken, asked: less.asked };
  if (work.privacy?.mode === 'example') {
    checkExamplePrivacy(workload);
    noiseKeyOf(task);
  }
  const phase = phaseOfRound(work.phases, round);
  const outcome = await finiteOr(() => trained(input, phase, less));
  const { contribution, privateTensors, diverged } =
    'result' in outcome
      ? outcome.result
      : { contribution: undefined, privateTensors: input.privateTensors, diverged: outcome.notFinite };
  const layout = contributionLayout(phase);
  const field = `contribution of ${workload.manifest.name} in phase ${phase.name}`;
  const notFinite = contribution && notFiniteIn(field, layout, contribution);
  const said = diverged ?? notFinite;
  if (contribution !== undefined && said === undefined) return { contribution, privateTensors, fewer };
  const why = await explained({ ...input, hyper: work.hyper }, 'train', said!);
  if (!toTheEnd) throw new FlError('failed-precondition', why);
  const zeros = zerosFor(layout, shard.train.length, contribution?.weights);
  return { contribution: zeros, privateTensors: input.privateTensors, zeroed: why, fewer };
}

/** Why numbers are not finite, beginning with the example whose input is not, if there is one. */
async function explained(of: Parameters<typeof inputFault>[0], split: JudgedSplit, why: string): Promise<string> {
  const fault = await inputFault(of, split).catch(() => undefined); // a workload that trains by itself may have no such batch
  if (fault === undefined) return why;
  return why.startsWith('the loss of') ? fault : `${fault}: ${why.replace(/: lower client-lr$/, '')}`;
}

/** As it comes from the workload, or from the engine and what the workload adds: not looked at yet. */
async function trained(input: TrainInput, phase: PhaseSpec, less: FewerSteps | undefined): Promise<LocalResult> {
  const result = await trainedBy(input, phase, less?.training ?? input.task.work.training);
  const { values } = result.contribution;
  for (const { name, offset, size } of less ? contributionLayout(phase) : []) {
    if (!name.startsWith(`${UPDATE_CHANNEL}/`)) continue;
    for (let i = offset; i < offset + size; i++) values[i] *= less!.scale;
  }
  return result;
}

async function trainedBy(input: TrainInput, phase: PhaseSpec, training: TrainingSpec): Promise<LocalResult> {
  const { task, workload, data, shard, shared, privateTensors, toTheEnd, signal, onProgress } = input;
  const { work, round, client } = task;
  const { hyper, rounds } = work;
  const rng = rngFromSeed(work.seed).split(`train/${round}/${client}`);
  const context: TrainContext = {
    ...{ phase, hyper, training, shard, round, rounds, rng },
    ...{ toTheEnd, signal, onProgress },
  };
  if (workload.train === undefined) {
    const input = { ...context, workload, data, shared, privateTensors };
    // other channels than the update have no noise of their own under example-level privacy: dpSgd refuses them
    const local =
      work.privacy?.mode === 'example'
        ? await dpSgd({ ...input, privacy: work.privacy, noiseKey: noiseKeyOf(task) })
        : await localSgd(workload.contribute === undefined ? input : { ...input, phase: updateOnly(phase) });
    if (workload.contribute === undefined) return local;
    const addition = {
      data,
      shared,
      privateTensors: local.diverged === undefined ? local.privateTensors : privateTensors,
      hyper,
      shard,
      split: 'train' as const,
      rng: rng.split('add'),
    };
    return { ...local, contribution: complete(phase, local.contribution, await workload.contribute(addition)) };
  }
  const result = await workload.train(shared, privateTensors, data, context);
  return { contribution: result.contribution, privateTensors: result.private ?? privateTensors };
}

function noiseKeyOf({ noiseKey }: Task): Uint8Array {
  if (noiseKey?.length === 32) return noiseKey;
  const got = noiseKey === undefined ? 'none' : `${noiseKey.length} bytes`;
  throw new FlError('failed-precondition', `noiseKey: expected 32 secret bytes for example-level privacy, got ${got}`);
}

/** Named copies: the model may lie in memory that other threads read. */
function unflatten(model: Float32Array, specs: readonly TensorSpec[]): HostTensors {
  const layout = layoutOf(specs);
  if (model.length !== sizeOf(layout)) throw invalidArgument('model', `${sizeOf(layout)} elements`, model.length);
  const tensors: HostTensors = {};
  for (const { name, shape, offset, size } of layout) {
    tensors[name] = { shape, data: model.slice(offset, offset + size) };
  }
  return tensors;
}

function countTo(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}
