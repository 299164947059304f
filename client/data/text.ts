/**
 * Text by speaker, cut into windows of characters: Shakespeare by role as LEAF divides it (Caldas et al. 2018,
 * arXiv:1812.01097: a client is a role, the first part of its lines is for training and the last for testing), State of
 * the Union addresses by president, and sentences that are made up for tests.
 *
 * The alphabet is fixed and public, printable ASCII and the line feed, so that no client's characters show in the model's
 * shape. A window is `context + 1` characters, the inputs and, one further, the targets; windows of a speaker follow one
 * another, and a rest that fills none is dropped.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { findData } from './index.js';

/** Line feed, then ' ' to '~'. */
export const ALPHABET = `\n${String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 32 + i))}`;

const CODES: ReadonlyMap<string, number> = new Map(Array.from(ALPHABET, (character, code) => [character, code]));
const UNKNOWN = ALPHABET.indexOf('?');

/** Windows of a text. */
export interface TextSplit {
  readonly count: number;
  /** Of each window, in `codes`. */
  readonly starts: Int32Array;
  readonly speakers: readonly string[];
}

/** A text by several speakers, cut into windows of equal length. */
export interface TextData {
  /** Characters as positions in {@link ALPHABET}, speaker after speaker. */
  readonly codes: Uint8Array;
  /** Characters of one window without the last target. */
  readonly context: number;
  readonly train: TextSplit;
  readonly test: TextSplit;
}

/** Which text, and how it is cut. */
export interface TextRequest {
  readonly name: string;
  readonly context: number;
  /** Speakers with fewer characters are left out. */
  readonly minCharacters: number;
  /** Of a speaker, from the first; 0: all. */
  readonly maxCharacters: number;
  /** Test windows of a speaker, at even distances; 0: all. */
  readonly maxTestWindows: number;
  readonly dataDir?: string;
  /** For made-up text. */
  readonly rng: Rng;
}

const TEST_FRACTION = 0.1;

type Speeches = ReadonlyMap<string, string>;

/** @throws FlError data-missing · corrupt · invalid-argument: an unknown name, or no speaker has text enough */
export async function loadText(request: TextRequest): Promise<TextData> {
  switch (request.name) {
    case 'shakespeare':
      return windows(request, await shakespeare(request.dataDir));
    case 'sotu':
      return windows(request, await addresses(request.dataDir));
    case 'drawn':
      return windows(request, madeUp(request));
    default:
      throw invalidArgument('hyper.data', 'shakespeare, sotu or drawn', request.name);
  }
}

/** Characters outside the alphabet become the nearest in it, or '?'. */
export function encodeText(text: string): Uint8Array {
  const plain = text
    .replace(/\r\n?/g, '\n')
    .replace(/[‘’]/g, "'")
    .replace(/[“”]/g, '"')
    .replace(/[‐-―]/g, '-')
    .normalize('NFD')
    .replace(/\p{M}/gu, '');
  const codes: number[] = [];
  for (const character of plain) codes.push(CODES.get(character) ?? UNKNOWN);
  return Uint8Array.from(codes);
}

/** The text that {@link encodeText} made these positions of. */
export function decodeText(codes: ArrayLike<number>): string {
  return Array.from(codes, (code) => ALPHABET[code]).join('');
}

/** `Name:`, a line feed and what is said; an empty line ends it. Speeches of a role are joined in their order. */
export function parsePlay(text: string): Speeches {
  const speeches = new Map<string, string>();
  for (const block of text.split(/\n\n+/)) {
    const [, speaker, said] = /^([^\n]+):\n([\s\S]*)$/.exec(block) ?? [];
    if (speaker === undefined) continue;
    speeches.set(speaker, `${speeches.get(speaker) ?? ''}${said.trimEnd()}\n\n`);
  }
  return speeches;
}

async function shakespeare(dataDir: string | undefined): Promise<Speeches> {
  const path = join(findData('tinyshakespeare', { dataDir }), 'tinyshakespeare.txt');
  const speeches = parsePlay(await readFile(path, 'utf8'));
  if (speeches.size === 0) throw new FlError('corrupt', `${path}: expected speeches, got none`);
  return speeches;
}

