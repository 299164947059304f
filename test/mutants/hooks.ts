/**
 * Loader hooks (https://nodejs.org/api/module.html#customization-hooks) by which each trial of a process has modules of its
 * own, and its mutant among them: the query of a spec's URL goes on to all modules of the build that it imports.
 */
import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';

const DIST = new URL('../../', import.meta.url).href;

export const resolve: ResolveHook = async (specifier, context, next) => {
  const found = await next(specifier, context);
  const search = context.parentURL?.startsWith(DIST) ? new URL(context.parentURL).search : '';
  return found.url.startsWith(DIST) ? { ...found, url: `${found.url}${search}` } : found;
};

export const load: LoadHook = async (url, context, next) => {
  const [path, search] = url.split('?', 2);
  const asked = new URLSearchParams(search);
  const source = asked.get('source');
  if (source === null || path !== `${DIST}${asked.get('file')}.js`) return next(url, context);
  return { format: 'module', source: await readFile(source), shortCircuit: true };
};
