/**
 * The saved form of a machine's state: JSON in which bytes are `{"$hex": "..."}`. It holds secrets until the state says
 * `done` or `refused`: keep the file readable by its owner alone.
 */
import { FlError } from '../errors.js';
import { fromHex, toHex } from '../hex.js';

/** A state as JSON text. */
export const saveState = (state: object): string =>
  JSON.stringify(state, (_, value: unknown) => (value instanceof Uint8Array ? { $hex: toHex(value) } : value));

/** Inverse of {@link saveState}. @throws FlError `corrupt` on anything that it cannot have written */
export function restoreState<T extends object>(text: string): T {
  try {
    return JSON.parse(text, (_, value: unknown) => (isBytes(value) ? fromHex(value.$hex) : value)) as T;
  } catch (error) {
    throw new FlError('corrupt', 'saved secure-aggregation state does not parse', { cause: error });
  }
}

const isBytes = (value: unknown): value is { $hex: string } =>
  typeof value === 'object' && value !== null && '$hex' in value && typeof value.$hex === 'string';
