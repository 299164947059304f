/**
 * The round engine's side of secure aggregation. Phases, keys and masks are the business of `shared/secagg`, carried out
 * by `server/secure-round.ts`; the engine only hears who fell out and over whom there is a sum at last. The two are one
 * machine in two files: these handlers are cases of `step`.
 */
import { abort, closeRound, commit, dropMember } from './round.js';
import {
  type Effect,
  isCurrent,
  memberOf,
  NOT_EVALUATED,
  namesOf,
  type RoundEvent,
  type RunState,
  withMember,
} from './round-state.js';

type EventOf<Kind extends RoundEvent['kind']> = Extract<RoundEvent, { kind: Kind }>;

export function onSecureDropped(state: RunState, event: EventOf<'secure-dropped'>, out: Effect[]): RunState {
  const { stage } = state;
  const { client, reason, detail, atMs } = event;
  if ((stage.kind !== 'training' && stage.kind !== 'evaluating') || !isCurrent(state, event.task)) return state;
  if (memberOf(stage.cohort, client)?.status !== 'invited') return state;
  return dropMember(state, stage, client, { reason, detail, atMs }, out);
}

/** There is a sum. Whoever is not in it came too late, whatever phase it got stuck in. */
export function onSecured(state: RunState, event: EventOf<'secured'>, out: Effect[]): RunState {
  const { stage } = state;
  const { survivors, pooled, atMs } = event;
  if (!isCurrent(state, event.task)) return state;
  if (stage.kind === 'evaluating') return closeRound(state, stage.draft, { pooled, perClient: {} }, atMs, out);
  if (stage.kind !== 'training') return state;
  const arrived = survivors.reduce((cohort, client) => {
    out.push({ kind: 'emit', event: { kind: 'arrived', atMs, round: state.round, client } });
    return withMember(cohort, client, { status: 'arrived', updateSha256: '', metrics: {} });
  }, stage.cohort);
  const cohort = namesOf(arrived, 'invited').reduce((rest, client) => {
    out.push({
      kind: 'emit',
      event: { kind: 'dropped', atMs, round: state.round, client, reason: 'deadline', detail: '' },
    });
    return withMember(rest, client, { status: 'dropped', reason: 'deadline', detail: '' });
  }, arrived);
  return commit(state, stage, cohort, atMs, out, pooled);
}

/** No sum: the attempt is void. An evaluation that fails leaves the round unevaluated. */
export function onUnsecured(state: RunState, event: EventOf<'unsecured'>, out: Effect[]): RunState {
  const { stage } = state;
  if (!isCurrent(state, event.task)) return state;
  if (stage.kind === 'evaluating') return closeRound(state, stage.draft, NOT_EVALUATED, event.atMs, out);
  return stage.kind === 'training' ? abort(state, stage.cohort, event.atMs, out, event.detail) : state;
}
