#!/usr/bin/env node
/**
 * `starling`: one binary, one subcommand per job. Exit codes: 0 success, 2 wrong use, 1 failure; a run that was
 * interrupted is a failure. A service (`coordinator`, `client run`) that was told to stop has succeeded.
 */
import { CommanderError } from 'commander';
import { FlError } from '../shared/errors.js';
import { createProgram } from './program.js';

/** Wrong use is 2, whoever noticed it: commander or a check of ours. */
function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  const { code, message } = FlError.from(thrown);
  process.stderr.write(`starling: ${message}\n`);
  if (process.env.STARLING_DEBUG !== undefined) process.stderr.write(`${(thrown as Error).stack}\n`);
  return code === 'invalid-argument' ? 2 : 1;
}

// `starling data list | head`: a reader that has seen enough is no error, and a service goes on without one.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await createProgram().parseAsync();
} catch (thrown) {
  process.exitCode = exitCodeOf(thrown);
}
