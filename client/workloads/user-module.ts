/**
 * A workload from its author's own file: bundled in memory, so that TypeScript, CommonJS and several files work without a
 * build step, then imported. What its functions throw names the author's file, line and column.
 */

import { stat } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { resolve } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Workload } from '../workload.js';
import { bundle } from './bundle.js';
import { locate, locatedIn } from './located.js';

/** @throws FlError not-found · invalid-argument, naming what does not compile or which member is missing */
export async function importWorkload(path: string): Promise<Workload> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch(() => undefined);
  if (!found?.isFile()) throw new FlError('not-found', `workload: expected a file, got none: ${absolute}`);
  const { code, map } = await bundle(absolute);
  let module: { default?: unknown };
  try {
    module = await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`);
  } catch (cause) {
    const { message } = locate(cause, new SourceMap(JSON.parse(map) as SourceMapPayload));
    throw new FlError('invalid-argument', `${path}: ${message}`, { cause });
  }
  return locatedIn(checkWorkload(defaultOf(module), path), map);
}

/** What TypeScript makes for CommonJS has its default export one level down. */
function defaultOf({ default: own }: { readonly default?: unknown }): unknown {
  const isInterop = typeof own === 'object' && own !== null && '__esModule' in own && 'default' in own;
  return isInterop ? own.default : own;
}

/** @throws FlError invalid-argument naming the first member that is missing or of the wrong kind; `source` says whose */
export function checkWorkload(candidate: unknown, source: string): Workload {
  if (typeof candidate !== 'object' || candidate === null) {
    throw invalidArgument(source, 'a workload as default export (export default defineWorkload({ ... }))', candidate);
  }
  const workload = candidate as Record<string, unknown>;
  for (const member of ['init', 'load', 'examples', 'batch', 'metrics']) {
    if (typeof workload[member] !== 'function') throw missing(source, `${member}()`, workload[member]);
  }
  if (typeof workload.loss !== 'function' && typeof workload.train !== 'function') {
    throw missing(source, 'loss() or train()', workload.loss);
  }
  const { predict } = workload as { predict?: Record<string, unknown> };
  for (const member of predict === undefined ? [] : ['inputs', 'forward']) {
    if (typeof predict?.[member] !== 'function') throw missing(source, `predict.${member}()`, predict?.[member]);
  }
  const manifest = (workload.manifest ?? {}) as Record<string, unknown>;
  for (const member of ['name', 'topic', 'paper', 'data']) {
    if (typeof manifest[member] !== 'string') throw missing(source, `manifest.${member}, a string`, manifest[member]);
  }
  if (!Array.isArray(manifest.privacyUnits)) throw missing(source, 'manifest.privacyUnits', manifest.privacyUnits);
  const headline = manifest.headline as Record<string, unknown> | undefined;
  if (typeof headline?.metric !== 'string') throw missing(source, 'manifest.headline.metric', headline?.metric);
  const scales = (manifest.scales ?? {}) as Record<string, Record<string, unknown>>;
  for (const scale of ['smoke', 'demo', 'full']) {
    for (const member of ['clients', 'cohort', 'rounds', 'partition', 'training', 'hyper']) {
      const value = scales[scale]?.[member];
      if (value === undefined) throw missing(source, `manifest.scales.${scale}.${member}`, value);
    }
  }
  return candidate as Workload;
}

function missing(source: string, member: string, got: unknown): FlError {
  return invalidArgument(source, `a workload with ${member}`, got);
}
