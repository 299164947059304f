/** Reads a published or generated vector file kept beside the tests; each file names its source in its first field. */
import { readFileSync } from 'node:fs';

export function vectors<T>(name: string): T {
  const url = new URL(`../../../../test/shared/privacy/vectors/${name}`, import.meta.url); // from dist/ to the source tree
  return JSON.parse(readFileSync(url, 'utf8')) as T;
}

/** |got - want| <= tolerance × |want|, with both numbers in the failure. */
export function assertRelative(got: number, want: number, tolerance: number, what = 'value'): void {
  if (!(Math.abs(got - want) <= tolerance * Math.abs(want))) {
    throw new Error(
      `${what}: expected ${want} to ${tolerance} relative, got ${got} (${(got / want - 1).toExponential(2)})`,
    );
  }
}
