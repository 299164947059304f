/**
 * Preloaded into a process of Starling (node --import): kills it with SIGKILL just before its n-th act.
 *
 * From outside, a process is what it leaves on the disk and what it sends: nobody can tell apart two kills between the
 * same two acts. So an act is a change or a sync of a file, or a message on a gRPC stream, and to count them is to choose
 * among all the kills there are, with no clock. The file `fuse` in the process's home has two lines: a file, to which each
 * act that was allowed is added as a line, and n. While there is no such file, nothing is counted.
 */
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { isMainThread } from 'node:worker_threads';

const home = process.env.STARLING_HOME;

if (home !== undefined && isMainThread) {
  const probe = await promises.open(fs.realpathSync(process.execPath));
  await probe.close();
  const before = (name: string) => count(home, name);
  watch(promises, ['writeFile', 'rename', 'unlink', 'rm'], before);
  watch(Object.getPrototypeOf(probe), ['write', 'writeFile', 'truncate', 'datasync', 'sync'], before);
  watch(Duplex.prototype, ['write'], (name, self) => {
    if (/^(Client|Server)Http2Stream$/.test(self.constructor.name)) before(name);
  });
  syncBuiltinESMExports();
}

function watch(owner: object, names: readonly string[], before: (name: string, self: object) => void): void {
  const methods = owner as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const act = methods[name];
    methods[name] = function (this: object, ...args: unknown[]) {
      before(name, this);
      return act.apply(this, args);
    };
  }
}

function count(home: string, name: string): void {
  const [acts, n] = readLines(join(home, 'fuse'));
  if (acts === undefined) return;
  if (readLines(acts).length >= Number(n)) process.kill(process.pid, 'SIGKILL');
  fs.appendFileSync(acts, `${name}\n`);
}

/** None if there is no such file. */
function readLines(path: string): string[] {
  try {
    return fs.readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}
