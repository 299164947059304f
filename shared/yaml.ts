/** YAML of settings, and how its faults are told: which file, which key, what was expected, what came. */
import { parse } from 'yaml';
import type { z } from 'zod';
import { describe, FlError } from './errors.js';
import { expectedOf } from './schema.js';

/**
 * The keys and values of a YAML text; an empty one has none. `source` is what the reader calls it, mostly a path.
 * @throws FlError invalid-argument: not YAML, or something other than keys and values
 */
export function parseYaml(text: string, source: string): object {
  let value: unknown;
  try {
    value = parse(text, { logLevel: 'error' }) ?? {};
  } catch (cause) {
    throw new FlError('invalid-argument', `${source}: not YAML: ${FlError.from(cause).message}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  const kind = Array.isArray(value) ? 'a list' : `a ${typeof value}`;
  throw new FlError('invalid-argument', `${source}: expected keys and values, got ${kind}`);
}

/** The value as the schema has it. @throws FlError invalid-argument naming the key; a key that is not known is refused */
export function checkYaml<Schema extends z.ZodObject>(
  schema: Schema,
  value: unknown,
  source: string,
): z.output<Schema> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(schema.shape).join(', ');
    throw new FlError('invalid-argument', `${source}: unknown key "${issue.keys[0]}"; known are ${known}`);
  }
  const expected = expectedOf(issue);
  const got = issue.input === undefined ? 'nothing' : shown(issue.input);
  throw new FlError('invalid-argument', `${source}: ${issue.path.join('.')}: ${expected}, got ${got}`);
}

function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return describe(value);
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
