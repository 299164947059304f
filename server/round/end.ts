/** How a run ends, and how one that has ended goes on. */
import type { RunStatus } from '../../shared/run/summary.js';
import type { Effect, RunState } from './state.js';

export function end(state: RunState, status: RunStatus, reason: string, atMs: number, out: Effect[]): RunState {
  out.push({ kind: 'record', record: { kind: 'ended', atMs, status, reason } });
  out.push({ kind: 'emit', event: { kind: 'ended', atMs, status, reason } });
  return { ...state, status, reason, stage: { kind: 'ended' } };
}

/** The state that a run goes on from after `resumed`. */
export function resumed(state: RunState): RunState {
  return {
    ...state,
    status: 'running',
    reason: '',
    refused: [],
    attempt: state.attempt + 1,
    firstAttempt: state.attempt + 1,
    stage: { kind: 'waiting' },
  };
}
