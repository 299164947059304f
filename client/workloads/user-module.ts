/**
 * A workload from its author's own file: bundled in memory by esbuild, so that TypeScript and several files work without
 * a build step, then imported.
 *
 * `starling-fl` and `@tensorflow/*` are not bundled but resolved to this very package's copies: a second copy of the
 * TensorFlow engine would not know the back end that was chosen here.
 */
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildFailure, Plugin } from 'esbuild';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Workload } from '../workload.js';

/** @throws FlError not-found · invalid-argument, naming what does not compile or which member is missing */
export async function importWorkload(path: string): Promise<Workload> {
  const absolute = resolve(path);
  const found = await stat(absolute).catch(() => undefined);
  if (!found?.isFile()) throw new FlError('not-found', `workload: no file ${absolute}`);
  const code = await bundle(absolute);
  let module: { default?: unknown };
  try {
    module = await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`);
  } catch (cause) {
    throw new FlError('invalid-argument', `${path}: ${(cause as Error).message}`, { cause });
  }
  return checkWorkload(module.default, path);
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

async function bundle(path: string): Promise<string> {
  const { build, stop } = await import('esbuild');
  const url = JSON.stringify(pathToFileURL(path).href);
  try {
    const { outputFiles } = await build({
      entryPoints: [path],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      sourcemap: 'inline',
      logLevel: 'silent',
      define: { 'import.meta.url': url }, // of the author's file, so that data beside it is found
      banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(${url});` },
      plugins: [ownPackages],
    });
    return outputFiles[0].text;
  } catch (cause) {
    const [error] = (cause as BuildFailure).errors ?? [];
    if (error === undefined) throw FlError.from(cause);
    const { file, line } = error.location ?? { file: basename(path), line: 0 };
    throw new FlError('invalid-argument', `${file}:${line}: ${error.text}`, { cause });
  } finally {
    await stop(); // ends esbuild's process
  }
}

/** Sends imports of our own packages to our own copies, and leaves to esbuild what we do not have. */
const ownPackages: Plugin = {
  name: 'own-packages',
  setup(build) {
    build.onResolve({ filter: /^(starling-fl($|\/)|@tensorflow\/)/ }, ({ path }) => {
      try {
        return { path: import.meta.resolve(path), external: true };
      } catch {
        return undefined;
      }
    });
  },
};
