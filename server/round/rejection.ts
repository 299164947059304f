/** Updates that are not taken, and what their senders are told. */
import type { DropReason } from '../../shared/errors.js';
import { dropReceipt, type Effect, type Member, type RoundEvent, type RunState } from './state.js';

/** A rejected upload: the answer to the call, and the receipt that lets the client forget the update. */
export function turnDown(
  state: RunState,
  event: Extract<RoundEvent, { kind: 'arrived' | 'invalid' }>,
  out: Effect[],
  member: Member | undefined,
): void {
  const { client, updateSha256 } = event;
  const reason: DropReason = member?.status === 'dropped' ? member.reason : 'deadline';
  out.push({ kind: 'answer', client, updateSha256, outcome: 'rejected', detail: rejection(state, event, member) });
  out.push(dropReceipt(state, event, reason));
}

/** Says why an update is not taken; `member` is what became of the client in the current attempt. */
export function rejection(
  { round, attempt }: RunState,
  id: { round: number; attempt: number },
  member: Member | undefined,
): string {
  if (id.round !== round || id.attempt !== attempt) return `stale: expected round ${round} attempt ${attempt}`;
  if (member === undefined) return 'not in the cohort of this round';
  if (member.status === 'arrived') return 'duplicate: another update of this client is in already';
  if (member.status === 'dropped') return `dropped: ${member.reason}`;
  return 'late: the round has closed';
}
