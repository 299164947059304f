/** `starling report RUN_DIR`: writes the page of a run again, from its report.json or, if it never got one, its journal. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { FlError } from '../../shared/errors.js';
import type { Report } from '../../shared/run/report.js';
import { command, print } from './options.js';

/** Prints where the page is. */
export function reportCommand(): Command {
  return command('report', 'write the HTML page of a run', 'starling report starling-runs/cnn-20261124-203000-4711')
    .argument('RUN_DIR')
    .action(async (directory: string) => {
      const { writeReport } = await import('../../server/report/build.js');
      const { html } = await writeReport(directory, await reportIn(directory));
      print(html);
    });
}

async function reportIn(directory: string): Promise<Report> {
  const written = await readFile(join(directory, 'report.json'), 'utf8').catch(() => undefined);
  if (written !== undefined) return JSON.parse(written) as Report;
  const { reportOf } = await import('../../server/report/run-report.js');
  const { readRun } = await import('../../server/run/directory.js');
  try {
    return reportOf(await readRun(directory));
  } catch (cause) {
    throw new FlError('not-found', `${directory} is no run directory: ${FlError.from(cause).message}`, { cause });
  }
}
