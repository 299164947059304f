/**
 * Tasks of few-shot learning: some characters of one alphabet, each with a few drawings to learn from and others to be
 * asked about (N-way K-shot episodes: Vinyals et al. 2016, arXiv:1606.04080).
 */
import tf = require('@tensorflow/tfjs-core');

import { invalidArgument } from '../../../shared/errors.js';
import type { Rng } from '../../../shared/rng.js';
import { type CharacterSet, DRAWINGS } from '../../data/characters.js';

/** One class of a task. */
interface EpisodeClass {
  readonly character: number;
  /** Quarter turns of all its drawings; a turned character is another class (Santoro et al. 2016, arXiv:1605.06065). */
  readonly turns: number;
  /** The numbers 0 to 19 in a drawn order: learn from the first, ask about the last. */
  readonly order: readonly number[];
}

/** The classes of one few-shot task. */
export type Episode = readonly EpisodeClass[];

interface EpisodeOptions {
  /** Characters of the task, at most. */
  readonly ways: number;
  /** Whether characters are turned by a drawn number of quarters. */
  readonly turned: boolean;
}

/**
 * A task over characters of one alphabet among `characters`, drawn from those of which the most are there, up to `ways`.
 * @throws FlError invalid-argument: no two characters are of one alphabet
 */
export function drawEpisode(
  { alphabets }: CharacterSet,
  characters: ArrayLike<number>,
  { ways, turned }: EpisodeOptions,
  rng: Rng,
): Episode {
  const byAlphabet = new Map<string, number[]>();
  for (const character of Array.from(characters)) {
    const members = byAlphabet.get(alphabets[character]) ?? [];
    byAlphabet.set(alphabets[character], members);
    members.push(character);
  }
  const most = Math.min(ways, Math.max(...[...byAlphabet.values()].map(({ length }) => length)));
  if (!(most >= 2)) throw invalidArgument('characters', 'two of one alphabet at least', most);
  const able = [...byAlphabet.values()].filter(({ length }) => length >= most);
  const chosen = rng.shuffle([...able[rng.below(able.length)]]).slice(0, ways);
  return chosen.map((character) => ({
    character,
    turns: turned ? rng.below(4) : 0,
    order: rng.shuffle(Array.from({ length: DRAWINGS }, (_, i) => i)),
  }));
}

/**
 * Drawings `from` to `to` (in each class's own order) of every class of every episode, as numbers:
 * [episodes · ways · (to − from) · side · side].
 */
export function drawingsOf(
  { ink }: CharacterSet,
  side: number,
  episodes: readonly Episode[],
  [from, to]: readonly [number, number],
): Float32Array {
  const size = side * side;
  const images = episodes.flatMap((episode) =>
    episode.flatMap(({ character, turns, order }) =>
      order.slice(from, to).map((drawing) => ({ at: (character * DRAWINGS + drawing) * size, turns })),
    ),
  );
  const out = new Float32Array(images.length * size);
  for (const [i, { at, turns }] of images.entries()) {
    turn(ink.subarray(at, at + size), side, turns, out.subarray(i * size, (i + 1) * size));
  }
  return out;
}

/** The image turned by quarters against the clock, 0..1: where it begins to read, and how far rows and columns are apart. */
function turn(ink: Uint8Array, side: number, turns: number, out: Float32Array): void {
  const last = side - 1;
  const first = [0, last, side * side - 1, last * side][turns];
  const down = [side, -1, -side, 1][turns];
  const right = [1, side, -1, -side][turns];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) out[y * side + x] = ink[first + y * down + x * right] / 255;
  }
}

/** [count, side, side, 1] */
export function imageTensor(values: Float32Array, side: number): tf.Tensor4D {
  return tf.tensor4d(values, [values.length / (side * side), side, side, 1]);
}
