/** What `simulate` and `demo` write while a run goes on and when it is over. Quiet: nothing but the result of --json. */
import { relative } from 'node:path';

import type { RunEvent } from '../../shared/run/events.js';
import type { Headline, Report } from '../../shared/run/report.js';
import { createProgress } from './progress.js';
import { resultLines } from './result.js';

/** What a command tells while a run goes on and when it is over. */
export interface Shown {
  line(text: string): void;
  event(event: RunEvent): void;
  result(report: Report, html: string): void;
  close(): void;
}

/** Quiet: all of it goes to standard error, which leaves standard output to --json. */
export function showRun(options: { rounds: number; headline: Headline; quiet: boolean }): Shown {
  const { rounds, headline } = options;
  const stream = options.quiet ? process.stderr : process.stdout;
  const progress = createProgress({
    stream,
    isTTY: stream.isTTY === true,
    columns: stream.columns ?? 80,
    nowMs: Date.now,
    rounds,
    headline,
  });
  return {
    line: (text) => void stream.write(`${text}\n`),
    event(event) {
      progress.event(event);
      if (event.kind === 'ended') progress.close();
    },
    result(report, html) {
      const reportPath = relative(process.cwd(), html);
      for (const line of resultLines(report, { headline, reportPath })) stream.write(`${line}\n`);
    },
    close: () => progress.close(),
  };
}
