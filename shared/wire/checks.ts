/**
 * The checks of single fields, used on both sides of the wire: an encoder makes nothing that a decoder would refuse.
 * Every failure is an FlError invalid-argument that names the field, what was expected and what came.
 */
import { FlError, invalidArgument } from '../errors.js';
import { HEX_32_BYTES } from '../hex.js';
import { MAX_MESSAGE_BYTES } from '../service.js';
import { MAX_TEXT_CHARS } from './limits.js';

const NAME = /^[a-z0-9-]{1,63}$/;
const MAX_UINT32 = 2 ** 32 - 1;

/** The name of a client, a run or a lab. */
export function checkName(field: string, value: string): string {
  if (!NAME.test(value)) throw invalidArgument(field, '1 to 63 characters of a-z 0-9 -', value);
  return value;
}

/** The value itself. @throws FlError invalid-argument */
export function checkSha256(field: string, value: string): string {
  if (!HEX_32_BYTES.test(value)) throw invalidArgument(field, '64 lower-case hex digits', value);
  return value;
}

/** The bytes themselves, `expected` of them. @throws FlError invalid-argument */
export function checkLength(field: string, bytes: Uint8Array, expected: number): Uint8Array {
  if (bytes.length !== expected) throw invalidArgument(field, `${expected} bytes`, bytes);
  return bytes;
}

/** The bytes themselves. @throws FlError invalid-argument: more than `limit` */
export function checkMaxLength(field: string, bytes: Uint8Array, limit: number): Uint8Array {
  if (bytes.length > limit) throw invalidArgument(field, `at most ${limit} bytes`, bytes);
  return bytes;
}

/** The value itself. @throws FlError invalid-argument */
export function checkUint32(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > MAX_UINT32) {
    throw invalidArgument(field, 'an integer from 0 to 4294967295', value);
  }
  return value;
}

/** The value itself. @throws FlError invalid-argument */
export function checkFinite(field: string, value: number): number {
  if (!Number.isFinite(value)) throw invalidArgument(field, 'a finite number', value);
  return value;
}

/** The value itself; it need not be whole. @throws FlError invalid-argument */
export function checkCount(field: string, value: number): number {
  if (!(Number.isFinite(value) && value >= 0)) throw invalidArgument(field, 'a finite number of at least 0', value);
  return value;
}

/** Length and well-formedness: a lone surrogate has no UTF-8 and would come out as another text. */
export function checkText(field: string, value: string, maxChars: number): string {
  if (value.length > maxChars) {
    throw invalidArgument(field, `at most ${maxChars} characters`, `${value.length} characters`);
  }
  if (LONE_SURROGATE.test(value)) throw invalidArgument(field, 'well-formed Unicode', `${value.length} characters`);
  return value;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const LONE_SURROGATES = /\p{Surrogate}/gu;

/** What is sent of a text for a person: cut at the limit, lone surrogates replaced. Such a text never makes a call fail. */
export function clipText(value: string): string {
  const cut = value.length > MAX_TEXT_CHARS ? `${value.slice(0, MAX_TEXT_CHARS - 3)}...` : value;
  return cut.replace(LONE_SURROGATES, '\uFFFD');
}

/** @throws FlError invalid-argument: more than `limit` entries */
export function checkAtMost(field: string, count: number, limit: number): void {
  if (count > limit) throw invalidArgument(field, `at most ${limit} entries`, count);
}

/** A 64-bit field as a number. */
export function fromUint64(field: string, value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw invalidArgument(field, 'an integer from 0 to 2^53 - 1', value);
  }
  return Number(value);
}

/** A number for a 64-bit field. @throws FlError invalid-argument: what a double does not hold exactly */
export function toUint64(field: string, value: number): bigint {
  if (!Number.isSafeInteger(value) || value < 0) throw invalidArgument(field, 'an integer from 0 to 2^53 - 1', value);
  return BigInt(value);
}

/** A sub-message or a oneof that has to be there. */
export function present<T>(field: string, value: T | undefined): T {
  if (value === undefined) throw invalidArgument(field, 'a value', 'nothing');
  return value;
}

/** Own bytes, as a plain Uint8Array: a decoded field is a view that would keep its whole frame alive. */
export function own(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** One member of a closed list of words. */
export function oneOf<Word extends string>(field: string, words: readonly Word[], value: string): Word {
  const found = words.find((word) => word === value);
  if (found === undefined) throw invalidArgument(field, `one of ${words.join(', ')}`, value);
  return found;
}

/** The word that stands for an enum's number; `words` is indexed by it and has a hole where no word belongs. */
export function wordOf<Word extends string>(field: string, words: Readonly<Record<number, Word>>, value: number): Word {
  const word = Object.hasOwn(words, value) ? words[value] : undefined;
  if (word === undefined) throw invalidArgument(field, `one of ${Object.values(words).join(', ')}`, value);
  return word;
}

/** The enum's number for a word. */
export function numberOf<Word extends string>(
  field: string,
  words: Readonly<Record<number, Word>>,
  word: Word,
): number {
  const entry = Object.entries(words).find(([, candidate]) => candidate === word);
  if (entry === undefined) throw invalidArgument(field, `one of ${Object.values(words).join(', ')}`, word);
  return Number(entry[0]);
}

/** A codec of generated code. */
interface Generated<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** @throws FlError invalid-argument when `bytes` are not a protobuf message of this kind. */
export function parse<T>(kind: string, codec: Generated<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new FlError('invalid-argument', `${kind}: expected a protobuf message, got ${bytes.length} malformed bytes`, {
      cause: error,
    });
  }
}

/** @throws FlError resource-exhausted when the message is larger than one message may be. */
export function serialise<T>(kind: string, codec: Generated<T>, message: T): Uint8Array {
  const bytes = codec.encode(message).finish();
  if (bytes.length > MAX_MESSAGE_BYTES) {
    const got = `got ${bytes.length}`;
    throw new FlError('resource-exhausted', `${kind}: expected at most ${MAX_MESSAGE_BYTES} bytes, ${got}`);
  }
  return bytes;
}
