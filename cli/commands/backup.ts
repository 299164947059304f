/** `starling backup DATA_DIR --to DIR` and `starling restore BACKUP --to DATA_DIR`. */
import type { Command } from 'commander';
import type { Backup } from '../../server/backup/backup.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly to: string;
  readonly json?: boolean;
}

/** While the coordinator works, too. */
export function backupCommand(): Command {
  const example = 'starling backup ./coordinator --to /backups/2026-12-01';
  return command('backup', "copy a coordinator's data directory, also while it works", example)
    .argument('DATA_DIR')
    .requiredOption('--to <DIR>', 'a folder that is new or empty; it is as secret as the data directory')
    .option('--json', 'print JSON')
    .action(async (dataDir: string, { to, json }: Given) => {
      const { backUp } = await import('../../server/backup/backup.js');
      const backup = await backUp(dataDir, to, { nowMs: Date.now() });
      if (json) return printJson(backup);
      print(`backup of ${dataDir} in ${to}: ${sizesOf(backup)}`);
      for (const line of runsOf(backup)) print(line);
    });
}

/** No coordinator is there, or has been started there. */
export function restoreCommand(): Command {
  const example = 'starling restore /backups/2026-12-01 --to ./coordinator';
  return command('restore', 'make a data directory of a backup', example)
    .argument('BACKUP')
    .requiredOption('--to <DATA_DIR>', 'a folder that is new or empty')
    .option('--json', 'print JSON')
    .action(async (from: string, { to, json }: Given) => {
      const { restoreBackup } = await import('../../server/backup/restore.js');
      const backup = await restoreBackup(from, to);
      if (json) return printJson(backup);
      const taken = new Date(backup.takenAtMs).toISOString();
      print(`restored ${to} as it was on ${taken}: ${sizesOf(backup)}`);
      for (const line of runsOf(backup)) print(line);
      print(
        'what was after that is forgotten: labs that joined since have to join again, a join token that was used since',
      );
      print(
        'is good again until it expires, and a run whose labs are ahead ends and says how to go on (docs/operate.md)',
      );
    });
}

function sizesOf({ files, runs }: Backup): string {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return `${runs.length} runs, ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`;
}

function runsOf({ runs }: Backup): string[] {
  return runs.map(({ run, status, round, reason }) => `${run}  ${status}  ${reason ?? `round ${round}`}`);
}
