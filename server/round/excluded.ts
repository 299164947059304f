/**
 * An operator has suspended or revoked a client: it is out of the cohort at once, and nothing of it counts that is not in a
 * model yet. Part of `step`.
 *
 * An update that is in the running sum cannot be taken out again: the attempt is void, and the round tried again without
 * its client. Of a masked sum the machine of secure aggregation knows (`exclude`): before the survivors are frozen the
 * aggregation is given up if the vector is in; afterwards they have signed for the sum, and would decline a second one of
 * the same model that differs by one client: it counts.
 */
import { memberOf, withMember } from './cohort.js';
import { drop } from './moves.js';
import type { EventOf, RunState, Turn } from './state.js';

/** It is not here any more, whatever follows: the next attempt may be drawn in this very step. */
export function onExcluded(before: RunState, { client, detail }: EventOf<'excluded'>, turn: Turn): RunState {
  const state = { ...before, online: before.online.filter((name) => name !== client) };
  const { stage, spec } = state;
  if (stage.kind !== 'training' && stage.kind !== 'evaluating' && stage.kind !== 'committing') return state;
  const member = memberOf(stage.cohort, client);
  if (member === undefined || member.status === 'dropped') return state;
  const why = { reason: 'excluded', detail } as const;
  if (stage.kind === 'committing') {
    if (spec.secure || member.status !== 'arrived') return state;
    const { trainedAtMs: _, stored: __, ...work } = stage;
    const cohort = withMember(work.cohort, client, { status: 'dropped', ...why });
    return { ...state, stage: { ...work, kind: 'training', cohort, failure: voidedBy(client) } };
  }
  if (spec.secure) turn.out.push({ kind: 'exclude-secure', client });
  const next = drop(state, client, why, turn);
  if (member.status !== 'arrived' || next.stage.kind !== 'training') return next;
  return { ...next, stage: { ...next.stage, failure: voidedBy(client) } };
}

function voidedBy(client: string): string {
  return `the update of ${client}, which was excluded, was in the sum`;
}
