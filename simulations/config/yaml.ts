/** YAML files of settings, and how their faults are told: which file, which key, what was expected, what came. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { z } from 'zod';
import { FlError } from '../../shared/errors.js';

/** @throws FlError invalid-argument: no such file, not YAML, or something other than keys and values */
export async function readYaml(path: string): Promise<object> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new FlError('invalid-argument', `${path}: expected a readable file, got ${cause.code}`, { cause });
  });
  return parseYaml(text, path);
}

/** The same for text that has been read; an empty one has no keys. */
export function parseYaml(text: string, source: string): object {
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (cause) {
    throw new FlError('invalid-argument', `${source}: not YAML: ${FlError.from(cause).message}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new FlError('invalid-argument', `${source}: expected keys and values, got ${kindOf(value)}`);
}

/** @throws FlError invalid-argument */
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
  const expected = issue.message.replace(/^Invalid (input|option): /, '').replace(/, received .*$/, '');
  const got = issue.input === undefined ? 'nothing' : JSON.stringify(issue.input);
  throw new FlError('invalid-argument', `${source}: ${issue.path.join('.')}: ${expected}, got ${got}`);
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
