/**
 * Errors of an author's own code, with the author's file, line and column: a workload runs as one bundled module, in whose
 * stack traces nothing can be found again.
 */
import { SourceMap, type SourceMapPayload } from 'node:module';
import { FlError } from '../../shared/errors.js';
import type { Workload } from '../workload.js';

/** A frame of a stack trace in a module that was imported from a `data:` URL. */
const FRAME = /data:text\/javascript[^\s)]*:(\d+):(\d+)\)?$/;

/** The same workload, whose functions throw FlError invalid-argument: `FILE:LINE:COLUMN: message`, and FlErrors as they are. */
export function locatedIn(workload: Workload, map: string): Workload {
  const sources = new SourceMap(JSON.parse(map) as SourceMapPayload);
  const located = wrapped(workload, workload, sources);
  return { ...located, manifest: wrapped(workload.manifest, workload.manifest, sources) };
}

/** What was thrown, with the place in the author's files that it came from first, if it did. */
export function locate(thrown: unknown, sources: SourceMap): FlError {
  if (thrown instanceof FlError) return thrown;
  const { message, name, stack = '' } = thrown instanceof Error ? thrown : new Error(String(thrown));
  for (const line of stack.split('\n')) {
    const found = FRAME.exec(line);
    if (found === null) continue;
    const entry = sources.findEntry(Number(found[1]) - 1, Number(found[2]) - 1);
    if (!('originalSource' in entry) || entry.originalSource.includes('node_modules')) continue;
    const { originalSource, originalLine, originalColumn } = entry;
    const place = `${originalSource}:${originalLine + 1}:${originalColumn + 1}`;
    return new FlError('invalid-argument', `${place}: ${name}: ${message}`, { cause: thrown });
  }
  return FlError.from(thrown);
}

function wrapped<T extends object>(members: T, owner: unknown, sources: SourceMap): T {
  const entries = Object.entries(members).map(([name, member]) => {
    return [name, typeof member === 'function' ? around(member as Callee, owner, sources) : member] as const;
  });
  return Object.fromEntries(entries) as T;
}

type Callee = (...args: unknown[]) => unknown;

function around(callee: Callee, owner: unknown, sources: SourceMap): Callee {
  return (...args) => {
    try {
      const result = callee.apply(owner, args);
      if (!(result instanceof Promise)) return result;
      return result.catch((thrown: unknown) => {
        throw locate(thrown, sources);
      });
    } catch (thrown) {
      throw locate(thrown, sources);
    }
  };
}
