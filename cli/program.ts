/** The command tree of `starling`. Everything heavy is imported by the command that needs it, when it needs it. */
import { Command } from 'commander';
import { VERSION } from '../shared/version.js';
import { accountCommand } from './commands/account.js';
import { auditCommand } from './commands/audit.js';
import { authorityCommand } from './commands/authority.js';
import { backupCommand, restoreCommand } from './commands/backup.js';
import { benchCommand } from './commands/bench.js';
import { clientCommand } from './commands/client.js';
import { completionCommand } from './commands/completion.js';
import { coordinatorCommand } from './commands/coordinator.js';
import { dataCommand, workloadsCommand } from './commands/data.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { evaluateCommand } from './commands/evaluate.js';
import { exportCommand } from './commands/export.js';
import { healthCommand } from './commands/health.js';
import { initCommand } from './commands/init.js';
import { keyCommand } from './commands/key.js';
import { exampleText } from './commands/options.js';
import { predictCommand } from './commands/predict.js';
import { privacyCommand } from './commands/privacy.js';
import { reportCommand } from './commands/report.js';
import { runCommand } from './commands/run.js';
import { schemaCommand } from './commands/schema.js';
import { simulateCommand } from './commands/simulate.js';
import { tokenCommand } from './commands/token.js';
import { verifyCommand } from './commands/verify.js';
import { inShort } from './exit.js';

/** Throws a CommanderError instead of ending the process. */
export function createProgram(): Command {
  const program = new Command('starling')
    .description('Federated learning: a coordinator, clients and simulations that share one code path.')
    .version(VERSION)
    .addHelpText('after', exampleText('starling demo'));
  const commands = [
    demoCommand(),
    initCommand(),
    coordinatorCommand(),
    tokenCommand(),
    auditCommand(),
    accountCommand(),
    authorityCommand(),
    keyCommand(),
    clientCommand(),
    runCommand(),
    simulateCommand(),
    workloadsCommand(),
    dataCommand(),
    privacyCommand(),
    verifyCommand(),
    reportCommand(),
    evaluateCommand(),
    predictCommand(),
    exportCommand(),
    doctorCommand(),
    healthCommand(),
    backupCommand(),
    restoreCommand(),
    benchCommand(),
    schemaCommand(),
    completionCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  return strict(program);
}

/** Commander's own errors are thrown, so that all ends in one place, `main.ts`. */
function strict(command: Command): Command {
  command.exitOverride().configureOutput({ outputError: (text, write) => write(inShort(text)) });
  command.commands.forEach(strict);
  return command;
}
