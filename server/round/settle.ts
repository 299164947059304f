/** What follows from the facts of a state, one stage after another, until nothing does. */
import { awaitEvaluators, closeEvaluation, leaveRound, startEvaluation } from './evaluation.js';
import { type RunState, type Turn, willing } from './state.js';
import { closeTraining, commit, drawCohort, startTraining } from './training.js';

/** The state in which nothing is left to follow: the same one when nothing did. */
export function settle(state: RunState, turn: Turn): RunState {
  const next = advance(state, turn);
  return next === state ? state : settle(next, turn);
}

/** One move, or the state as it is. */
function advance(state: RunState, turn: Turn): RunState {
  const { stage } = state;
  switch (stage.kind) {
    case 'waiting':
      return drawCohort(state, turn);
    case 'drawn':
      return startTraining(state, stage, turn);
    case 'training':
      return closeTraining(state, stage, turn);
    case 'committing':
      return commit(state, stage, turn);
    case 'made':
      return awaitEvaluators(state, stage, turn);
    case 'committed':
      return startEvaluation(state, stage, turn);
    case 'evaluating':
      return closeEvaluation(state, stage, turn);
    case 'closed':
      return leaveRound(state, turn);
    case 'ended':
      return state;
  }
}

/** A run that waits says for how many. */
export function sayIfWaiting(state: RunState, { atMs, out }: Turn): void {
  if (state.stage.kind !== 'waiting') return;
  const { round, spec } = state;
  const event = { kind: 'waiting', atMs, round, online: willing(state).length, need: spec.minClients } as const;
  out.push({ kind: 'emit', event });
}
