/** A file of a data set, which may be there compressed: the packed product brings MNIST so. */
import { existsSync } from 'node:fs';

/** `path`, or `path` and `.gz`; undefined if neither is there. */
export function presentAs(path: string): string | undefined {
  return [path, `${path}.gz`].find((file) => existsSync(file));
}
