/**
 * Checks a run's specification where it enters the coordinator, and a plan where it enters a client: either may come
 * from a version that is older, newer or somebody else's.
 */
import { z } from 'zod';
import { FlError } from '../errors.js';
import { HEX_32_BYTES } from '../hex.js';
import { layoutOf } from '../tensors/params.js';
import type { RoundPlan, RunSpec } from './plan.js';

const count = z.int().min(1).max(1_000_000);
const tensor = z.strictObject({ name: z.string(), shape: z.array(z.int().min(0)).max(16) });
const channel = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,63}$/),
  tensors: z.array(tensor),
  reduce: z.enum(['sum', 'mean']),
  weight: z.enum(['examples', 'clients', 'per-tensor']),
  clip: z.strictObject({ norm: z.number().positive(), per: z.enum(['all', 'tensor', 'row']).optional() }).optional(),
});
const training = z.strictObject({
  localEpochs: count.optional(),
  localSteps: count.optional(),
  batchSize: count,
  clientLr: z.number().positive(),
  momentum: z.number().min(0).lt(1),
  weightDecay: z.number().min(0),
  gradientClipNorm: z.number().min(0),
  lrSchedule: z.enum(['constant', 'cosine']),
  proximalMu: z.number().min(0),
});
const maskedMetric = z.strictObject({
  name: z.string().min(1).max(128),
  size: z.int().min(1).max(65_536),
  max: z.number().positive(),
});
const fraction = z.number().min(0).lt(1);
const secure = z.strictObject({
  valueRange: z.number().positive(),
  weightCap: count,
  adversaryFraction: fraction,
  dropFraction: fraction,
  survivorsMin: z.int().min(2),
  phaseDeadlineMs: z.int().min(1),
  groupSize: z.int().min(3).optional(),
  trainMetrics: z.array(maskedMetric).max(64),
  testMetrics: z.array(maskedMetric).max(64),
});
const privacy = z.strictObject({
  mode: z.enum(['central', 'distributed', 'local', 'example']),
  clippingBound: z.number().positive(),
  noiseMultiplier: z.number().positive(),
  delta: z.number().gt(0).lt(1),
  epsilonBudget: z.number().positive().optional(),
  cohortMax: count.optional(),
  tree: z.strictObject({ separation: count }).optional(),
  adaptive: z.boolean().optional(),
  samplingRate: z.number().gt(0).max(1).optional(),
});
const work = z.strictObject({
  workload: z.string().min(1).max(200),
  scale: z.string().min(1).max(20),
  hyper: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  training,
  partition: z.string(),
  seed: z.int(),
  rounds: count,
  phases: z
    .array(z.strictObject({ name: z.string(), rounds: count.optional(), channels: z.array(channel).min(1) }))
    .min(1),
  model: z.array(tensor).min(1),
  secure: secure.optional(),
  privacy: privacy.optional(),
});
const engine = z.strictObject({
  rounds: count,
  cohort: count,
  minClients: count,
  minSurvivors: count,
  overSelection: z.number().min(0).max(10),
  deadlineMs: z
    .int()
    .min(1)
    .max(7 * 24 * 3_600_000),
  maxAttempts: z.int().min(1).max(1000),
  evaluateEvery: z.int().min(0),
  evaluateClients: z.int().min(0),
  strategy: z.string(),
  aggregator: z.string().optional(),
  seed: z.int(),
  secure: z.boolean().optional(),
});

const plan = z.object({
  run: z.string().regex(/^[a-z0-9-]{1,63}$/),
  kind: z.enum(['train', 'evaluate']),
  round: count,
  attempt: count,
  modelSha256: z.string().regex(HEX_32_BYTES),
  modelSizeBytes: z.int().min(0),
  deadlineMs: z.int().min(0),
  cohort: count,
  work: work.loose(),
  clippingBound: z.number().positive().optional(),
  secure: z
    .strictObject({
      nonce: z.string().regex(/^[0-9a-f]{32}$/),
      enrolled: z.record(z.string(), z.string().regex(HEX_32_BYTES)),
    })
    .optional(),
});

/** @throws FlError invalid-argument naming the first field that is wrong. */
export function checkPlan(value: unknown): asserts value is RoundPlan {
  parse(plan, value, 'plan');
}

function parse<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new FlError('invalid-argument', `${what}: ${issue.path.join('.') || what}: ${issue.message}`);
}

/** @throws FlError invalid-argument naming the first field that is wrong. */
export function checkRunSpec(spec: unknown): asserts spec is RunSpec {
  const { engine: e, work: w } = parse(z.strictObject({ work, engine }), spec, 'run spec');
  if (e.minSurvivors > e.cohort) {
    throw new FlError(
      'invalid-argument',
      `minSurvivors: expected at most the cohort (${e.cohort}), got ${e.minSurvivors}`,
    );
  }
  if (e.minClients < e.minSurvivors) {
    throw new FlError(
      'invalid-argument',
      `minClients: expected at least minSurvivors (${e.minSurvivors}), got ${e.minClients}`,
    );
  }
  if (e.rounds !== w.rounds) throw new FlError('invalid-argument', 'rounds: engine and work differ');
  if ((e.secure ?? false) !== (w.secure !== undefined)) {
    throw new FlError('invalid-argument', 'secure: engine and work differ');
  }
  const survivorsMin = w.secure?.survivorsMin ?? 0;
  if (e.evaluateClients > 0 && e.evaluateClients < survivorsMin) {
    const expected = `0 (all) or at least survivorsMin (${survivorsMin}), as they are in a secure sum too`;
    throw new FlError('invalid-argument', `evaluateClients: expected ${expected}, got ${e.evaluateClients}`);
  }
  const groupSize = w.secure?.groupSize;
  if (groupSize !== undefined && groupSize > e.cohort) {
    throw new FlError('invalid-argument', `groupSize: expected at most the cohort (${e.cohort}), got ${groupSize}`);
  }
  layoutOf(w.model);
}
