/**
 * Records that a zod schema describes: the schema is the type, and a value that came from elsewhere is held against it.
 */
import type { z } from 'zod';
import { FlError } from './errors.js';

/** A method of an array is left as it is. */
type DeepReadonly<T> = T extends (...args: never[]) => unknown
  ? T
  : { readonly [Key in keyof T]: DeepReadonly<T[Key]> };

/** What a schema lets through, readonly to its leaves. */
export type Infer<Schema extends z.ZodType> = DeepReadonly<z.infer<Schema>>;

/**
 * That a value is what a schema says; `what` it is called in the error.
 * @throws FlError invalid-argument naming the first field that is wrong
 */
export function checkAgainst<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  what: string,
): asserts value is Infer<Schema> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return;
  const [issue] = result.error.issues;
  const got = typeof issue.input === 'number' ? issue.input : typeof issue.input; // a text may be a secret
  throw new FlError('invalid-argument', `${what}: ${issue.path.join('.') || what}: ${expectedOf(issue)}, got ${got}`);
}

/** What a schema would have taken, from zod's words: `expected ...`. */
export function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_union') {
    const branches = issue.errors.flatMap(([first]) => (first === undefined ? [] : [expectedOf(first)]));
    return `expected ${[...new Set(branches)].map((one) => one.replace(/^expected /, '')).join(', or ')}`;
  }
  if (issue.code === 'invalid_format') return `expected a text of the form ${issue.pattern ?? issue.format}`;
  return issue.message.replace(/^Invalid (input|option): /, '').replace(/, received .*$/, '');
}
