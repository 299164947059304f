/**
 * What clients show of this coordinator's own past. A coordinator whose data were restored from a backup has forgotten
 * attempts, and perhaps rounds. Of a round that is not in a model yet, the next attempt is above all that was seen. A round
 * that is in a model is never made twice: its ledger line is signed, its noise was drawn, its labs were charged; so the run
 * ends, in words that say how to go on from the stored model.
 */
import { resumed } from './moves.js';
import type { EventOf, Forgotten, RunState, Turn } from './state.js';

/** Whether the engine, as it stands, does not know of what was shown; in an undisturbed run never. */
export function isNews(
  state: RunState,
  { round, attempt, isCommitted }: Omit<EventOf<'shown'>, 'atMs' | 'kind' | 'client'>,
): boolean {
  if ((isCommitted ? round : round - 1) > lastInModel(state)) return true;
  return !isCommitted && round === state.round && attempt > Math.max(state.attempt, state.shownAttempt ?? 0);
}

/** The fact alone: a forgotten round, or how far attempts have come. */
export function onShown(state: RunState, event: EventOf<'shown'>): RunState {
  if (!isNews(state, event)) return state;
  const { client, round, attempt, isCommitted } = event;
  const done = isCommitted ? round : round - 1;
  if (done <= lastInModel(state)) return { ...state, shownAttempt: attempt };
  const known = state.forgotten?.round ?? 0;
  return done > known ? { ...state, forgotten: { client, round: done } } : state;
}

/** Why a run does not go on that has forgotten a round, for its operator. */
export function forgottenWords(state: RunState, { client, round }: Forgotten): string {
  const known = lastInModel(state);
  const from = known === 0 ? 'its first model' : `the model of round ${known}`;
  return (
    `round ${round} is in a model, by this coordinator's own signature, which ${client} has shown; ` +
    `these data know of ${known}: they were restored from an older backup, and no round is made twice ` +
    '(its ledger line is signed, and what the labs were charged stands); next: restore a newer backup, ' +
    `or start a new run with the same labs and initial-model: models/${state.modelSha256}.safetensors of this run's folder, ${from}`
  );
}

/** Before a cohort is drawn: an attempt that no client has seen. */
export function aboveShown(state: RunState, { atMs, out }: Turn): RunState {
  const { shownAttempt = 0, refused } = state;
  if (shownAttempt < state.attempt) return state;
  const nextAttempt = shownAttempt + 1;
  out.push({ kind: 'record', record: { kind: 'resumed', atMs, nextAttempt } });
  return { ...resumed(state, nextAttempt), refused };
}

/** The last round that is in a model here. */
function lastInModel({ round, stage, status }: RunState): number {
  const isMade = stage.kind === 'made' || stage.kind === 'committed' || stage.kind === 'evaluating';
  return isMade || stage.kind === 'closed' || status === 'completed' ? round : round - 1;
}
