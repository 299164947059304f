/**
 * The server's side of secure aggregation, as a pure state machine: `step(context, state, input) -> [state, outputs]`.
 *
 * ```
 *   advertise ──roster──▶ share ──bundles──▶ mask ──survivors──▶ consistency ──signatures──▶ unmask ──▶ done
 *
 *   (phase names say what is collected, arrows what goes out when the phase closes; any phase: ──▶ aborted)
 * ```
 * A phase closes when everyone still expected has delivered, or at its deadline with whoever has. A client's fault never
 * throws: it becomes a `drop` and the phase goes on. Frames of a passed phase and repeated frames are ignored, which is
 * also the rule for late vectors. Save the state, and `context.sum` with it, before acting on the outputs of a step.
 */

import type { SecaggDropReason } from '../checks.js';
import { bitmapHas, equalBytes, MalformedFrame } from '../codec.js';
import { decodeRefusal, type Frame, type FrameType, parseFrame } from '../frames.js';
import { aggregationIdOf, paramsFault } from '../params.js';
import { closeAdvertise, rosterFrames, takeAdvertisement } from './advertise.js';
import { closeConsistency, signatureFrames, takeSignature } from './consistency.js';
import { closeMask, survivorFrames, takeMasked } from './mask.js';
import { bundleFrames, closeShare, takeShares } from './share.js';
import {
  aborted,
  indicesWhere,
  type RosterState,
  type ServerContext,
  type ServerInput,
  type ServerOutput,
  type ServerState,
  type ServerStep,
  topologyOf,
} from './state.js';
import { closeUnmask, takeAnswer } from './unmask.js';

/**
 * The state of a new aggregation, waiting for advertisements.
 * @throws FlError `invalid-argument` for parameters under which no run is correct, among them a ring that could wrap
 */
export function startServer(context: ServerContext): ServerState {
  const fault = paramsFault(context.params);
  if (fault !== undefined) throw fault;
  const aggregationId = aggregationIdOf(context.suite, context.params, context.aggregation);
  return { phase: 'advertise', aggregationId, advertisements: [], absent: [] };
}

/** One step. Pure but for `context.sum`, to which a masked vector is added, and `context.rng`. */
export function stepServer(context: ServerContext, state: ServerState, input: ServerInput): ServerStep {
  if (state.phase === 'done' || state.phase === 'aborted') return [state, []];
  switch (input.kind) {
    case 'frame':
      return closeIfComplete(context, onFrame(context, state, input.from, input.bytes));
    case 'left':
      return closeIfComplete(context, dropMember(context, state, { id: input.id, reason: 'deadline' }));
    case 'exclude':
      return exclude(context, state, input.id);
    case 'deadline':
      return close(context, [state, lateDrops(state)]);
    case 'resume':
      return [state, pendingFrames(context, state)];
    case 'cancel':
      return aborted(state, 'cancelled');
  }
}

/** As if it had refused; what it has advertised is forgotten, too. */
function exclude(context: ServerContext, state: Active, id: string): ServerStep {
  if (state.phase === 'mask') {
    const index = topologyOf(context, state).indexOf.get(id);
    if (index !== undefined && state.uploaded[index]) return aborted(state, 'member-excluded');
  }
  return closeIfComplete(context, dropMember(context, state, { id, reason: 'refused' }));
}

type Active = Exclude<ServerState, { phase: 'done' | 'aborted' }>;
type ActiveStep = readonly [Active, readonly ServerOutput[]];

/** The frame that each phase collects. */
const COLLECTED: Readonly<Record<Active['phase'], FrameType>> = {
  advertise: 'advertise',
  share: 'shares',
  mask: 'masked',
  consistency: 'consistency',
  unmask: 'unmask',
};

function onFrame(context: ServerContext, state: Active, from: string, bytes: Uint8Array): ActiveStep {
  try {
    const frame = parseFrame(bytes);
    if (!equalBytes(frame.aggregationId, state.aggregationId)) return [state, []];
    if (frame.type === 'refusal') return onRefusal(context, state, from, frame);
    if (frame.type !== COLLECTED[state.phase]) return [state, []];
    const taken = take(context, state, { from, body: frame.body });
    return typeof taken === 'string' ? dropMember(context, state, { id: from, reason: taken }) : [taken, []];
  } catch (error) {
    if (!(error instanceof MalformedFrame)) throw error;
    return dropMember(context, state, { id: from, reason: 'malformed' });
  }
}

