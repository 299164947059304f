/**
 * Phase 3, mask: add each masked vector to the sum as it arrives and forget it; then claim the survivor set.
 */
import { FlError } from '../../errors.js';
import { bitmapHas, bitmapOf, MalformedFrame } from '../codec.js';
import { encodeSurvivors } from '../frames.js';
import { packedBytes, unpack } from '../ring.js';
import {
  aborted,
  indicesWhere,
  type ServerContext,
  type ServerInPhase,
  type ServerOutput,
  type ServerState,
  type ServerStep,
} from './state.js';

type Collecting = ServerInPhase<'mask'>;

/** Adds a masked vector to the sum and notes whose it is. @throws MalformedFrame when it has another length */
export function takeMasked(
  context: ServerContext,
  state: Collecting,
  { index, body }: { index: number; body: Uint8Array },
): Collecting {
  const { elements, ring } = context.params;
  if (body.length !== packedBytes(elements, ring.bits)) throw new MalformedFrame(`${body.length} bytes of vector`);
  if (ring.bits === 32) context.sum.addBytes(body);
  else context.sum.add(unpacked(body, elements, ring.bits));
  return { ...state, uploaded: state.uploaded.with(index, true) };
}

function unpacked(body: Uint8Array, elements: number, bits: number): Uint32Array {
  try {
    return unpack(body, elements, bits);
  } catch (error) {
    throw error instanceof FlError ? new MalformedFrame(error.message) : error;
  }
}

/** Freezes the survivor set; a vector that arrives later is discarded. */
export function closeMask(context: ServerContext, state: Collecting): ServerStep {
  const cohort = state.roster.members.length;
  const survivors = indicesWhere(cohort, (index) => state.uploaded[index]);
  if (survivors.length < context.params.survivorsMin) return aborted(state, 'too-few-survivors');
  const next: ServerState = {
    ...state,
    phase: 'consistency',
    survivors: bitmapOf(survivors, cohort),
    signatures: new Array<null>(cohort).fill(null),
  };
  return [next, [{ kind: 'phase', phase: 'consistency', waitingFor: survivors.length }, ...survivorFrames(next)]];
}

/** The survivor set for every survivor that has not signed yet. */
export function survivorFrames(state: ServerInPhase<'consistency'>): ServerOutput[] {
  const frame = encodeSurvivors(state.aggregationId, state.survivors);
  return state.roster.members.flatMap(({ id }, index): ServerOutput[] =>
    bitmapHas(state.survivors, index) && state.signatures[index] === null && !state.gone[index]
      ? [{ kind: 'send', to: id, type: 'survivors', frame }]
      : [],
  );
}
