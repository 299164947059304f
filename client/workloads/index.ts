/**
 * The workloads by name, each imported when it is asked for, and any other from its author's file.
 *
 * This module needs no TensorFlow; the workloads that it loads do.
 */
import { FlError } from '../../shared/errors.js';
import type { Workload } from '../workload.js';

export type { Formula } from '../../shared/run/formula.js';
// A site's own data.
export { type ImageFolder, type ImageFolderOptions, readImageFolder } from '../data/image-folder.js';
export { type ColumnSpec, readTable, type Table, type TableOptions } from '../data/table.js';
export type * from '../workload.js';
export { defineWorkload } from '../workload.js';
export { hyperChoice, hyperFlag, hyperInteger, hyperNumber } from './parts/hyper.js';

const BUILT_IN: Readonly<Record<string, () => Promise<unknown>>> = {
  cnn: async () => (await import('./cnn/index.js')).cnn,
  transformer: async () => (await import('./transformer/index.js')).transformer,
  simclr: async () => (await import('./simclr/index.js')).simclr,
  mtan: async () => (await import('./mtan/index.js')).mtan,
  misa: async () => (await import('./misa/index.js')).misa,
  meta: async () => (await import('./meta/index.js')).meta,
  distillation: async () => (await import('./distillation/index.js')).distillation,
  'privacy-demo': async () => (await import('./privacy-demo/index.js')).privacyDemo,
  heart: async () => (await import('./heart/index.js')).heart,
  brca: async () => (await import('./brca/index.js')).brca,
};

/** Names of the built-in workloads, in the order of the course. */
export function listWorkloads(): readonly string[] {
  return Object.keys(BUILT_IN);
}

/** Whether `text` means a file and not a built-in name: it starts like a path or ends like a module. */
export function isWorkloadPath(text: string): boolean {
  return /^\.{0,2}[/\\]|^[A-Za-z]:[/\\]|\.[cm]?[jt]s$/.test(text);
}

/**
 * A built-in workload by name, or the default export of a module, in JavaScript or TypeScript, by path (relative to the
 * working directory). A path is code that runs here: never take one from a coordinator.
 * @throws FlError not-found · invalid-argument: the module does not compile, or its default export is no workload
 */
export async function loadWorkload(nameOrPath: string): Promise<Workload> {
  if (isWorkloadPath(nameOrPath)) return (await import('./user-module.js')).importWorkload(nameOrPath);
  if (!Object.hasOwn(BUILT_IN, nameOrPath)) {
    const known = listWorkloads().join(', ');
    throw new FlError('not-found', `workload: expected one of ${known} or a path, got ${JSON.stringify(nameOrPath)}`);
  }
  return (await BUILT_IN[nameOrPath]()) as Workload;
}
