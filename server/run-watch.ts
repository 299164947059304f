/** What is made of a run's events outside of it: lines of the log, counters, what operators are told of a client, a report. */

import type { CoordinatorOptions } from './options.js';
import type { Presence } from './presence.js';
import { roundWarnings } from './report/warnings.js';
import { blameOf, noteTaker } from './run/notes.js';
import type { Run } from './run/run.js';

interface WatchDeps extends Pick<CoordinatorOptions, 'log' | 'onEvent' | 'onRunEnded'> {
  readonly presence: Presence;
  /** All is written of a run that has ended. */
  over(): void;
}

/** Watches the runs of a coordinator. */
export class RunWatch {
  readonly #deps: WatchDeps;
  /** What is written after the end of a run, by run. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(deps: WatchDeps) {
    this.#deps = deps;
  }

  /** From now on; an end that an earlier process has come to is heard of as well, which may have been killed before it told. */
  follow(run: Run): void {
    const { log, presence, onEvent } = this.#deps;
    let isPast = true;
    const note = noteTaker(run.id, log);
    run.feed.subscribe((event) => {
      if (isPast) return;
      note(event);
      onEvent?.(run, event);
      if (event.kind === 'dropped') presence.blame(event.client, blameOf(run.id, event));
      if (event.kind === 'ended') this.#ended(run);
      if (event.kind !== 'round-ended') return;
      const { round } = event.summary;
      for (const warning of roundWarnings(event.summary)) log.warn({ run: run.id, round }, warning);
    });
    isPast = false;
    if (run.state.status !== 'running') this.#ended(run);
  }

  /** Resolves when there is all that is made of a run that has ended. */
  async written(run: string): Promise<void> {
    await this.#writing.get(run);
  }

  #ended(run: Run): void {
    const writing = this.#deps.onRunEnded?.(run) ?? Promise.resolve();
    this.#writing.set(run.id, writing);
    void writing.finally(() => {
      if (this.#writing.get(run.id) === writing) this.#writing.delete(run.id);
      this.#deps.over();
    });
  }
}
