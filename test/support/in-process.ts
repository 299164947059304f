/** A command of `starling` in this process: fast enough for hundreds of them. Not for services, which wait to be told. */
import { endingOf, nextStep } from '../../cli/exit.js';
import { createProgram } from '../../cli/program.js';
import type { Ended } from '../e2e/support.js';

const STREAMS = ['stdout', 'stderr'] as const;
/** There is one standard output: a command waits for the one before it. */
let before: Promise<unknown> = Promise.resolve();

/** As `cli/main.ts` would end. */
export function inProcess(args: readonly string[]): Promise<Ended> {
  const ended = before.then(() => ending(args));
  before = ended.catch(() => undefined);
  return ended;
}

async function ending(args: readonly string[]): Promise<Ended> {
  const texts = { stdout: '', stderr: '' };
  const held = STREAMS.map((name) => process[name].write);
  for (const name of STREAMS) {
    process[name].write = (text: string | Uint8Array) => {
      texts[name] += String(text);
      return true;
    };
  }
  let code = 0;
  try {
    const program = await createProgram(args);
    try {
      await program.parseAsync([...args], { from: 'user' });
    } catch (thrown) {
      const { code: its, text } = endingOf(thrown);
      code = its;
      texts.stderr += text + (code === 2 ? nextStep(program, args) : '');
    }
  } finally {
    for (const [i, name] of STREAMS.entries()) process[name].write = held[i];
  }
  return { code, ...texts };
}
