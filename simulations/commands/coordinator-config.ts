/** The file behind `starling coordinator --config`. Unknown keys are errors. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FlError } from '../../shared/errors.js';
import { parseConfig } from '../config.js';

const schema = z.strictObject({
  'data-dir': z.string().optional(),
  listen: z.string().optional(),
  'log-level': z.enum(['debug', 'info', 'warn', 'silent']).optional(),
});

export async function checkConfigFile(path: string): Promise<z.infer<typeof schema>> {
  const result = schema.safeParse(parseConfig(await readFile(path, 'utf8'), path));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FlError('invalid-argument', `${path}: ${issue.path.join('.')} ${issue.message}`);
}
