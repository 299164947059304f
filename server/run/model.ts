/**
 * The global model of one run: flat parameters, the strategy that moves them and the strategy's own state (moments),
 * each durable before the round that made it counts.
 */
import { join } from 'node:path';
import { systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { corrupt, FlError, inFile, invalidArgument } from '../../shared/errors.js';
import { CHUNK_BYTES } from '../../shared/service.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { UPDATE_CHANNEL } from '../../shared/tensors/channels.js';
import {
  firstNonFinite,
  type Layout,
  type LayoutEntry,
  layoutOf,
  type Params,
  sizeOf,
} from '../../shared/tensors/params.js';
import { decode, encode, type Metadata } from '../../shared/tensors/safetensors.js';
import type { ModelStore } from '../journal/models.js';
import type { Strategy, StrategyState } from '../strategies/strategy.js';

/** A model of the run, whole: what clients load, and what the next round needs of the strategy. */
export interface GlobalModel {
  readonly sha256: string;
  readonly params: Params;
  /**
   * The safetensors file that clients download: without metadata, so that it has the same bytes after a restart and a
   * download goes on where it was.
   */
  readonly file: Uint8Array;
  readonly strategyState: StrategyState;
}

/**
 * The model of a run that starts, or goes on, with the stored model `sha256`; after a round (`isMoved`) its strategy has
 * moments, if it has any at all.
 * @throws FlError not-found, corrupt: the message begins with the file below `directory`
 */
export async function openModel(
  models: ModelStore,
  given: { directory: string; sha256: string; layout: Layout; strategy: Strategy; isMoved: boolean },
): Promise<GlobalModel> {
  const { directory, sha256, layout, strategy, isMoved } = given;
  const name = `${sha256}.safetensors`;
  const { params } = await inFile(`models/${name}`, () => models.load(sha256, { expect: layout }));
  const fresh = strategy.init(sizeOf(layout));
  const strategyState = await inFile(`strategy/${name}`, async () => {
    const stored = await systemFiles.read(statePath(directory, sha256));
    if (stored !== undefined) return decodeState(stored);
    if (isMoved && !isEmpty(fresh)) {
      throw new FlError(
        'not-found',
        `expected what ${strategy.name} remembers of earlier rounds, there is no such file`,
      );
    }
    return fresh;
  });
  return { sha256, params, file: encode(params), strategyState };
}

function decodeState(stored: Uint8Array): StrategyState {
  const { params: vectors, metadata } = decode(stored);
  const { scalars: text = '{}', sha256 } = metadata;
  const got = hashOf(vectors, text);
  if (sha256 !== undefined && sha256 !== got) throw corrupt('its values', sha256, got); // version 0.1 wrote no hash
  const entries = vectors.layout.map(({ name, offset, size }) => [name, vectors.values.slice(offset, offset + size)]);
  const scalars = JSON.parse(text) as StrategyState['scalars'];
  return { vectors: Object.fromEntries(entries), scalars };
}

/** A moment that is not what it was would move every later model, and nothing else would tell. */
function hashOf(vectors: Params, scalars: string): string {
  return sha256Hex(`${sha256Of(vectors)} ${scalars}`);
}

function isEmpty({ vectors, scalars }: StrategyState): boolean {
  return Object.keys(vectors).length === 0 && Object.keys(scalars).length === 0;
}

/**
 * One round: the mean contribution becomes the next model. Durable when it resolves, in a file that says `metadata`.
 * @throws FlError aborted when the result is not finite.
 */
export async function advanceModel(
  model: GlobalModel,
  mean: Params,
  deps: { models: ModelStore; directory: string; strategy: Strategy; round: number; metadata?: Metadata },
): Promise<GlobalModel> {
  const { models, directory, metadata, ...how } = deps;
  const { params, strategyState } = nextModel(model, mean, how);
  const sha256 = sha256Of(params);
  const file = encode(params);
  await storeState(directory, sha256, strategyState);
  await models.put(encode(params, metadata), sha256);
  return { sha256, params, file, strategyState };
}

/**
 * The arithmetic of {@link advanceModel}; pure. The update channel goes through the strategy; every other channel replaces
 * the model tensors that carry its name.
 * @throws FlError aborted when the result is not finite.
 */
export function nextModel(
  model: Pick<GlobalModel, 'params' | 'strategyState'>,
  mean: Params,
  { strategy, round }: { readonly strategy: Strategy; readonly round: number },
): Pick<GlobalModel, 'params' | 'strategyState'> {
  const { layout } = model.params;
  const update = new Float32Array(sizeOf(layout));
  const moved = new Set<LayoutEntry>();
  const replaced: [number, Float32Array][] = [];
  for (const { name, offset, size } of mean.layout) {
    const values = mean.values.subarray(offset, offset + size);
    const [channel, ...rest] = name.split('/');
    const isUpdate = channel === UPDATE_CHANNEL;
    const target = layout.find((entry) => entry.name === (isUpdate ? rest.join('/') : name));
    if (target === undefined) throw new FlError('internal', `channel tensor "${name}" has no tensor in the model`);
    if (isUpdate) {
      update.set(values, target.offset);
      moved.add(target);
    } else replaced.push([target.offset, values]);
  }
  const [values, strategyState] = strategy.apply(model.params.values, update, model.strategyState, round);
  // momentum and moments of earlier rounds would move tensors that the phase freezes, or that nobody holds
  const still = layout.filter((entry) => !moved.has(entry));
  for (const { offset, size } of still) values.set(model.params.values.subarray(offset, offset + size), offset);
  for (const [offset, tensor] of replaced) values.set(tensor, offset);
  const bad = firstNonFinite(values);
  if (bad >= 0) throw new FlError('aborted', `round ${round}: the new model is not finite at element ${bad}`);
  return { params: { layout, values }, strategyState };
}

/**
 * The model's file from byte `offset` on, in pieces of at most {@link CHUNK_BYTES}.
 * @throws FlError not-found (the model asked for is another one), invalid-argument (an offset behind its end)
 */
export function* piecesOf(
  model: Pick<GlobalModel, 'sha256' | 'file'>,
  { sha256, offset }: { readonly sha256: string; readonly offset: number },
): Generator<Uint8Array> {
  const { file } = model;
  if (sha256 !== model.sha256) throw new FlError('not-found', `model ${sha256} is not the one of this round`);
  if (offset > file.length) throw invalidArgument('offset', `at most ${file.length}`, offset);
  for (let at = offset; at < file.length; at += CHUNK_BYTES) yield file.subarray(at, at + CHUNK_BYTES);
}

/** In a run directory: the model of the best evaluation, where the run has chosen one. */
export const BEST_MODEL = 'models/best.safetensors';

/** Durable when it resolves; done again whenever a process may have ended before. */
export async function keepBest(models: ModelStore, directory: string, sha256: string): Promise<void> {
  await writeFileDurably(join(directory, BEST_MODEL), await models.get(sha256));
}

/** Forgets all models but those of `keep`. */
export async function pruneModels(models: ModelStore, directory: string, keep: readonly string[]): Promise<void> {
  for (const sha256 of await models.prune(new Set(keep))) {
    await systemFiles.remove(statePath(directory, sha256)).catch(() => undefined); // most strategies have no state
  }
}

async function storeState(directory: string, sha256: string, state: StrategyState): Promise<void> {
  if (isEmpty(state)) return;
  const names = Object.keys(state.vectors).sort();
  const layout = layoutOf(names.map((name) => ({ name, shape: [state.vectors[name].length] })));
  const values = new Float32Array(sizeOf(layout));
  for (const { name, offset } of layout) values.set(state.vectors[name], offset);
  const path = statePath(directory, sha256);
  await systemFiles.makeDirectory(join(directory, 'strategy'));
  const params = { layout, values };
  const scalars = JSON.stringify(state.scalars);
  await writeFileDurably(path, encode(params, { scalars, sha256: hashOf(params, scalars) }));
}

function statePath(directory: string, sha256: string): string {
  return join(directory, 'strategy', `${sha256}.safetensors`);
}
