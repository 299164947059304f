/**
 * A run's state after a restart: the fold of its journal, and what follows from it. Updates that were in a running sum
 * are gone with the process, and no harm: every client keeps its update until the receipt and is asked for it again.
 */
import { FlError } from '../../shared/errors.js';
import { adapted, charge, spendingOf } from '../../shared/run/spending.js';
import { createdIn, type RunRecord } from '../journal/records.js';
import { attended, committedBy } from './attendance.js';
import { newCohort } from './cohort.js';
import { nextRound } from './evaluation.js';
import { resumed } from './moves.js';
import { type Effect, initialState, type RunState, type Turn } from './state.js';
import { settle } from './step.js';
import { sayWhoIsWaitedFor, waitForAbsent } from './waiting.js';

/** The state, and what is left to be done. @throws FlError corrupt when the first record is not `created`, or another one is. */
export function restore(records: readonly RunRecord[], atMs: number): [RunState, Effect[]] {
  const { run, spec, modelSha256 } = createdIn(records);
  const found = records.slice(1).reduce(applied, initialState(run, spec.engine, modelSha256, spendingOf(spec.work)));
  const turn: Turn = { atMs, out: [] };
  const state = found.spec.secure ? withNewKeys(found, turn) : found;
  const next = waitForAbsent(settle(state, turn), turn);
  if (next !== state) sayWhoIsWaitedFor(state, next, { kind: 'resume', atMs }, turn);
  return [next, turn.out];
}

/** The masked sum went with the process, and no client gives a vector to two aggregations: a new attempt, new keys. */
function withNewKeys(state: RunState, { atMs, out }: Turn): RunState {
  if (state.stage.kind !== 'drawn' && state.stage.kind !== 'made') return state;
  const record = { kind: 'resumed', atMs } as const;
  out.push({ kind: 'record', record });
  return applied(state, record);
}

function applied(state: RunState, record: RunRecord): RunState {
  switch (record.kind) {
    case 'created':
      throw new FlError('corrupt', 'journal: a second "created" record');
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
      const { round, attempt, modelSha256, draft, nextClippingBound } = record;
      const spending = state.spending && { spending: adapted(state.spending, nextClippingBound) };
      const attendances = committedBy(state.attendances, record);
      return { ...state, round, attempt, modelSha256, attendances, ...spending, stage: { kind: 'made', draft } };
    }
    case 'round-ended': {
      const { summary, late, back } = record;
      const attendances = attended(state.attendances, { kind: 'evaluate', round: summary.round, late, back });
      if (summary.round < state.spec.rounds) return nextRound({ ...state, attendances });
      return { ...state, attendances, stage: { kind: 'closed' } };
    }
    case 'ended':
      return { ...state, status: record.status, reason: record.reason, stage: { kind: 'ended' } };
    case 'resumed':
      return state.stage.kind === 'made'
        ? { ...resumed(state), stage: state.stage }
        : resumed(state, record.nextAttempt);
  }
}
