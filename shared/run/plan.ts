/**
 * What coordinator and client say to each other in a round: the plan, the header of an update, the receipt. A plan is
 * checked where it enters a client: it may come from a version that is older, newer or somebody else's.
 */
import { z } from 'zod';
import type { DropReason } from '../errors.js';
import { HEX_32_BYTES } from '../hex.js';
import { checkAgainst, type Infer } from '../schema.js';
import type { SumMetrics } from './metrics.js';
import { count } from './settings.js';
import { workSpec } from './spec.js';

const hash = z.string().regex(HEX_32_BYTES);

const taskId = z.object({
  run: z.string().regex(/^[a-z0-9-]{1,63}$/),
  kind: z.enum(['train', 'evaluate']),
  round: count,
  /** Rises when a round has to be repeated; an answer to an older attempt is stale. */
  attempt: count,
});

const roundPlan = taskId.extend({
  modelSha256: hash,
  modelSizeBytes: z.int().min(0),
  /** Time that was left when the plan was sent. */
  deadlineMs: z.int().min(0),
  cohort: count,
  work: workSpec,
  /** With adaptive clipping: the clipping bound of this round. */
  clippingBound: z.number().positive().optional(),
  /** Instead of the specification's, since an earlier round was clamped. */
  valueRange: z.number().positive().optional(),
  /** With secure aggregation: what makes this aggregation's id unique, and who is enrolled (Ed25519, hex, by name). */
  secure: z
    .strictObject({ nonce: z.string().regex(/^[0-9a-f]{32}$/), enrolled: z.record(z.string(), hash) })
    .optional(),
});

/** A newer coordinator may tell more of the work than this version knows of. */
const receivedPlan = roundPlan.extend({ work: workSpec.loose() });

/** Says which plan an answer belongs to. */
export interface TaskId extends Infer<typeof taskId> {}

/** Train on one's own examples, or measure a model on them. */
export type TaskKind = TaskId['kind'];

/** What one client is asked to do. Signed by the coordinator; a client checks it before it spends anything. */
export interface RoundPlan extends Infer<typeof roundPlan> {}

/** Goes ahead of an upload; signed by the client over every field. */
export interface UpdateHeader {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  /** SHA-256 of the values' bytes as they are sent (float32, little-endian, or in the run's compression). */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly weights: readonly number[];
  readonly metrics: SumMetrics;
}

/** The coordinator's last word on an update; only now does the client forget it. Signed. */
export interface Receipt {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly client: string;
  readonly updateSha256: string;
  readonly outcome: 'committed' | 'dropped';
  readonly reason?: DropReason | 'unknown';
  /** Of the model that the round made; empty when the update is not in one. */
  readonly modelSha256: string;
}

/** @throws FlError invalid-argument naming the first field that is wrong. */
export function checkPlan(plan: unknown): asserts plan is RoundPlan {
  checkAgainst(receivedPlan, plan, 'plan');
}
