/**
 * Imports TensorFlow.js and its back ends when they are asked for, and keeps them quiet: nothing is written to standard
 * output or error, and no process-wide handler stays behind.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { FlError } from '../../shared/errors.js';
import type { Tf } from './gradients/gradient.js';

const require = createRequire(import.meta.url);

/** The core library, in the mode that prints no advice. Throws FlError('failed-precondition') if it is not installed. */
export async function loadCore(): Promise<Tf> {
  let tf: Tf;
  try {
    tf = require('@tensorflow/tfjs-core');
  } catch (cause) {
    const message = 'TensorFlow.js is not installed: npm install @tensorflow/tfjs-core';
    throw new FlError('failed-precondition', message, { cause });
  }
  tf.env().set('PROD', true); // silences banner and warnings; TensorFlow.js changes nothing else by it
  return tf;
}

/** Loads a back end, which registers itself. Required, not imported: docs/decisions/0125. */
export function loadPackage(name: string): void {
  require(name);
}

/** The file that `import(name)` would load, or undefined if the package is not installed. */
export function resolvePackage(name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}

/** Whether the package at `file` would import the same core library as we do; two copies cannot share tensors. */
export function sharesCore(file: string): boolean {
  try {
    return coreFile(createRequire(file)) === coreFile(require);
  } catch {
    return false;
  }
}

/** The packed product brings a copy of the core that may stand for another; `core-file.cjs` beside it says for which. */
function coreFile(from: NodeJS.Require): string {
  const file = from.resolve('@tensorflow/tfjs-core');
  const standsFor = join(dirname(file), 'core-file.cjs');
  return existsSync(standsFor) ? (from(standsFor) as string) : file;
}

/** tfjs-node 4.22 calls a function that Node 23 removed. */
export function restoreRemovedUtil(): void {
  const util = require('node:util') as { isNullOrUndefined?: (value: unknown) => boolean };
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Runs `work` with console output dropped, one at a time, and afterwards removes handlers for uncaught errors that were
 * installed meanwhile: those of Emscripten modules rethrow every error of the process from inside TensorFlow.js.
 */
export function quietly<Result>(work: () => Promise<Result>): Promise<Result> {
  const next = last.then(
    () => mute(work),
    () => mute(work),
  );
  last = next.catch(() => {});
  return next;
}

// biome-ignore-start lint/suspicious/noConsole: the console is what is muted
async function mute<Result>(work: () => Promise<Result>): Promise<Result> {
  const methods = ['log', 'info', 'warn', 'error', 'debug'] as const;
  const saved = methods.map((method) => console[method]);
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.rawListeners(event));
  for (const method of methods) console[method] = () => {};
  try {
    return await work();
  } finally {
    methods.forEach((method, index) => {
      console[method] = saved[index];
    });
    events.forEach((event, index) => {
      for (const listener of process.rawListeners(event)) {
        if (!before[index].includes(listener)) process.removeListener(event, listener as () => void);
      }
    });
  }
}
// biome-ignore-end lint/suspicious/noConsole: the console is what is muted
