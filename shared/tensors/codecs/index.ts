/** Encodings of update vectors by the name that `--compression` gives them. */
import { invalidArgument } from '../../errors.js';
import { bf16 } from './bf16.js';
import type { Codec } from './codec.js';
import { f16 } from './f16.js';
import { f32 } from './f32.js';
import { int8 } from './int8.js';
import { topK } from './top-k.js';

/** What is told of an encoding where there is none to be found. */
export const CODEC_NAMES = 'none, f16, bf16, int8 or top-k:FRACTION';

/** The encoding of this name; absent: float32 as it is. @throws FlError invalid-argument */
export function parseCodec(name: string | undefined): Codec {
  const simple = [f32, bf16, f16, int8].find((codec) => codec.name === (name ?? f32.name));
  if (simple !== undefined) return simple;
  const fraction = /^top-k:(.+)$/.exec(name ?? '')?.[1];
  if (fraction === undefined) throw invalidArgument('compression', CODEC_NAMES, name);
  return topK(Number(fraction));
}

export type { Codec } from './codec.js';
