/**
 * Phase 4, consistency: collect the survivors' signatures over the survivor set, and show each signer its neighbours'.
 */

import type { SecaggDropReason } from '../checks.js';
import { bitmapHas, bitmapOf } from '../codec.js';
import { consistencyBody, survivorRootOf } from '../derive.js';
import { decodeConsistency, encodeSignatures } from '../frames.js';
import {
  aborted,
  indicesWhere,
  type ServerContext,
  type ServerInPhase,
  type ServerOutput,
  type ServerState,
  type ServerStep,
  topologyOf,
} from './state.js';

type Collecting = ServerInPhase<'consistency'>;

/** Keeps a survivor's signature; a reason to drop it if it does not verify for the set that was shown. */
export function takeSignature(
  context: ServerContext,
  state: Collecting,
  { index, body }: { index: number; body: Uint8Array },
): Collecting | SecaggDropReason {
  const signature = decodeConsistency(body);
  const { suite, enrolment } = context;
  const { aggregationId, roster } = state;
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const message = consistencyBody(transcript, survivorRootOf(suite, transcript, state));
  const publicKey = enrolment.keyOf(roster.members[index]!.id)!; // taken into the roster only if enrolled
  if (!suite.verify({ publicKey, message, signature })) return 'bad-signature';
  return { ...state, signatures: state.signatures.with(index, signature) };
}

/** Freezes the signers, and with them who will be asked for shares. */
export function closeConsistency(context: ServerContext, state: Collecting): ServerStep {
  const cohort = state.roster.members.length;
  const signers = indicesWhere(cohort, (index) => state.signatures[index] !== null);
  if (signers.length < state.roster.threshold) return aborted(state, 'too-few-signatures');
  const next: ServerState = {
    ...state,
    phase: 'unmask',
    signers: bitmapOf(signers, cohort),
    answers: new Array<null>(cohort).fill(null),
  };
  return [next, [{ kind: 'phase', phase: 'unmask', waitingFor: signers.length }, ...signatureFrames(context, next)]];
}

/** The neighbours' signatures for every signer that has not answered yet. */
export function signatureFrames(context: ServerContext, state: ServerInPhase<'unmask'>): ServerOutput[] {
  const { aggregationId, roster, signatures, signers, answers, gone } = state;
  const { neighbours } = topologyOf(context, state);
  return roster.members.flatMap(({ id }, u): ServerOutput[] => {
    if (!bitmapHas(signers, u) || answers[u] !== null || gone[u]) return [];
    const around = neighbours[u]!.filter((v) => bitmapHas(signers, v)).map((v) => signatures[v]!);
    return [{ kind: 'send', to: id, type: 'signatures', frame: encodeSignatures(aggregationId, signers, around) }];
  });
}
