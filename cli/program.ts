/**
 * The command tree of `starling`: of a command line that names a command, that one alone is loaded. Everything heavy is
 * imported by the command that needs it, when it needs it.
 */
import { Command } from 'commander';
import { VERSION } from '../shared/version.js';
import { exampleText } from './commands/options.js';
import { inShort } from './exit.js';

/** By name, in the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./commands/demo.js')).demoCommand(),
  init: async () => (await import('./commands/init.js')).initCommand(),
  coordinator: async () => (await import('./commands/coordinator.js')).coordinatorCommand(),
  token: async () => (await import('./commands/token.js')).tokenCommand(),
  audit: async () => (await import('./commands/audit.js')).auditCommand(),
  account: async () => (await import('./commands/account.js')).accountCommand(),
  authority: async () => (await import('./commands/authority.js')).authorityCommand(),
  key: async () => (await import('./commands/key.js')).keyCommand(),
  client: async () => (await import('./commands/client.js')).clientCommand(),
  run: async () => (await import('./commands/run.js')).runCommand(),
  simulate: async () => (await import('./commands/simulate.js')).simulateCommand(),
  workloads: async () => (await import('./commands/data.js')).workloadsCommand(),
  data: async () => (await import('./commands/data.js')).dataCommand(),
  privacy: async () => (await import('./commands/privacy.js')).privacyCommand(),
  verify: async () => (await import('./commands/verify.js')).verifyCommand(),
  report: async () => (await import('./commands/report.js')).reportCommand(),
  evaluate: async () => (await import('./commands/evaluate.js')).evaluateCommand(),
  predict: async () => (await import('./commands/predict.js')).predictCommand(),
  export: async () => (await import('./commands/export.js')).exportCommand(),
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand(),
  health: async () => (await import('./commands/health.js')).healthCommand(),
  backup: async () => (await import('./commands/backup.js')).backupCommand(),
  restore: async () => (await import('./commands/backup.js')).restoreCommand(),
  bench: async () => (await import('./commands/bench.js')).benchCommand(),
  schema: async () => (await import('./commands/schema.js')).schemaCommand(),
  completion: async () => (await import('./commands/completion.js')).completionCommand(),
};

/**
 * The program for `args`, the words after its name: all of it, if they name no command.
 * Throws a CommanderError instead of ending the process.
 */
export async function createProgram(args: readonly string[] = []): Promise<Command> {
  const program = new Command('starling')
    .description('Federated learning: a coordinator, clients and simulations that share one code path.')
    .version(VERSION)
    .addHelpText('after', exampleText('starling demo'));
  for (const name of namedBy(args)) program.addCommand(await COMMANDS[name]());
  return strict(program);
}

/** Completion is of all commands. */
function namedBy([first]: readonly string[]): string[] {
  return first !== 'completion' && Object.hasOwn(COMMANDS, first) ? [first] : Object.keys(COMMANDS);
}

/** Commander's own errors are thrown, so that all ends in one place, `main.ts`. */
function strict(command: Command): Command {
  command.exitOverride().configureOutput({ outputError: (text, write) => write(inShort(text)) });
  command.commands.forEach(strict);
  return command;
}
