/** What becomes of an update: the one place that decides it, for the engine and for the intake that asks before it. */
import type { DropReason } from '../../shared/errors.js';
import type { Receipt } from '../../shared/run/plan.js';
import { type Member, memberOf } from './cohort.js';
import type { RunState, UpdateId } from './state.js';

/** What becomes of an update. */
export type Fate =
  | { readonly kind: 'wanted' }
  /** In the sum; or in a model, which `receipt` says. */
  | { readonly kind: 'accepted'; readonly receipt?: Receipt }
  /** Neither, for a reason that `detail` tells a person; `receipt` lets the client forget it. */
  | { readonly kind: 'rejected'; readonly detail: string; readonly receipt: Receipt };

/** Rounds that are over. */
export interface Past {
  /** The last word on an update of a round that is over; undefined: the round is not over. */
  receiptFor(run: string, update: UpdateId): Receipt | undefined;
}

/** What becomes of this update as things stand; without `past`, as far as the round of now goes. */
export function fateOf(state: RunState, past: Past | undefined, update: UpdateId): Fate {
  const over = past?.receiptFor(state.run, update);
  if (over?.outcome === 'committed') return { kind: 'accepted', receipt: over };
  const member = memberNow(state, update);
  if (member?.status === 'invited') return { kind: 'wanted' };
  if (member?.status === 'arrived' && member.updateSha256 === update.updateSha256) return { kind: 'accepted' };
  const reason = member?.status === 'dropped' ? member.reason : 'deadline';
  return { kind: 'rejected', detail: whyNot(state, update, member), receipt: dropReceipt(state.run, update, reason) };
}

/** What a client that comes back is told of an update that it keeps; undefined: its plan or its receipt is to come. */
export function lastWordOn(state: RunState, past: Past, update: UpdateId): Receipt | undefined {
  const over = past.receiptFor(state.run, update);
  if (over !== undefined) return over;
  const isOut = fateOf(state, past, update).kind === 'rejected';
  return isOut ? dropReceipt(state.run, update, 'round-aborted') : undefined;
}

/** "This update is in no model and will be in none." */
export function dropReceipt(
  run: string,
  { client, round, attempt, updateSha256 }: UpdateId,
  why: DropReason | 'unknown',
): Receipt {
  const reason = why === 'excluded' ? 'round-aborted' : why; // a client that is older does not know the word
  return { run, round, attempt, client, updateSha256, outcome: 'dropped', reason, modelSha256: '' };
}

/** Of the cohort that the update is for. A masked vector may be an evaluation's; a sum of those is made elsewhere. */
function memberNow({ stage, spec, round, attempt }: RunState, update: UpdateId): Member | undefined {
  if (update.round !== round || update.attempt !== attempt) return undefined;
  const isOpen = stage.kind === 'training' || stage.kind === (spec.secure ? 'evaluating' : 'committing');
  return isOpen ? memberOf(stage.cohort, update.client) : undefined;
}

function whyNot({ round, attempt }: RunState, update: UpdateId, member: Member | undefined): string {
  if (update.round !== round || update.attempt !== attempt) return `stale: expected round ${round} attempt ${attempt}`;
  if (member === undefined) return 'not in the cohort of this round';
  if (member.status === 'arrived') return 'duplicate: another update of this client is in already';
  if (member.status === 'dropped') return `dropped: ${member.reason}`;
  return 'late: the round has closed';
}
