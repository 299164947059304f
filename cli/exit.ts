/** How a command that has failed ends: its exit code, and what is said of it. Wrong use is 2, whoever noticed it. */
import { type Command, CommanderError } from 'commander';
import { adviceOn } from '../shared/disk/faults.js';
import { FlError } from '../shared/errors.js';

/** `text` ends with a line feed, or is empty: commander has said already what it had to. */
export interface Ending {
  readonly code: 0 | 1 | 2;
  readonly text: string;
}

/** Never a stack trace: what is wrong is in the message, and STARLING_DEBUG shows the rest. */
export function endingOf(thrown: unknown): Ending {
  if (thrown instanceof CommanderError) return { code: thrown.exitCode === 0 ? 0 : 2, text: '' };
  const { code, message } = FlError.from(thrown);
  const advice = adviceOn(thrown);
  return {
    code: code === 'invalid-argument' ? 2 : 1,
    text: `starling: ${inShort(message)}${advice === undefined ? '' : `; next: ${advice}, then start it again`}\n`,
  };
}

const MOST_CHARACTERS = 2000;

/** A message that repeats what was typed may be as long as that: its middle is left out, expected and got stay. */
export function inShort(message: string): string {
  if (message.length <= MOST_CHARACTERS) return message;
  return `${message.slice(0, MOST_CHARACTERS / 2)}…${message.slice(-MOST_CHARACTERS / 4)}`;
}

/** What a person whose use was wrong does next: the help of the deepest command that the arguments name. */
export function nextStep(program: Command, args: readonly string[]): string {
  let command = program;
  const path = [program.name()];
  for (const arg of args) {
    const below = command.commands.find((one) => one.name() === arg);
    if (below === undefined) break;
    command = below;
    path.push(arg);
  }
  return `next: ${path.join(' ')} --help says what it takes\n`;
}
