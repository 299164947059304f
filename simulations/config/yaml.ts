/** YAML files of settings. */
import { readFile } from 'node:fs/promises';
import { FlError } from '../../shared/errors.js';
import { parseYaml } from '../../shared/yaml.js';

/** @throws FlError invalid-argument: no such file, not YAML, or something other than keys and values */
export async function readYaml(path: string): Promise<object> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new FlError('invalid-argument', `${path || '""'}: expected a readable file, got ${cause.code}`, { cause });
  });
  return parseYaml(text, path);
}
