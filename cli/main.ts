#!/usr/bin/env node
/**
 * `starling`: one binary, one subcommand per job. Exit codes: 0 success, 2 wrong use, 1 failure; a run that was
 * interrupted is a failure. A service (`coordinator`, `client run`) that was told to stop has succeeded. Whatever fails
 * ends the process, with its reason as the last line: a supervisor can start it again.
 */
import type { Command } from 'commander';
import { endingOf, nextStep } from './exit.js';

/** Ends the process, whatever it still holds open, when its last words are out. */
function exit(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

/** Says why, and what code the process ends with. */
function tell(thrown: unknown): number {
  const { code, text } = endingOf(thrown);
  if (process.env.STARLING_DEBUG !== undefined) process.stderr.write(`${(thrown as Error).stack}\n`);
  process.stderr.write(text);
  return code;
}

// `starling data list | head`: a reader that has seen enough is no error, and a service goes on without one.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

// A promise that nobody awaited is one too. What the program holds now is unknown: it says so, and tidies up nothing. No
// listener, of which libraries have some that throw again; once, however often the program is loaded.
if (!process.hasUncaughtExceptionCaptureCallback())
  process.setUncaughtExceptionCaptureCallback((thrown) => exit(tell(thrown) && 1));

let program: Command | undefined;
try {
  const { createProgram } = await import('./program.js'); // here: many files, and descriptors may have run out
  program = await createProgram(process.argv.slice(2));
  await program.parseAsync();
} catch (thrown) {
  const code = tell(thrown);
  if (code === 2 && program !== undefined) process.stderr.write(nextStep(program, process.argv.slice(2)));
  exit(code);
}
