/** A command of `starling` in this process: fast enough for hundreds of them. Not for services, which wait to be told. */
import { endingOf, nextStep } from '../../cli/exit.js';
import { createProgram } from '../../cli/program.js';
import type { Ended } from '../e2e/support.js';

const STREAMS = ['stdout', 'stderr'] as const;

/** As `cli/main.ts` would end; one at a time. */
export async function inProcess(args: readonly string[]): Promise<Ended> {
  const texts = { stdout: '', stderr: '' };
  const held = STREAMS.map((name) => process[name].write);
  for (const name of STREAMS) {
    process[name].write = (text: string | Uint8Array) => {
      texts[name] += String(text);
      return true;
    };
  }
  const program = createProgram();
  let code = 0;
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    const ending = endingOf(thrown);
    code = ending.code;
    texts.stderr += ending.text + (code === 2 ? nextStep(program, args) : '');
  } finally {
    for (const [i, name] of STREAMS.entries()) process[name].write = held[i];
  }
  return { code, ...texts };
}
