/**
 * Many commands in one process, which needs not start Node and the program anew for each: `cli.ts` itself, loaded again
 * for each command. In: lists of arguments, as JSON, the only argument. Out: what each ended with, as JSON.
 */
import { CLI } from '../../simulations/local-process.js';
import type { Ended } from './support.js';

const streams = ['stdout', 'stderr'] as const;
const { write } = process.stdout;
for (const name of streams) process[name].setMaxListeners(0); // each load of the program adds one

const ended: Ended[] = [];
for (const args of JSON.parse(process.argv[2]) as string[][]) {
  const texts = { stdout: '', stderr: '' };
  for (const name of streams) {
    process[name].write = (text: string | Uint8Array) => {
      texts[name] += String(text);
      return true;
    };
  }
  process.argv = [process.execPath, CLI, ...args];
  process.exitCode = undefined;
  await import(`${CLI}?${ended.length}`);
  ended.push({ code: Number(process.exitCode ?? 0), ...texts });
}
process.exitCode = 0;
write.call(process.stdout, JSON.stringify(ended));
