/** `starling completion bash | zsh | fish`. */
import { Argument, type Command } from 'commander';
import { completionScript, SHELLS, type Shell } from '../completion.js';
import { command, print } from './options.js';

/** Prints the script for one shell. */
export function completionCommand(): Command {
  const made = command(
    'completion',
    'a script that completes commands and options',
    'starling completion bash > ~/.starling-completion',
  )
    .addArgument(new Argument('SHELL', 'which shell').choices(SHELLS))
    .action((shell: Shell) => print(completionScript(made.parent ?? made, shell)));
  return made;
}
