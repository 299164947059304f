#!/usr/bin/env node
/**
 * `starling`: one binary, one subcommand per job. Everything heavy is imported by the command that needs it, so the
 * coordinator starts without TensorFlow. Exit codes: 0 success, 2 wrong use, 1 failure.
 */
import { Command, CommanderError } from 'commander';
import { FlError } from '../shared/errors.js';
import { benchCommand } from './commands/bench.js';
import { clientCommand } from './commands/client.js';
import { coordinatorCommand, tokenCommand } from './commands/coordinator.js';
import { dataCommand, workloadsCommand } from './commands/data.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { reportCommand } from './commands/report.js';
import { runCommand } from './commands/run.js';
import { simulateCommand } from './commands/simulate.js';
import { VERSION } from './version.js';

const program = new Command('starling')
  .description('Federated learning: a coordinator, clients and simulations that share one code path.')
  .version(VERSION)
  .exitOverride()
  .configureOutput({ writeErr: (text) => process.stderr.write(text) });

const commands = [
  demoCommand(),
  coordinatorCommand(),
  tokenCommand(),
  clientCommand(),
  runCommand(),
  simulateCommand(),
  workloadsCommand(),
  dataCommand(),
  reportCommand(),
  doctorCommand(),
  benchCommand(),
];
for (const command of commands) program.addCommand(strict(command));

/** Commander's own errors are thrown, so that all ends below, in one place. */
function strict(command: Command): Command {
  command.exitOverride();
  command.commands.forEach(strict);
  return command;
}

/** Wrong use is 2, whoever noticed it: commander or a check of ours. */
function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  const { code, message } = FlError.from(thrown);
  process.stderr.write(`starling: ${message}\n`);
  if (process.env.STARLING_DEBUG !== undefined) process.stderr.write(`${(thrown as Error).stack}\n`);
  return code === 'invalid-argument' ? 2 : 1;
}

try {
  await program.parseAsync();
} catch (thrown) {
  process.exitCode = exitCodeOf(thrown);
}
