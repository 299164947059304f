/** `starling run archive | delete | repair`: what is done with runs that do not run, while the coordinator does. */
import type { Command } from 'commander';
import { FlError } from '../../shared/errors.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { type Given, print, printJson, sub } from './options.js';

/** In the order of the help. */
export function upkeepCommands(): Command[] {
  const archive = sub('archive RUN', 'put a run aside that has ended or is damaged', 'starling run archive RUN').action(
    (run: string, given: Given) =>
      withAdmin(given, async (admin) => {
        const directory = await admin.archiveRun(run);
        if (given.json) printJson({ run, directory });
        else print(`${run}: archived in ${directory}; starling run list --archived and run show ${run} still know it`);
      }),
  );
  const remove = sub(
    'delete RUN',
    'delete a run that has ended, is archived or damaged',
    'starling run delete RUN --yes',
  )
    .option('--yes', 'it is meant: nothing brings it back')
    .action((run: string, given: Given & { yes?: boolean }) => {
      if (!given.yes) throw unsure(run);
      return withAdmin(given, async (admin) => {
        await admin.deleteRun(run);
        if (given.json) printJson({ run, deleted: true });
        else print(`${run}: deleted`);
      });
    });
  const repair = sub('repair RUN', 'mend a run that is damaged, and go on with it', 'starling run repair RUN').action(
    (run: string, given: Given) =>
      withAdmin(given, async (admin) => {
        const done = await admin.repairRun(run);
        const { status } = (await admin.getRun(run)).info;
        if (given.json) return printJson({ run, done, status });
        for (const line of done) print(`${run}: ${line}`);
        print(done.length === 0 ? `${run}: nothing to mend; it is ${status}` : `${run}: mended; it is ${status}`);
      }),
  );
  return [archive, remove, repair];
}

function unsure(run: string): FlError {
  const instead = `to keep it out of the way instead: starling run archive ${run}`;
  return new FlError('invalid-argument', `run delete: expected --yes, since nothing brings ${run} back; ${instead}`);
}
