/** What of all that a client shows is news to this coordinator, and signed by it: the rest is not even verified. */
import { fromHex } from '../shared/hex.js';
import { isHeadSignedBy } from '../shared/ledger/against.js';
import { allKeysOf, type Identity } from '../shared/signing/identity.js';
import { isTaskSignedBy, type Shown } from '../shared/signing/shown.js';
import type { Logger } from './log.js';
import { isNews } from './round/shown.js';
import type { EventOf, RunState } from './round/state.js';
import type { VisibleRuns } from './visible-runs.js';

const AHEAD = 'a client is ahead of these data: they were restored from an older backup';
const FOLLOWED = 'a client follows a run that is not here: deleted, or newer than a backup';

/** Of one run; `attempt` is 0 where a ledger head says nothing of it. */
type News = { readonly run: string } & Pick<EventOf<'shown'>, 'round' | 'attempt' | 'isCommitted'>;

/**
 * In the order of what was shown, as far as it is signed by a key of this coordinator, of now or of before, hex. Of a run
 * that is not known here all is news. A signature is checked only of what would change something, which costs an undisturbed
 * coordinator nothing, however many clients come.
 */
export function newsOf(
  { tasks, heads }: Shown,
  coordinatorKeys: readonly string[],
  stateOf: (run: string) => RunState | undefined,
  isKnown: (run: string) => boolean,
): News[] {
  const says = (news: News) => {
    const state = stateOf(news.run);
    return state === undefined ? !isKnown(news.run) : isNews(state, news);
  };
  const ofTasks = tasks.flatMap((signed): News[] => {
    const { run, kind, round, attempt } = signed.task;
    const news = { run, round, attempt, isCommitted: kind === 'evaluate' };
    return says(news) && coordinatorKeys.some((key) => isTaskSignedBy(signed, fromHex(key))) ? [news] : [];
  });
  const ofHeads = heads.flatMap((signed): News[] => {
    const { run, round } = signed.head;
    const news = { run, round, attempt: 0, isCommitted: true };
    return says(news) && coordinatorKeys.some((key) => isHeadSignedBy(signed, key)) ? [news] : [];
  });
  return [...ofTasks, ...ofHeads];
}

/** Tells the runs, and the log, what `client` has shown that is news; before it may be drawn. */
export function heed(
  client: string,
  shown: Shown,
  { runs, identity, log }: { readonly runs: VisibleRuns; readonly identity: Identity; readonly log: Logger },
): void {
  const stateOf = (run: string) => runs.get(run)?.state;
  for (const { run, ...said } of newsOf(shown, allKeysOf(identity), stateOf, runs.isKnown)) {
    if (runs.isKnown(run)) log.warn({ run, client, ...said }, AHEAD);
    else log.info({ run, client, round: said.round }, FOLLOWED);
    runs.get(run)?.post({ kind: 'shown', client, ...said });
  }
}
