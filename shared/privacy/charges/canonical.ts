/**
 * One byte string per value: JSON with sorted keys, no white space and ECMAScript's shortest numbers (the rules of RFC 8785, which
 * our values need no more of). What is signed and hashed must not depend on who wrote the object down.
 */
import { FlError, invalidArgument } from '../../errors.js';

export type Canonical =
  | string
  | number
  | boolean
  | null
  | readonly Canonical[]
  | { readonly [key: string]: Canonical | undefined };

/** Canonical text of plain data; an `undefined` property is left out. Throws on a number that is not finite. */
export function canonicalText(value: Canonical): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw invalidArgument('value', 'finite numbers', value);
    return JSON.stringify(value);
  }
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalText).join(',')}]`;
  const fields = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const field = value[key];
      return field === undefined ? [] : [`${JSON.stringify(key)}:${canonicalText(field)}`];
    });
  return `{${fields.join(',')}}`;
}

export function canonicalBytes(value: Canonical): Uint8Array {
  return new TextEncoder().encode(canonicalText(value));
}

/** Parses text that must be canonical; throws `corrupt` if writing the value again gives anything else. */
export function parseCanonical(text: string): Canonical {
  let value: Canonical;
  try {
    value = JSON.parse(text) as Canonical;
  } catch (cause) {
    throw new FlError('corrupt', 'record: expected canonical JSON, got text that does not parse', { cause });
  }
  if (canonicalText(value) !== text)
    throw new FlError('corrupt', 'record: expected canonical JSON, got another spelling');
  return value;
}

const isList = (value: object): value is readonly Canonical[] => Array.isArray(value);
