/**
 * An author's file as one module, by esbuild and in memory: to be run, with a source map, or to be compared, without
 * anything in it that depends on where it lies, how it is spaced or what its comments say.
 *
 * `starling-fl` and `@tensorflow/*` are not bundled but resolved to this very package's copies: a second copy of the
 * TensorFlow engine would not know the back end that was chosen here.
 */
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { BuildFailure, BuildOptions, Plugin } from 'esbuild';
import { FlError } from '../../shared/errors.js';
import { sha256Hex } from '../../shared/signing/identity.js';

/** A module to be imported, and the map from its lines to the author's. */
export interface Bundle {
  readonly code: string;
  /** As JSON; its sources are relative to the author's file. */
  readonly map: string;
}

/** @throws FlError invalid-argument: FILE:LINE:COLUMN of what does not compile */
export async function bundle(path: string): Promise<Bundle> {
  const url = JSON.stringify(pathToFileURL(path).href);
  const [map, code] = await build(path, {
    sourcemap: 'external',
    outfile: resolve(dirname(path), 'bundle.js'), // sources are relative to it; nothing is written
    define: { 'import.meta.url': url }, // of the author's file, so that data beside it is found
    banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(${url});` },
    plugins: [ownPackages],
  });
  return { code, map };
}

/** SHA-256 of what the file and all that it imports do: equal wherever it lies, whatever it is called. @throws as `bundle` */
export async function bundleSha256(path: string): Promise<string> {
  const [code] = await build(path, {
    minify: true,
    legalComments: 'none',
    define: { 'import.meta.url': '"file:workload"' },
    plugins: [namedPackages],
  });
  return sha256Hex(code);
}

/** One after another: whoever is done ends esbuild's process, under the hands of whoever is not. */
let last: Promise<unknown> = Promise.resolve();

function build(path: string, options: BuildOptions): Promise<string[]> {
  const built = last.then(() => buildNow(path, options));
  last = built.catch(() => undefined); // whoever asked is told
  return built;
}

async function buildNow(path: string, options: BuildOptions): Promise<string[]> {
  const { build: run, stop } = await import('esbuild');
  try {
    const made = await run({
      ...{ entryPoints: [path], bundle: true, format: 'esm', platform: 'node', target: 'node20', logLevel: 'silent' },
      ...options,
      write: false,
    });
    return made.outputFiles.map(({ text }) => text);
  } catch (cause) {
    const [error] = (cause as BuildFailure).errors ?? [];
    if (error === undefined) throw FlError.from(cause);
    const { file, line, column } = error.location ?? { file: basename(path), line: 0, column: 0 };
    throw new FlError('invalid-argument', `${file}:${line}:${column + 1}: ${error.text}`, { cause });
  } finally {
    await stop(); // ends esbuild's process
  }
}

const OWN = /^(starling-fl($|\/)|@tensorflow\/)/;

/**
 * Sends imports of our own packages to our own copies, and leaves to esbuild what we do not have. What is required is a
 * module of its own that imports them: `require` takes no URL, and could not wait for a module that waits.
 */
const ownPackages: Plugin = {
  name: 'own-packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: OWN }, ({ path, kind }) => {
      let url: string;
      try {
        url = import.meta.resolve(path);
      } catch {
        return undefined;
      }
      return kind === 'require-call' ? { path: url, namespace: 'required' } : { path: url, external: true };
    });
    onLoad({ filter: /.*/, namespace: 'required' }, ({ path }) => {
      return { contents: `export * from ${JSON.stringify(path)};`, resolveDir: dirname(fileURLToPath(path)) };
    });
    onResolve({ filter: /^file:/, namespace: 'required' }, ({ path }) => ({ path, external: true }));
  },
};

/** By name alone: where our copies lie is no part of the author's code. */
const namedPackages: Plugin = {
  name: 'named-packages',
  setup({ onResolve }) {
    onResolve({ filter: OWN }, ({ path }) => ({ path, external: true }));
  },
};
