/**
 * One coordinator per data folder: a lock file that names its owner, taken by link(2), which either makes the name with
 * its whole content or fails.
 *
 * Node has no flock(2), so an owner that died leaves its file behind and the next one must tell dead from alive. A
 * process is known by host name, boot id, pid and start time: a pid alone is reused, and in a container it is 1 every
 * time. An owner on another host (or in another container: its pid means nothing here) cannot be judged; then the
 * message says which file to delete.
 */
import { randomUUID } from 'node:crypto';
import { closeSync, linkSync, openSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { FlError } from '../errors.js';

/** `startTicks` (clock ticks since boot, /proc/pid/stat) and `bootId` are '' where the system does not tell. */
export type LockOwner = { host: string; bootId: string; pid: number; startTicks: string; nonce: string };

/** In a directory that is held. */
export const LOCK_FILE = 'lock';

/**
 * Takes the folder (it must exist) for this process.
 * @returns a function that gives it back.
 * @throws FlError already-exists: a living process holds it, or one that cannot be judged from here.
 */
export function lockDirectory(directory: string): () => void {
  const owner: LockOwner = { ...thisProcess(), nonce: randomUUID() };
  const path = join(directory, LOCK_FILE);
  const own = `${path}.${owner.nonce}`;
  try {
    writeFileSync(own, JSON.stringify(owner), { flag: 'wx', mode: 0o600 });
    if (!tryLink(own, path)) {
      evictDead(path);
      if (!tryLink(own, path)) throw held(path, 'another process has just taken it');
    }
  } finally {
    rmSync(own, { force: true }); // a disk that is full makes it, and then does not take what is in it
  }
  return () => {
    if (readOwner(path)?.nonce === owner.nonce) unlinkSync(path);
  };
}

/** Whether `owner` still runs, judged from `self` by `startTicksOf` (undefined: no process has that pid). */
export function judgeOwner(
  owner: LockOwner,
  self: Omit<LockOwner, 'nonce'>,
  startTicksOf: (pid: number) => string | undefined,
): 'alive' | 'dead' | 'unknown' {
  if (owner.host !== self.host) return 'unknown';
  if (owner.bootId !== self.bootId) return 'dead'; // the same host has been started anew
  const startTicks = startTicksOf(owner.pid);
  return startTicks === undefined || startTicks !== owner.startTicks ? 'dead' : 'alive';
}

/**
 * Removes the lock of a dead owner, or throws. Two processes may find the same dead owner; without a guard the slower
 * one would remove the faster one's fresh lock. A crash under the guard leaves it behind: refused, never two owners.
 */
function evictDead(path: string): void {
  const guard = `${path}.evict`;
  try {
    closeSync(openSync(guard, 'wx', 0o600));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw held(path, `another process is taking it over; if none is, delete ${guard}`);
  }
  try {
    const owner = readOwner(path);
    if (owner === undefined) return;
    const state = judgeOwner(owner, thisProcess(), startTicksOf);
    if (state === 'alive') throw held(path, `process ${owner.pid} holds it`);
    if (state === 'unknown') {
      throw held(path, `process ${owner.pid} on ${owner.host} holds it; if that one is gone, delete ${path}`);
    }
    unlinkSync(path);
  } finally {
    unlinkSync(guard);
  }
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readOwner(path: string): LockOwner | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LockOwner;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FlError('corrupt', `${path}: expected a lock file; if no coordinator runs, delete it`, { cause });
  }
}

function thisProcess(): Omit<LockOwner, 'nonce'> {
  const { pid } = process;
  return { host: hostname(), bootId: bootId(), pid, startTicks: startTicksOf(pid) ?? '' };
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** proc(5): field 22 of /proc/pid/stat; the command, field 2, is in brackets and may itself hold spaces and brackets. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return isRunning(pid) ? '' : undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 only asks
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function held(path: string, why: string): FlError {
  return new FlError('already-exists', `${path}: ${why}`);
}
