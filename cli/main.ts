#!/usr/bin/env node
/**
 * `starling`: one binary, one subcommand per job. Exit codes: 0 success, 2 wrong use, 1 failure; a run that was
 * interrupted is a failure. A service (`coordinator`, `client run`) that was told to stop has succeeded. Whatever fails
 * ends the process, with its reason as the last line: a supervisor can start it again.
 */
import { CommanderError } from 'commander';
import { adviceOn } from '../shared/disk/faults.js';
import { FlError } from '../shared/errors.js';

/** Ends the process, whatever it still holds open, when its last words are out. */
function exit(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}

/** Wrong use is 2, whoever noticed it: commander or a check of ours. */
function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  const { code, message } = FlError.from(thrown);
  if (process.env.STARLING_DEBUG !== undefined) process.stderr.write(`${(thrown as Error).stack}\n`);
  const advice = adviceOn(thrown);
  process.stderr.write(`starling: ${message}${advice === undefined ? '' : `; next: ${advice}, then start it again`}\n`);
  return code === 'invalid-argument' ? 2 : 1;
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
  process.setUncaughtExceptionCaptureCallback((thrown) => exit(exitCodeOf(thrown) && 1));

try {
  const { createProgram } = await import('./program.js'); // here: many files, and descriptors may have run out
  await createProgram().parseAsync();
} catch (thrown) {
  exit(exitCodeOf(thrown));
}
