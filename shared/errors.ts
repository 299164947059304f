/**
 * The one error class of the program and the closed lists it draws on.
 *
 * A programmer's mistake is a TypeError or RangeError; a fault of the program or its surroundings is an {@link FlError};
 * a fault of one client is neither: it is a {@link DropReason}, a value that the round carries on with.
 */

/** What a caller can tell errors apart by. */
export type FlErrorCode =
  | 'invalid-argument' // wrong use: the message names the field, what was expected and what came
  | 'not-found'
  | 'already-exists'
  | 'permission-denied'
  | 'failed-precondition'
  | 'resource-exhausted'
  | 'data-missing' // a data set is not on this machine; the message names the command that gets it
  | 'corrupt' // stored bytes do not match their checksum
  | 'unavailable' // the other side cannot be reached now; worth another try
  | 'aborted'
  | 'internal';

/** A fault of the program or its surroundings, with a code. */
export class FlError extends Error {
  override readonly name = 'FlError';
  readonly code: FlErrorCode;

  constructor(code: FlErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** Wraps whatever was thrown; an FlError passes through unchanged. The only catch-all. */
  static from(thrown: unknown, code: FlErrorCode = 'internal'): FlError {
    if (thrown instanceof FlError) return thrown;
    return new FlError(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
  }
}

/** Wrong use, said in the house form: which field, what was expected, what came. */
export function invalidArgument(field: string, expected: string, got: unknown): FlError {
  return new FlError('invalid-argument', `${field}: expected ${expected}, got ${describe(got)}`);
}

/** Stored or signed data that are not what they should be, in the same form; for values that may be shown whole. */
export function corrupt(field: string, expected: string | number, got: string | number): FlError {
  return new FlError('corrupt', `${field}: expected ${expected}, got ${got}`);
}

/** What `read` gives; the message of what it throws gets the name of its file before it. */
export async function inFile<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    const { code, message, cause } = FlError.from(thrown);
    throw new FlError(code, `${file}: ${message}`, { cause: thrown instanceof FlError ? cause : thrown });
  }
}

/** A short, safe rendering of a value for an error message: never more than 80 characters, never bytes. */
export function describe(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Why a member of a cohort is not among the survivors of a round. */
export type DropReason =
  | 'deadline' // no complete update before the deadline
  | 'refused' // the site's policy declined the plan
  | 'failed' // training threw on the client
  | 'invalid-update' // wrong shape, size or hash, or a number that is not finite or out of range
  | 'superseded' // over-selection: enough others were faster
  | 'dropout' // left the round by its own choice: shut down, or a simulated drop-out
  | 'round-aborted';
