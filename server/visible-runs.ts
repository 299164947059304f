/**
 * The runs of a coordinator as one client sees them. One that names its labs is not known to any other: whatever is asked of
 * it is answered as if it had never been.
 */
import { FlError } from '../shared/errors.js';
import type { PendingUpdate } from '../shared/service.js';
import type { Run } from './run/run.js';
import type { Runs } from './runs.js';

/** Whether a run of these labs is for `client`; absent: for all. */
export function isFor(clients: readonly string[] | undefined, client: string): boolean {
  return clients === undefined || clients.includes(client);
}

/** What one client can see of the runs. */
export type VisibleRuns = ReturnType<typeof visibleTo>;

/** As far as `client` can see; `whyNot`: why a run cannot be used now, being damaged or archived. */
export function visibleTo(runs: Runs, client: string, whyNot: (id: string) => FlError | undefined) {
  const isVisible = (id: string) => isFor(runs.clientsOf(id), client);
  const check = (id: string) => {
    const aside = whyNot(id);
    if (isVisible(id) && !runs.isDamaged(id) && aside === undefined) return;
    throw new FlError('not-found', `run "${id}" is not known here`);
  };
  const isKnown = (id: string) => (isVisible(id) && runs.isKnown(id)) || whyNot(id) !== undefined;
  return {
    atWork: (): Run[] => [...runs.atWork()].filter(({ spec }) => isFor(spec.engine.clients, client)),
    get: (id: string): Run | undefined => (isVisible(id) ? runs.get(id) : undefined),
    isKnown,
    /** @throws FlError not-found */
    need(id: string): Run {
      check(id);
      return runs.need(id);
    },
    /** @throws FlError not-found */
    destination(id: string): ReturnType<Runs['destination']> {
      check(id);
      return runs.destination(id);
    },
    /** Of the updates that the client keeps, those of runs that are not at work; one that is put aside may come back. */
    answerOthers(pending: readonly PendingUpdate[]): void {
      const finished = pending.filter(({ run }) => isVisible(run));
      runs.answerFinished(client, finished);
      const unknown = pending.filter(({ run }) => !isKnown(run));
      runs.answerUnknown(client, unknown);
    },
  };
}
