/** The file behind `starling coordinator --config`. Unknown keys are errors. */
import { z } from 'zod';
import { checkYaml } from '../../shared/yaml.js';
import { readYaml } from '../../simulations/config/yaml.js';

/** From much to nothing. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'silent'] as const;

const schema = z.strictObject({
  'data-dir': z.string().optional(),
  listen: z.string().optional(),
  'public-addresses': z.array(z.string()).optional(),
  'tls-cert': z.string().optional(),
  'tls-key': z.string().optional(),
  'tls-ca': z.string().optional(),
  addresses: z.array(z.string()).optional(),
  'log-level': z.enum(LOG_LEVELS).optional(),
  'health-port': z.union([z.string(), z.number().int()]).optional(),
  'key-file': z.string().optional(),
  'disk-reserve': z.number().int().min(1).optional(),
  'keep-runs': z.number().int().min(1).optional(),
  'keep-days': z.number().int().min(1).optional(),
});

/** @throws FlError invalid-argument naming the file, the key, what was expected and what came */
export async function readCoordinatorConfig(path: string): Promise<z.infer<typeof schema>> {
  return checkYaml(schema, await readYaml(path), path);
}