/** Files `{year}_{president}_{party}.txt`, a president's in the order of the years. */
async function addresses(dataDir: string | undefined): Promise<Speeches> {
  const folder = findData('sotu', { dataDir });
  const speeches = new Map<string, string>();
  for (const file of (await readdir(folder)).sort()) {
    const [, president] = /^\d{4}_([a-z_]+)_[a-z]+\.txt$/.exec(file) ?? [];
    if (president === undefined) continue;
    const text = (await readFile(join(folder, file), 'utf8')).trim();
    speeches.set(president, `${speeches.get(president) ?? ''}${text}\n\n`);
  }
  if (speeches.size === 0) throw new FlError('corrupt', `${folder}: expected YEAR_PRESIDENT_PARTY.txt, got none`);
  return speeches;
}

const MADE_UP_SPEAKERS = 8;
const NOUNS = ['king', 'sea', 'crown', 'night', 'sword', 'rose', 'storm', 'bell'];
const VERBS = ['sees', 'keeps', 'hears', 'loves'];

/** Short sentences over a few words, of which each speaker prefers its own noun: learnable in a second. */
function madeUp({ minCharacters, rng }: TextRequest): Speeches {
  const speeches = new Map<string, string>();
  for (let speaker = 0; speaker < MADE_UP_SPEAKERS; speaker++) {
    const source = rng.split(`speaker ${speaker}`);
    const noun = () => (source.below(2) === 0 ? NOUNS[speaker] : NOUNS[source.below(NOUNS.length)]);
    let text = '';
    while (text.length < minCharacters) text += `the ${noun()} ${VERBS[source.below(VERBS.length)]} the ${noun()}.\n`;
    speeches.set(`speaker ${speaker + 1}`, text);
  }
  return speeches;
}

interface Growing {
  readonly starts: number[];
  readonly speakers: string[];
}

/** The first nine tenths of each speaker for training, the rest for testing; no character is in both. */
function windows(request: TextRequest, speeches: Speeches): TextData {
  const { context, minCharacters, maxCharacters, maxTestWindows } = request;
  const texts: Uint8Array[] = [];
  const train: Growing = { starts: [], speakers: [] };
  const test: Growing = { starts: [], speakers: [] };
  let offset = 0;
  for (const [speaker, text] of speeches) {
    const all = encodeText(text);
    if (all.length < minCharacters) continue;
    const codes = maxCharacters === 0 ? all : all.subarray(0, maxCharacters);
    const cut = Math.floor(codes.length * (1 - TEST_FRACTION));
    const trainWindows = Math.floor((cut - 1) / context);
    const testWindows = Math.floor((codes.length - cut - 1) / context);
    if (trainWindows < 1 || testWindows < 1) continue;
    const tested = maxTestWindows === 0 ? testWindows : Math.min(maxTestWindows, testWindows);
    addWindows(train, speaker, trainWindows, (i) => offset + i * context);
    addWindows(test, speaker, tested, (i) => offset + cut + Math.floor((i * testWindows) / tested) * context);
    texts.push(codes);
    offset += codes.length;
  }
  if (texts.length === 0) {
    throw invalidArgument('hyper.min-characters', `a speaker of ${request.name} with as many`, minCharacters);
  }
  return { codes: joined(texts, offset), context, train: splitOf(train), test: splitOf(test) };
}

function addWindows({ starts, speakers }: Growing, speaker: string, count: number, start: (i: number) => number): void {
  for (let i = 0; i < count; i++) {
    starts.push(start(i));
    speakers.push(speaker);
  }
}

function splitOf({ starts, speakers }: Growing): TextSplit {
  return { count: starts.length, starts: Int32Array.from(starts), speakers };
}

function joined(texts: readonly Uint8Array[], length: number): Uint8Array {
  const all = new Uint8Array(length);
  let offset = 0;
  for (const text of texts) {
    all.set(text, offset);
    offset += text.length;
  }
  return all;
}
