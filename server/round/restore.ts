/**
 * A run's state after a restart: the fold of its journal. Updates that were in a running sum are gone with the process,
 * and no harm: every client keeps its update until the receipt and is asked for it again.
 */
import { FlError } from '../../shared/errors.js';
import { resumed } from './end.js';
import { adapted, charge, spendingOf } from './privacy.js';
import { type Effect, initialState, newCohort, type RunRecord, type RunState } from './state.js';
import { advance, openCommitted, openTraining } from './step.js';

/** @throws FlError corrupt when the first record is not `created`. */
export function restore(records: readonly RunRecord[], atMs: number): [RunState, Effect[]] {
  const [first, ...rest] = records;
  if (first?.kind !== 'created') throw new FlError('corrupt', `journal: expected "created" first, got ${first?.kind}`);
  const out: Effect[] = [];
  let state = initialState(first.run, first.spec.engine, first.modelSha256, spendingOf(first.spec.work));
  let open: RunRecord = first;
  for (const record of rest) {
    state = applyRecord(state, record);
    if (record.kind !== 'resumed') open = record;
  }
  if (state.status !== 'running') return [{ ...state, stage: { kind: 'ended' } }, out];
  const { deadlineMs, secure } = state.spec;
  const cut = open.kind === 'round-started' && state.attempt === open.attempt ? open : undefined;
  if (secure && (cut !== undefined || open.kind === 'committed')) {
    // The masked sum went with the process, and no client gives a vector to two aggregations: a new attempt, new keys.
    out.push({ kind: 'record', record: { kind: 'resumed', atMs } });
    state = resumed(state);
  } else if (cut !== undefined) {
    const times = { startedAtMs: atMs, deadlineAtMs: atMs + deadlineMs };
    return [openTraining(state, newCohort(cut.cohort), times, out), out];
  }
  if (open.kind === 'committed') return [openCommitted(state, open.draft, atMs + deadlineMs, atMs, out), out];
  if (open.kind === 'round-ended' && open.summary.round >= state.spec.rounds) return [advance(state, atMs, out), out];
  return [state, out];
}

function applyRecord(state: RunState, record: RunRecord): RunState {
  switch (record.kind) {
    case 'created':
      throw new FlError('corrupt', 'journal: a second "created" record');
    case 'round-started': {
      const spending = state.spending && charge(state.spending, record.round, record.cohort);
      return { ...state, round: record.round, attempt: record.attempt, ...(spending && { spending }) };
    }
    case 'round-aborted':
      return { ...state, attempt: record.attempt + 1 };
    case 'committed':
      return {
        ...state,
        ...{ modelSha256: record.modelSha256, round: record.round, attempt: record.attempt },
        ...(state.spending && { spending: adapted(state.spending, record.nextClippingBound) }),
      };
    case 'round-ended': {
      const last = record.summary.round >= state.spec.rounds;
      return {
        ...state,
        round: last ? record.summary.round : record.summary.round + 1,
        attempt: last ? state.attempt : 1,
        firstAttempt: last ? state.firstAttempt : 1,
      };
    }
    case 'ended':
      return { ...state, status: record.status, reason: record.reason };
    case 'resumed':
      return resumed(state);
  }
}
