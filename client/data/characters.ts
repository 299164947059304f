/**
 * Handwritten characters of many alphabets, each drawn by twenty people: the two small background sets of Omniglot (Lake,
 * Salakhutdinov and Tenenbaum 2015, doi:10.1126/science.aab3050), and scribbles that are made up for tests.
 *
 * Of the eight alphabets, the last two by name are held out: nobody trains on them, and few-shot tasks for testing are made
 * of their characters alone. Ink is 1, paper 0; images of 105 x 105 are averaged down to `side` x `side`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { type Bitmap, readBitmap } from './bitmap.js';
import { findData } from './index.js';
import { readZip } from './zip.js';

/** Drawings of each character, by as many people. */
export const DRAWINGS = 20;
const HELD_OUT_ALPHABETS = 2;

const MADE_UP_ALPHABETS = 6;
const MADE_UP_CHARACTERS = 8;
/** Characters of the alphabets that are trained on, by the name of the data. */
export const TRAINING_CHARACTERS = {
  omniglot: 183,
  drawn: (MADE_UP_ALPHABETS - HELD_OUT_ALPHABETS) * MADE_UP_CHARACTERS,
} as const;

/** Characters with {@link DRAWINGS} drawings each. */
export interface CharacterSet {
  /** Alphabet of each character. */
  readonly alphabets: readonly string[];
  /** [character · 20 · side · side], 0..255. */
  readonly ink: Uint8Array;
}

/** Characters to learn from, and others to be tested on. */
export interface CharacterData {
  readonly side: number;
  readonly train: CharacterSet;
  /** Of alphabets that no training character is of. */
  readonly test: CharacterSet;
}

interface CharacterRequest {
  readonly name: string;
  readonly side: number;
  readonly dataDir?: string;
  /** For scribbles. */
  readonly rng: Rng;
}

/** A character: its alphabet and its drawings, each [side · side]. */
interface Character {
  readonly alphabet: string;
  readonly drawings: Uint8Array[];
}

/** @throws FlError data-missing · corrupt · invalid-argument: an unknown name */
export async function loadCharacters(request: CharacterRequest): Promise<CharacterData> {
  switch (request.name) {
    case 'omniglot':
      return holdOut(await omniglot(request), request.side);
    case 'drawn':
      return holdOut(scribbles(request), request.side);
    default:
      throw invalidArgument('hyper.data', 'omniglot or drawn', request.name);
  }
}

/** Greek and Latin are in both archives and count once. */
async function omniglot({ side, dataDir }: CharacterRequest): Promise<readonly Character[]> {
  const folder = findData('omniglot', { dataDir });
  const characters = new Map<string, Character>();
  for (const file of ['omniglot_small1.zip', 'omniglot_small2.zip']) {
    const path = join(folder, file);
    const inThis = new Set<string>();
    for (const { name, bytes } of readZip(await readFile(path), path)) {
      // images_background_small1/Greek/character01/0394_01.png
      const [, alphabet, number] = /^[^/]+\/([^/]+)\/(character\d+)\/[^/]+\.png$/.exec(name) ?? [];
      if (alphabet === undefined) continue;
      const key = `${alphabet}/${number}`;
      if (characters.has(key) && !inThis.has(key)) continue;
      inThis.add(key);
      const held = characters.get(key) ?? { alphabet: alphabet.replace(/[_()]+/g, ' ').trim(), drawings: [] };
      characters.set(key, held);
      held.drawings.push(shrink(readBitmap(bytes, `${path}: ${name}`), side));
    }
  }
  const few = [...characters].find(([, { drawings }]) => drawings.length !== DRAWINGS);
  if (few !== undefined || characters.size === 0) {
    const got = few === undefined ? 'no characters' : `${few[1].drawings.length} of ${few[0]}`;
    throw new FlError('corrupt', `${folder}: expected ${DRAWINGS} drawings of each character, got ${got}`);
  }
  return [...characters.values()];
}

/** Mean ink over the part of the scan that falls on each pixel. */
function shrink({ width, height, pixels }: Bitmap, side: number): Uint8Array {
  const sums = new Float32Array(side * side);
  const counts = new Float32Array(side * side);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * side) / height) * side;
    for (let x = 0; x < width; x++) {
      const at = row + Math.floor((x * side) / width);
      sums[at] += 1 - pixels[y * width + x];
      counts[at]++;
    }
  }
  return Uint8Array.from(sums, (sum, i) => Math.round((255 * sum) / Math.max(1, counts[i])));
}

const STROKES = 3;
const CORNERS = 4;

/** Three straight strokes between points of a coarse grid; each drawing moves their ends a little. */
function scribbles({ side, rng }: CharacterRequest): readonly Character[] {
  return Array.from({ length: MADE_UP_ALPHABETS * MADE_UP_CHARACTERS }, (_, index) => {
    const source = rng.split(`character ${index}`);
    const corner = () => ((0.5 + source.below(CORNERS)) / CORNERS) * side;
    const strokes = Array.from({ length: STROKES }, () => [corner(), corner(), corner(), corner()]);
    const drawings = Array.from({ length: DRAWINGS }, () => {
      const image = new Uint8Array(side * side);
      for (const stroke of strokes) {
        drawLine(
          image,
          side,
          stroke.map((end) => end + (source.uniform() - 0.5) * side * 0.08),
        );
      }
      return image;
    });
    return { alphabet: `alphabet ${1 + Math.floor(index / MADE_UP_CHARACTERS)}`, drawings };
  });
}

function drawLine(image: Uint8Array, side: number, [fromX, fromY, toX, toY]: readonly number[]): void {
  const steps = 4 * side;
  for (let step = 0; step <= steps; step++) {
    const x = Math.floor(fromX + ((toX - fromX) * step) / steps);
    const y = Math.floor(fromY + ((toY - fromY) * step) / steps);
    if (x >= 0 && y >= 0 && x < side && y < side) image[y * side + x] = 255;
  }
}

function holdOut(characters: readonly Character[], side: number): CharacterData {
  const names = [...new Set(characters.map(({ alphabet }) => alphabet))].sort();
  const heldOut = new Set(names.slice(-HELD_OUT_ALPHABETS));
  return {
    side,
    train: setOf(
      characters.filter(({ alphabet }) => !heldOut.has(alphabet)),
      side,
    ),
    test: setOf(
      characters.filter(({ alphabet }) => heldOut.has(alphabet)),
      side,
    ),
  };
}

function setOf(characters: readonly Character[], side: number): CharacterSet {
  const ink = new Uint8Array(characters.length * DRAWINGS * side * side);
  for (const [i, { drawings }] of characters.entries()) {
    for (const [k, drawing] of drawings.entries()) ink.set(drawing, (i * DRAWINGS + k) * side * side);
  }
  return { alphabets: characters.map(({ alphabet }) => alphabet), ink };
}
