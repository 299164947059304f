/** `starling health`: for a supervisor or a probe; whether the coordinator answers and its disk takes what is written. */
import type { Command } from 'commander';
import { coordinatorDir } from '../../shared/disk/home.js';
import { probeDisk } from '../../shared/disk/probe.js';
import { FlError } from '../../shared/errors.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { withKeyFile } from './key-file.js';
import { command, print, printJson } from './options.js';

/** A coordinator that has not answered by then is not well. */
const ANSWER_LIMIT_MS = 5_000;

interface Given {
  readonly dataDir?: string;
  readonly json?: boolean;
}

/** Exit code 0: well; 1: not, and why. */
export function healthCommand(): Command {
  return withKeyFile(
    command('health', 'whether the coordinator answers and can write', 'starling health --data-dir ./coordinator'),
  )
    .option('--data-dir <DIR>', "the coordinator's data directory (default: ~/.starling/coordinator)")
    .option('--json', 'print JSON')
    .action(async (given: Given) => {
      const directory = coordinatorDir(given.dataDir);
      try {
        const runs = await runningOf(given, directory);
        await probeDisk(directory);
        if (given.json) printJson({ healthy: true, directory, running: runs });
        else print(`healthy: the coordinator of ${directory} answers, its disk can be written; runs at work: ${runs}`);
      } catch (thrown) {
        if (given.json) printJson({ healthy: false, directory, reason: FlError.from(thrown).message });
        throw thrown;
      }
    });
}

async function runningOf(given: Given, directory: string): Promise<number> {
  let running = 0;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `the coordinator of ${directory} has not answered for ${ANSWER_LIMIT_MS / 1000} s; is it stopped?`;
    timer = setTimeout(() => reject(new FlError('unavailable', message)), ANSWER_LIMIT_MS);
  });
  const asked = withAdmin(given, async (admin) => {
    running = (await admin.listRuns()).filter(({ status }) => status === 'running').length;
  });
  await Promise.race([asked, late]).finally(() => clearTimeout(timer));
  return running;
}
