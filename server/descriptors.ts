/**
 * How many connections a process may take before the descriptors that its journals, models and threads need run out: what
 * is open now stays open, and some are kept back for what is opened for a moment.
 */
import { readdir, readFile } from 'node:fs/promises';
import type { Clock } from '../shared/clock.js';
import type { GrpcServer } from './grpc/server.js';
import type { Logger } from './log.js';

/** For appends, models, reports and the runs to come: each takes one or two for a moment, and a run keeps one. */
const RESERVE = 64;
/** Runs come and go, and with them what is open beside connections. */
const CHECK_MS = 5_000;
/** Who is refused comes again at once: one line is enough for many. */
const SAY_EVERY_MS = 60_000;

/** How many more connections may be open than `connections`; undefined where the system does not tell (no /proc). */
export async function connectionLimit(connections: number): Promise<number | undefined> {
  try {
    const limits = await readFile('/proc/self/limits', 'utf8');
    const limit = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
    const open = (await readdir('/proc/self/fd')).length;
    return limitFor({ limit, others: open - connections });
  } catch {
    return undefined;
  }
}

/** Of `limit` descriptors `others` are in use. When there are few, half of the rest is kept back; one connection is always taken. Pure. */
export function limitFor({ limit, others }: { readonly limit: number; readonly others: number }): number {
  const rest = Math.max(0, limit - others);
  return Math.max(1, rest - Math.min(RESERVE, Math.ceil(rest / 2)));
}

/** Holds `server` to what there are descriptors for, from now on until the returned function is called. */
export async function reserveDescriptors(server: GrpcServer, clock: Clock): Promise<() => void> {
  let stopTimer = () => {};
  let isStopped = false;
  async function look(): Promise<void> {
    const limit = await connectionLimit(server.connections);
    if (limit === undefined) return;
    server.limitConnections(limit);
    if (!isStopped) stopTimer = clock.after(CHECK_MS, () => void look());
  }
  await look();
  return () => {
    isStopped = true;
    stopTimer();
  };
}

/** Says in the log that connections are refused, once in a while. */
export function refusals(clock: Clock, log: Logger): (limit: number) => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  return (limit) => {
    if (clock.nowMs() - saidAtMs < SAY_EVERY_MS) return;
    saidAtMs = clock.nowMs();
    log.warn(
      { connections: limit },
      'connections are refused, to keep descriptors for the runs; next: raise the limit of open files (ulimit -n)',
    );
  };
}