function onRefusal(context: ServerContext, state: Active, from: string, { body }: Frame): ActiveStep {
  const { reason: refusal, culprit } = decodeRefusal(body);
  const culpritId = culprit !== undefined && 'roster' in state ? state.roster.members[culprit]?.id : undefined;
  return dropMember(context, state, { id: from, reason: 'refused', refusal, ...(culpritId && { culpritId }) });
}

/** The state with one more delivery, or why it was not taken. Members who are gone or have delivered change nothing. */
function take(
  context: ServerContext,
  state: Active,
  { from, body }: { from: string; body: Uint8Array },
): Active | SecaggDropReason {
  if (state.phase === 'advertise') return takeAdvertisement(context, state, { from, body });
  const index = topologyOf(context, state).indexOf.get(from);
  if (index === undefined || !isExpected(state, index)) return state;
  switch (state.phase) {
    case 'share':
      return takeShares(context, state, { index, body });
    case 'mask':
      return takeMasked(context, state, { index, body });
    case 'consistency':
      return takeSignature(context, state, { index, body });
    case 'unmask':
      return takeAnswer(context, state, { index, body });
  }
}

/** Whether the phase is waiting for this member. */
function isExpected(state: RosterState, index: number): boolean {
  if (state.gone[index]) return false;
  switch (state.phase) {
    case 'share':
      return state.shares[index] === null;
    case 'mask':
      return bitmapHas(state.included, index) && !state.uploaded[index];
    case 'consistency':
      return bitmapHas(state.survivors, index) && state.signatures[index] === null;
    case 'unmask':
      return bitmapHas(state.signers, index) && state.answers[index] === null;
  }
}

/** Runs after every frame, so it stops at the first member that is still to deliver. */
function isWaiting(state: RosterState): boolean {
  for (let index = 0; index < state.roster.members.length; index++) {
    if (isExpected(state, index)) return true;
  }
  return false;
}

type Drop = Omit<Extract<ServerOutput, { kind: 'drop' }>, 'kind' | 'phase'>;

/** Goes on without a client. What it has delivered in this phase stays, except shares, which are no use without it. */
function dropMember(context: ServerContext, state: Active, drop: Drop): ActiveStep {
  const output: ServerOutput = { kind: 'drop', phase: state.phase, ...drop };
  if (state.phase === 'advertise') {
    const advertisements = state.advertisements.filter(({ id }) => drop.reason !== 'refused' || id !== drop.id);
    const isIn = advertisements.some(({ id }) => id === drop.id);
    const absent = isIn || state.absent.includes(drop.id) ? state.absent : [...state.absent, drop.id];
    return [{ ...state, advertisements, absent }, [output]];
  }
  const index = topologyOf(context, state).indexOf.get(drop.id);
  if (index === undefined || state.gone[index]) return [state, []];
  return [{ ...state, gone: state.gone.with(index, true) }, [output]];
}

function closeIfComplete(context: ServerContext, [state, outputs]: ActiveStep): ServerStep {
  if (state.phase === 'advertise') {
    const full = state.advertisements.length + state.absent.length >= context.params.cohortMax;
    return full ? close(context, [state, outputs]) : [state, outputs];
  }
  return isWaiting(state) ? [state, outputs] : close(context, [state, outputs]);
}

function close(context: ServerContext, [state, outputs]: ActiveStep): ServerStep {
  const [next, more] = closePhase(context, state);
  return [next, [...outputs, ...more]];
}

function closePhase(context: ServerContext, state: Active): ServerStep {
  switch (state.phase) {
    case 'advertise':
      return closeAdvertise(context, state);
    case 'share':
      return closeShare(context, state);
    case 'mask':
      return closeMask(context, state);
    case 'consistency':
      return closeConsistency(context, state);
    case 'unmask':
      return closeUnmask(context, state);
  }
}

function lateDrops(state: Active): ServerOutput[] {
  if (state.phase === 'advertise') return [];
  const { phase, roster } = state;
  const late = indicesWhere(roster.members.length, (index) => isExpected(state, index));
  return late.map((index) => ({ kind: 'drop', id: roster.members[index].id, phase, reason: 'deadline' }));
}

function pendingFrames(context: ServerContext, state: Active): ServerOutput[] {
  switch (state.phase) {
    case 'advertise':
      return [];
    case 'share':
      return rosterFrames(context, state);
    case 'mask':
      return bundleFrames(context, state);
    case 'consistency':
      return survivorFrames(state);
    case 'unmask':
      return signatureFrames(context, state);
  }
}
