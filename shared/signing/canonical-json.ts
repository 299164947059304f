/**
 * One text for each value: JSON with sorted keys, no white space and ECMAScript's own shortest numbers (RFC 8785). What
 * is signed and hashed must not depend on who wrote the object down.
 */
import type { z } from 'zod';
import { FlError } from '../errors.js';
import { toHex } from '../hex.js';

/**
 * The canonical text of a JSON value. Members that are undefined are left out; bytes are written as hex.
 * @throws RangeError for a number that is not finite
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new RangeError(`number: expected finite, got ${value}`);
    return JSON.stringify(value);
  }
  if (value instanceof Uint8Array) return JSON.stringify(toHex(value));
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  let members = '';
  for (const name of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[name];
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(member)}`;
  }
  return `{${members}}`;
}

/**
 * The value of a canonical text.
 * @throws FlError corrupt for JSON in any other spelling, for what is no JSON, and naming the member that `schema` refuses
 */
export function parseCanonicalJson<Value>(text: string, schema: z.ZodType<Value>): Value {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FlError('corrupt', 'expected JSON, got something else', { cause });
  }
  if (canonicalJson(value) !== text) throw new FlError('corrupt', 'expected canonical JSON, got another spelling');
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FlError('corrupt', `${issue.path.join('.') || 'line'}: ${issue.message}`);
}
