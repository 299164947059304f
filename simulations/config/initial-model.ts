/** The file that `initial-model` names, and how its tensors are called. */
import { readFile } from 'node:fs/promises';
import { FlError } from '../../shared/errors.js';
import type { Config } from '../../shared/run/settings.js';
import { checkAgainst } from '../../shared/schema.js';
import { tensorsIn } from '../../shared/tensors/safetensors.js';
import { type StartFile, type TensorNames, tensorNames } from '../../shared/tensors/start-model.js';
import { readYaml } from './yaml.js';

/** Undefined: the run starts from the workload's own model. @throws FlError invalid-argument: a file that cannot be read */
export async function readInitialModel(config: Config): Promise<StartFile | undefined> {
  const { 'initial-model': source, 'initial-model-names': given } = config;
  if (source === undefined) {
    if (given === undefined) return undefined;
    throw new FlError('invalid-argument', 'initial-model-names: expected initial-model beside it, got none');
  }
  const bytes = await readFile(source).catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code === 'EISDIR' ? 'a folder; the models of a run are in its folder models/' : cause.code;
    throw new FlError('invalid-argument', `initial-model: ${source}: expected a safetensors file, got ${got}`, {
      cause,
    });
  });
  try {
    tensorsIn(bytes);
  } catch (thrown) {
    const { message } = FlError.from(thrown);
    throw new FlError('invalid-argument', `initial-model: ${source}: no safetensors file: ${message}`, {
      cause: thrown,
    });
  }
  const names = typeof given === 'string' ? await namesIn(given) : given;
  return { source, bytes, ...(names && { names }) };
}

async function namesIn(path: string): Promise<TensorNames> {
  const value: unknown = await readYaml(path);
  checkAgainst(tensorNames, value, path);
  return value;
}
