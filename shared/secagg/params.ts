/**
 * The parameters of one aggregation, their canonical encoding, and the aggregation id that binds them, the task, the round
 * and the model. Both sides compute the id for themselves; every frame, signature and derived key carries it.
 */
import { type FlError, invalidArgument } from '../errors.js';
import { Writer } from './codec.js';
import { HASH_BYTES, LABEL, LIMIT } from './constants.js';
import type { ThreatModel } from './graph.js';
import { type RingSpec, ringMayWrap } from './ring.js';
import type { CryptoSuite, SuiteId } from './suite.js';

/** What all clients of an aggregation agree on beforehand; its hash is part of the aggregation's id. */
export interface SecaggParams extends ThreatModel {
  readonly suite: SuiteId;
  /** Fewest and most clients in the frozen roster. */
  readonly cohortMin: number;
  readonly cohortMax: number;
  /** Fewest clients in the sum; distributed noise is calibrated to it. */
  readonly survivorsMin: number;
  /** Elements of the masked vector: values, then the weight, then metrics. */
  readonly elements: number;
  readonly ring: RingSpec;
}

/** What an aggregation is for: with the parameters it makes the id, so that two sums never share one. */
export interface AggregationContext {
  /** What the run is called, and which of its rounds this is. */
  readonly taskId: string;
  readonly round: number;
  /** 32-byte hashes of the model that clients train from and of the rest of the round plan (noise, epochs, deadlines). */
  readonly modelHash: Uint8Array;
  readonly planHash: Uint8Array;
}

/**
 * Refuses parameters under which no run could be correct; policy is another matter (client/round/policy.ts).
 * @returns what is wrong, or undefined
 */
export function paramsFault(params: SecaggParams): FlError | undefined {
  const { cohortMin, cohortMax, survivorsMin, elements, ring } = params;
  const whole = (value: number, low: number, high: number): boolean =>
    Number.isInteger(value) && value >= low && value <= high;
  if (!whole(cohortMax, 3, LIMIT.cohort)) return invalidArgument('cohortMax', `3..${LIMIT.cohort}`, cohortMax);
  if (!whole(cohortMin, 3, cohortMax)) return invalidArgument('cohortMin', `3..cohortMax`, cohortMin);
  if (!whole(survivorsMin, 2, cohortMin)) return invalidArgument('survivorsMin', `2..cohortMin`, survivorsMin);
  if (!whole(elements, 1, LIMIT.elements)) return invalidArgument('elements', `1..${LIMIT.elements}`, elements);
  if (!whole(ring.bits, 2, 32)) return invalidArgument('ring.bits', '2..32', ring.bits);
  if (ringMayWrap(ring, cohortMax)) {
    return invalidArgument('ring.bits', 'a ring that the sum of the largest cohort cannot wrap', ring.bits);
  }
  return undefined;
}

/** The canonical encoding of the parameters. */
export function encodeParams(params: SecaggParams): Uint8Array {
  const { ring } = params;
  return new Writer()
    .text(LABEL.params)
    .text(params.suite)
    .u32(params.cohortMin)
    .u32(params.cohortMax)
    .u32(params.survivorsMin)
    .f64(params.adversaryFraction)
    .f64(params.dropFraction)
    .u32(params.elements)
    .u8(ring.bits)
    .u64(ring.valueMax)
    .u64(ring.noiseTailMax)
    .done();
}

/** The 32-byte id under which one aggregation, and no other, happens. */
export function aggregationIdOf(suite: CryptoSuite, params: SecaggParams, context: AggregationContext): Uint8Array {
  for (const field of ['modelHash', 'planHash'] as const) {
    if (context[field].length !== HASH_BYTES) throw invalidArgument(field, `${HASH_BYTES} bytes`, context[field]);
  }
  const writer = new Writer().text(LABEL.aggregationId).text(context.taskId).u64(context.round);
  return suite.hash(
    writer
      .raw(context.modelHash)
      .raw(context.planHash)
      .raw(suite.hash(encodeParams(params)))
      .done(),
  );
}
