/**
 * Preloaded into a process of Starling (node --import): kills it with SIGKILL just before its n-th act.
 *
 * From outside, a process is what it leaves on the disk and what it sends: nobody can tell apart two kills between the
 * same two acts. So an act is a change or a sync of a file, or a message on a gRPC stream, and to count them is to choose
 * among all the kills there are, with no clock. The file `fuse` in the process's home has three lines: a file, to which each
 * act that was allowed is added as a line; n; and a mark: acts are counted from the first one on whose line has it (empty:
 * from now on). While there is no such file, nothing is counted.
 *
 * A line says what was done to which file: `datasync journal.log`, `rename .new-cnn-1 cnn-1`; of a write of a run's journal also
 * which records it has: `write journal.log committed 2`.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { Duplex } from 'node:stream';
import { isMainThread } from 'node:worker_threads';

const home = process.env.STARLING_HOME;
/** Of files that are open, by handle. */
const paths = new WeakMap<object, string>();

if (home !== undefined && isMainThread) {
  const probe = await promises.open(fs.realpathSync(process.execPath));
  await probe.close();
  const { open } = promises;
  promises.open = async (...args: Parameters<typeof open>) => {
    const handle = await open(...args);
    paths.set(handle, String(args[0]));
    return handle;
  };
  const before = (...act: Act) => count(home, lineOf(act));
  watch(promises, ['writeFile', 'rename', 'unlink', 'rm'], before);
  watch(Object.getPrototypeOf(probe), ['write', 'writeFile', 'truncate', 'datasync', 'sync'], before);
  watch(Duplex.prototype, ['write'], (name, self, args) => {
    if (/^(Client|Server)Http2Stream$/.test(self.constructor.name)) before(name, self, args);
  });
  syncBuiltinESMExports();
}

type Act = [name: string, self: object, args: readonly unknown[]];

function watch(owner: object, names: readonly string[], before: (...act: Act) => void): void {
  const methods = owner as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const act = methods[name];
    methods[name] = function (this: object, ...args: unknown[]) {
      before(name, this, args);
      return act.apply(this, args);
    };
  }
}

function lineOf([name, self, args]: Act): string {
  const path = paths.get(self);
  if (path === undefined) {
    const files = args.slice(0, name === 'rename' ? 2 : 1).filter((arg) => typeof arg === 'string');
    return [name, ...files.map((file) => basename(file))].join(' ');
  }
  const [content] = args;
  const records = basename(path) === 'journal.log' && content instanceof Uint8Array ? recordsIn(content) : [];
  return [name, basename(path), ...records].join(' ');
}

/** Kind and round of a journal's records. */
function recordsIn(content: Uint8Array): string[] {
  const text = Buffer.from(content).toString('latin1');
  const found = text.matchAll(/"kind":"(?:(round-started|committed|round-ended)".*?"round":(\d+)|(ended)")/gs);
  return [...found].map(([, kind, round, end]) => end ?? `${kind} ${round}`);
}

function count(home: string, line: string): void {
  const [acts, n, mark = ''] = readLines(join(home, 'fuse'));
  if (acts === undefined) return;
  const done = readLines(acts);
  const from = mark === '' ? 0 : done.findIndex((one) => one.includes(mark)) + 1;
  const isCounting = mark === '' || from > 0;
  if (isCounting && done.length - from >= Number(n)) process.kill(process.pid, 'SIGKILL');
  fs.appendFileSync(acts, `${line}\n`);
}

/** None if there is no such file. */
function readLines(path: string): string[] {
  try {
    return fs.readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}
