/** Encodings of update vectors by the name that a round plan carries. */
import { invalidArgument } from '../../errors.js';
import { bf16 } from './bf16.js';
import type { Codec } from './codec.js';
import { f16 } from './f16.js';
import { f32 } from './f32.js';
import { int8Block } from './int8-block.js';
import { topK } from './top-k.js';

/** `f32`, `bf16`, `f16`, `int8-block` or `top-k:FRACTION`. @throws FlError invalid-argument */
export function parseCodec(text: string): Codec {
  const simple = [f32, bf16, f16, int8Block].find(({ name }) => name === text);
  if (simple !== undefined) return simple;
  const fraction = /^top-k:(.+)$/.exec(text)?.[1];
  if (fraction === undefined) throw invalidArgument('codec', 'f32, bf16, f16, int8-block or top-k:FRACTION', text);
  return topK(Number(fraction));
}

export { bytesOf, sha256Of, valuesOf } from '../bytes.js';
export type { Codec } from './codec.js';
export { encodeWithFeedback } from './error-feedback.js';
export { bf16, f16, f32, int8Block, topK };
