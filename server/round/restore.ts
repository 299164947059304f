/**
 * A run's state after a restart: the fold of its journal, and what follows from it. Updates that were in a running sum
 * are gone with the process, and no harm: every client keeps its update until the receipt and is asked for it again.
 */
import { FlError } from '../../shared/errors.js';
import { adapted, charge, type Spending, spendingOf } from '../../shared/run/spending.js';
import { createdIn, type RunRecord } from '../journal/records.js';
import { attended, committedBy } from './attendance.js';
import { newCohort } from './cohort.js';
import { isOver, nextRound, withJudgement } from './evaluation.js';
import { resumed } from './moves.js';
import { type Effect, initialState, type RunState, type Turn } from './state.js';
import { settle } from './step.js';
import { sayWhoIsWaitedFor, waitForAbsent } from './waiting.js';

/** The state, and what is left to be done. @throws FlError corrupt when the first record is not `created`, or another one is. */
export function restore(records: readonly RunRecord[], atMs: number): [RunState, Effect[]] {
  const found = fold(records);
  const turn: Turn = { atMs, out: [] };
  const state = found.spec.secure ? withNewKeys(found, turn) : found;
  const next = waitForAbsent(settle(state, turn), turn);
  if (next !== state) sayWhoIsWaitedFor(state, next, { kind: 'resume', atMs }, turn);
  return [next, turn.out];
}

/** What the records come to, and nothing that follows from it. @throws FlError corrupt, as {@link restore} */
export function fold(records: readonly RunRecord[]): RunState {
  const { run, spec, modelSha256 } = createdIn(records);
  return records.slice(1).reduce(applied, initialState(run, spec.engine, modelSha256, spendingOf(spec.work)));
}

/** Of a fold, what a checkpoint holds: all but what `created` says again. */
export function checkpointStateOf({ run: _, spec: __, spending, ...state }: RunState): object {
  if (spending === undefined) return state;
  const { clippingBound, charged, lastRound } = spending;
  return { ...state, account: { clippingBound, charged, lastRound } };
}

/** The same of a run that has the rest from its `created`. */
function atCheckpoint(first: RunState, stored: object): RunState {
  const { account, ...state } = stored as Partial<RunState> & { readonly account?: Partial<Spending> };
  return { ...first, ...state, ...(first.spending && { spending: { ...first.spending, ...account } }) };
}

/** The masked sum went with the process, and no client gives a vector to two aggregations: a new attempt, new keys. */
function withNewKeys(state: RunState, { atMs, out }: Turn): RunState {
  if (state.stage.kind !== 'drawn' && state.stage.kind !== 'made') return state;
  const record = { kind: 'resumed', atMs } as const;
  out.push({ kind: 'record', record });
  return applied(state, record, 1);
}

function applied(state: RunState, record: RunRecord, index: number): RunState {
  switch (record.kind) {
    case 'created':
      throw new FlError('corrupt', 'journal: a second "created" record');
    case 'checkpoint':
      if (index > 0) throw new FlError('corrupt', 'journal: a "checkpoint" that is not second');
      return atCheckpoint(state, record.state);
    case 'round-started': {
      const { round, attempt, cohort } = record;
      const spending = state.spending && { spending: charge(state.spending, round, cohort) };
      return { ...state, round, attempt, ...spending, stage: { kind: 'drawn', cohort: newCohort(cohort) } };
    }
    case 'round-aborted': {
      const attendances = attended(state.attendances, { ...record, kind: 'train' });
      return { ...state, attendances, attempt: record.attempt + 1, stage: { kind: 'waiting' } };
    }
    case 'committed': {
      const { round, attempt, modelSha256, draft, nextClippingBound, nextValueRange } = record;
      const survivors = record.survivors.map(({ client }) => client);
      const spending = state.spending && { spending: adapted(state.spending, nextClippingBound) };
      const range = nextValueRange === undefined ? {} : { valueRange: nextValueRange };
      const attendances = committedBy(state.attendances, record);
      const stage = { kind: 'made', draft, survivors } as const;
      return { ...state, round, attempt, modelSha256, attendances, ...spending, ...range, stage };
    }
    case 'round-ended': {
      const { summary, late, back } = record;
      const attendances = attended(state.attendances, { kind: 'evaluate', round: summary.round, late, back });
      const closed = { ...withJudgement(state, summary), attendances, stage: { kind: 'closed' } } as const;
      return isOver(closed) === false ? nextRound(closed) : closed;
    }
    case 'ended':
      return { ...state, status: record.status, reason: record.reason, stage: { kind: 'ended' } };
    case 'resumed':
      return state.stage.kind === 'made'
        ? { ...resumed(state), stage: state.stage }
        : resumed(state, record.nextAttempt);
  }
}
