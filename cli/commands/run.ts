/** `starling run start | list | show | watch | stop | resume`: the operator's view of a coordinator. What puts runs away: run-upkeep.ts. */
import type { Command } from 'commander';
import type { RunEvent } from '../../shared/run/events.js';
import type { Headline, Report } from '../../shared/run/report.js';
import type { RunInfo } from '../../shared/service.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { asWrongUse, checkEnded, columns, command, type Given, onInterrupt, print, printJson, sub } from './options.js';
import { upkeepCommands } from './run-upkeep.js';

/** `starling run` with its subcommands; each asks the coordinator of a data directory, which must be running. */
export function runCommand(): Command {
  const start = sub('start CONFIG', 'start a run', 'starling run start heart.yaml').action(
    async (file: string, given: Given) => {
      const { readYaml } = await import('../../simulations/config/yaml.js');
      const { resolveForLabs } = await import('../../simulations/config/for-labs.js');
      const resolved = await resolveForLabs(await readYaml(file), file).catch(asWrongUse);
      const { spec, model, notes } = resolved;
      await withAdmin(given, async (admin) => {
        const run = await admin.startRun(spec, encode(model));
        const { notesForOperator } = await import('../../simulations/config/notes.js');
        const told = notesForOperator(resolved, await admin.listClients());
        for (const note of [...notes.map((words) => `note: ${words}`), ...told]) process.stderr.write(`${note}\n`);
        if (given.json) printJson({ run });
        else print(`${run}: now starling run watch ${run}${whereOf(given)}`);
      });
    },
  );
  const list = sub('list', 'all runs', 'starling run list')
    .option('--archived', 'those that were put aside instead')
    .action((given: Given & { archived?: boolean }) =>
      withAdmin(given, async (admin) => {
        const runs = await admin.listRuns({ archived: given.archived });
        if (given.json) return printJson(runs);
        for (const line of table(runs)) print(line);
        const others = given.archived ? [] : await admin.listRuns({ archived: true });
        if (others.length > 0) print(`and ${others.length} archived: starling run list --archived`);
      }),
    );
  const show = sub('show RUN', "a run and its report's figures", 'starling run show cnn-20261124-203000-1f2e').action(
    (run: string, given: Given) =>
      withAdmin(given, async (admin) => {
        const { info, report } = await admin.getRun(run);
        if (given.json) printJson({ ...info, report: JSON.parse(report) });
        else for (const line of [...table([info]), `directory  ${info.directory}`]) print(line);
        if (!given.json && info.status !== 'damaged') print(report);
      }),
  );
  const stop = sub('stop RUN', 'stop a run; it can be resumed', 'starling run stop RUN').action(
    (run: string, given: Given) => withAdmin(given, (admin) => admin.stopRun(run, 'stopped by the operator')),
  );
  const resume = sub('resume RUN', 'go on with a stopped or failed run', 'starling run resume RUN').action(
    (run: string, given: Given) => withAdmin(given, (admin) => admin.resumeRun(run)),
  );
  const watch = sub('watch RUN', 'follow a run', 'starling run watch RUN').action(watchAction);
  return [start, list, show, watch, stop, resume, ...upkeepCommands()].reduce(
    (all, one) => all.addCommand(one),
    command(
      'run',
      'start, list, show, watch, stop, resume, archive, delete and repair runs',
      'starling run start heart.yaml',
    ),
  );
}

/** As it was given, for the next command. */
function whereOf({ dataDir }: Given): string {
  if (dataDir === undefined) return '';
  return ` --data-dir ${/^[\w./-]+$/.test(dataDir) ? dataDir : `'${dataDir.replaceAll("'", "'\\''")}'`}`;
}

/** A round without news for so long says whom it waits for. */
const TICK_MS = 5_000;

async function watchAction(run: string, given: Given): Promise<void> {
  await withAdmin(given, async (admin) => {
    const { createProgress } = await import('../terminal/progress.js');
    const { info, report } = await admin.getRun(run);
    const abort = new AbortController();
    const release = onInterrupt(() => abort.abort());
    const stream = process.stdout;
    const progress = createProgress({
      stream,
      isTTY: stream.isTTY && !given.json,
      columns: stream.columns ?? 80,
      nowMs: Date.now,
      rounds: info.rounds,
      headline: headlineIn(report),
    });
    let last: RunEvent | undefined;
    const ticking = setInterval(() => given.json || progress.tick(), TICK_MS);
    try {
      for await (const line of admin.watchRun(run, abort.signal)) {
        last = JSON.parse(line) as RunEvent;
        if (given.json) print(line);
        else progress.event(last);
      }
    } finally {
      clearInterval(ticking);
      progress.close();
      release();
    }
    if (last?.kind === 'ended') checkEnded(last.status, last.reason);
  });
}

/** What the run itself says is looked at first; a run that an older version began says nothing. */
function headlineIn(report: string): Headline {
  const { headline } = (JSON.parse(report) ?? {}) as Partial<Report>;
  return headline ?? { metric: 'test.accuracy', better: 'higher' };
}

function table(runs: readonly RunInfo[]): string[] {
  const rows = runs.map(({ run, workload, status, round, rounds, activity, reason }) => [
    ...[run, workload, status, `${round}/${rounds}`, status === 'running' ? activity : reason],
  ]);
  const all = [['RUN', 'WORKLOAD', 'STATUS', 'ROUND', 'NOW'], ...rows];
  return columns(all);
}
