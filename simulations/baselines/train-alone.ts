/**
 * A federation of one: what a run does with a cohort, done with a single client, by the same task runner, the same sum and
 * the same strategy, but without a coordinator in between. Its private tensors are kept from round to round.
 */
import type { TaskRunner } from '../../client/training/task.js';
import { nextModel } from '../../server/run/model.js';
import { parseStrategy } from '../../server/strategies/index.js';
import { createGathering, parseAggregator } from '../../server/updates/aggregator.js';
import { FlError } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { contributionLayout, multipliersOf, phaseOfRound } from '../../shared/tensors/channels.js';
import { type HostTensors, type Params, sizeOf } from '../../shared/tensors/params.js';

/** Who trains alone, on what, and for how long. */
export interface Alone {
  readonly spec: RunSpec;
  /** The first model. */
  readonly model: Params;
  readonly trainer: TaskRunner;
  readonly client: string;
  /** Which share of the data set; absent: all of it. */
  readonly slice?: { readonly index: number; readonly count: number };
  readonly signal?: AbortSignal;
  /** Of a model that was evaluated, the larger the better: the best one is given back, the earlier of equals. */
  readonly scoreOf?: (trained: Trained) => Promise<number | null>;
}

/** The model that came of it, in the run's layout, and the client's private tensors. */
export interface Trained {
  /** In shared memory, so that many evaluations on other threads take no copy. */
  readonly values: Float32Array;
  readonly privateTensors?: HostTensors;
  /** After which it was as it is; absent: after none. */
  readonly round?: number;
}

/**
 * All rounds of `spec.work`. Equal to a run of it with this one client: to the bit, where the slice is 0 of 1.
 * @throws FlError failed-precondition or aborted: the training diverged; aborted also when the signal fires
 */
export async function trainAlone(about: Alone): Promise<Trained> {
  const { spec, model, trainer, client, slice, signal, scoreOf } = about;
  const { work, engine } = spec;
  let best: { readonly score: number; readonly trained: Trained } | undefined;
  const strategy = parseStrategy(engine.strategy);
  let privateTensors: HostTensors | undefined;
  let state = { params: model, strategyState: strategy.init(sizeOf(model.layout)) };
  for (let round = 1; round <= work.rounds; round++) {
    const task = { kind: 'train', work, client, round, model: state.params.values } as const;
    const result = await trainer.run({ ...task, slice, privateTensors }, { signal });
    privateTensors = result.privateTensors ?? privateTensors;
    const layout = contributionLayout(phaseOfRound(work.phases, round));
    const sum = createGathering(layout, parseAggregator());
    const { values, weights } = result.contribution;
    const update = sum.prepare(values, { weight: multipliersOf(layout, weights) });
    if ('reason' in update) throw new FlError('failed-precondition', `round ${round}: ${update.detail}`);
    sum.addPrepared(update);
    state = nextModel(state, sum.mean(), { strategy, round });
    const isJudged = round % engine.evaluateEvery === 0 || round === work.rounds;
    if (scoreOf === undefined || !isJudged) continue;
    const trained = { values: inSharedMemory(state.params.values), privateTensors, round };
    const score = await scoreOf(trained);
    if (score !== null && (best === undefined || score > best.score)) best = { score, trained };
  }
  return best?.trained ?? { values: inSharedMemory(state.params.values), privateTensors, round: work.rounds };
}

function inSharedMemory(values: Float32Array): Float32Array {
  const shared = new Float32Array(new SharedArrayBuffer(values.byteLength));
  shared.set(values);
  return shared;
}
