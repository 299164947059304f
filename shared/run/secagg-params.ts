/**
 * What coordinator and client must compute alike for one secure aggregation of a round: parameters, encoding, id. All of
 * it follows from the signed plan.
 *
 * The vector is the contribution's values, the weight, a weight for each tensor that has its own, and each metric's sums
 * and count (Bonawitz et al. 2017; Bell et al. 2020): a single client's example count, what it holds and its metrics are
 * masked like its update.
 */

import { invalidArgument } from '../errors.js';
import { fromHex } from '../hex.js';
import { HEADER_BYTES } from '../secagg/frames.js';
import {
  type AggregationContext,
  elementsOf,
  type QuantizeSpec,
  ringFor,
  type SecaggParams,
  stepsOf,
} from '../secagg/index.js';
import { packedBytes } from '../secagg/ring.js';
import { canonicalJson } from '../signing/canonical-json.js';
import { sha256Hex } from '../signing/identity.js';
import type { SummedLayout } from '../tensors/channels.js';
import { sizeOf } from '../tensors/params.js';
import { integerBits, isClientLevel, vectorLayout } from './client-level-privacy.js';
import { EXACT, fromDigits, toDigits } from './exact-metrics.js';
import { fromSteps, inSteps, isCounted } from './lossy.js';
import type { SumMetrics } from './metrics.js';
import type { RoundPlan } from './plan.js';
import { checkSecureCohort } from './secure-cohort.js';
import type { MaskedMetric, RunSpec } from './spec.js';

/** Largest magnitude of a ring element is below 2^31; values take what cohort and weights leave, at most 24 bits. */
const RING_HALF = 2 ** 31;
const MAX_QUANTIZE_BITS = 24;
const MIN_QUANTIZE_BITS = 8;
/** An evaluation weighs nobody, so its counts have the whole ring: examples of one client beyond this are scaled down. */
export const EVALUATION_CAP = 2 ** 17;

/** What both sides have worked out from a plan. */
export interface SecaggSetup {
  readonly params: SecaggParams;
  readonly quantize: QuantizeSpec;
  readonly aggregation: AggregationContext;
  /** Of the contribution's values; empty for an evaluation. */
  readonly layout: SummedLayout;
  readonly metrics: readonly MaskedMetric[];
  /** Largest count of examples behind a client's metrics. */
  readonly countCap: number;
  /** Of the frame that carries the masked vector. */
  readonly maskedBytes: number;
}

/** The part of a plan that the setup follows from. */
export type SecurePlan = Pick<
  RoundPlan,
  'run' | 'kind' | 'round' | 'attempt' | 'modelSha256' | 'cohort' | 'work' | 'secure' | 'clippingBound' | 'valueRange'
>;

/**
 * @throws FlError invalid-argument: the run is not secure, or cohort and weight cap leave fewer than 8 bits for a value
 */
export function secaggSetupOf(plan: SecurePlan): SecaggSetup {
  const { work, kind, round, attempt, cohort } = plan;
  const { secure } = work;
  if (secure === undefined || plan.secure === undefined) {
    throw invalidArgument('plan.secure', 'secure aggregation', 'none');
  }
  const layout = kind === 'train' ? vectorLayout(work, round) : [];
  const metrics = kind === 'train' ? secure.trainMetrics : secure.testMetrics;
  const { survivorsMin, adversaryFraction, dropFraction } = secure;
  const { valueRange = secure.valueRange } = plan;
  const weightCap = kind === 'train' ? secure.weightCap : 1;
  const countCap = kind === 'train' ? secure.weightCap : EVALUATION_CAP;
  const wholeBits = kind === 'train' && isClientLevel(work.privacy) ? integerBits(work, round) : undefined;
  const quantizeBits = wholeBits ?? quantizeBitsFor(cohort, weightCap);
  const quantize: QuantizeSpec = {
    // whole numbers, which differential privacy has made, go through as they are
    valueRange: wholeBits === undefined ? valueRange : 2 ** (wholeBits - 1) - 1,
    quantizeBits,
    weightCap,
    parts: layout,
    metricBounds: metrics.flatMap(({ size, max }) => [...Array<number>(size).fill(max * countCap), countCap]),
    wholeMetrics: metrics.flatMap(({ name, size }) => Array<boolean>(size + 1).fill(isWhole(name))),
  };
  const params: SecaggParams = {
    suite: 'node',
    cohortMin: Math.min(cohort, Math.max(3, survivorsMin)),
    cohortMax: cohort,
    survivorsMin,
    adversaryFraction,
    dropFraction,
    elements: elementsOf(quantize, sizeOf(layout)),
    ring: ringFor(quantize, cohort),
  };
  const bound = plan.clippingBound === undefined ? {} : { clippingBound: plan.clippingBound };
  const range = plan.valueRange === undefined ? {} : { valueRange: plan.valueRange };
  const planHash = sha256Hex(canonicalJson({ kind, attempt, work, nonce: plan.secure.nonce, ...bound, ...range }));
  const aggregation = {
    taskId: plan.run,
    round,
    modelHash: fromHex(plan.modelSha256),
    planHash: fromHex(planHash),
  };
  const maskedBytes = HEADER_BYTES + packedBytes(params.elements, params.ring.bits);
  return { params, quantize, aggregation, layout, metrics, countCap, maskedBytes };
}

/**
 * Whether every round of a run can be agreed on, asked before it begins.
 * @throws FlError invalid-argument naming what cannot be
 */
export function checkSecureSpec({ work, engine }: RunSpec): void {
  if (work.secure === undefined) return;
  checkSecureCohort({ work, engine });
  const cohort = Math.ceil(engine.cohort * (1 + engine.overSelection));
  const secure = { nonce: '0'.repeat(32), enrolled: {} };
  const plan = { run: 'check', attempt: 1, modelSha256: '0'.repeat(64), cohort, work, secure };
  secaggSetupOf({ ...plan, kind: 'evaluate', round: 1 });
  let round = 1;
  for (const phase of work.phases) {
    secaggSetupOf({ ...plan, kind: 'train', round });
    if (phase.rounds === undefined) return;
    round += phase.rounds;
  }
}

/** The finest grid on which the sum over a cohort of the heaviest clients does not wrap. */
function quantizeBitsFor(cohort: number, weightCap: number): number {
  for (let bits = MAX_QUANTIZE_BITS; bits >= MIN_QUANTIZE_BITS; bits--) {
    if (cohort * weightCap * (2 ** (bits - 1) - 1) < RING_HALF) return bits;
  }
  const most = Math.floor(RING_HALF / (2 ** (MIN_QUANTIZE_BITS - 1) - 1));
  throw invalidArgument('cohort x weight-cap', `at most ${most}`, cohort * weightCap);
}

/**
 * Metrics as they stand in the vector; one that the client has not measured counts as nothing, and a client with more
 * examples than the cap counts as one with the cap's.
 */
export function flattenMetrics(
  { metrics, countCap, quantize }: Pick<SecaggSetup, 'metrics' | 'countCap' | 'quantize'>,
  measured: SumMetrics,
): number[] {
  return metrics.flatMap(({ name, size }) => {
    if (name === EXACT) return [...toDigits(metrics, measured, stepsOf(quantize)), 1];
    const metric = Object.hasOwn(measured, name) ? measured[name] : undefined;
    if (metric === undefined) return Array<number>(size + 1).fill(0);
    if (metric.sum.length !== size) throw invalidArgument(`metric ${name}`, `${size} sums`, metric.sum.length);
    if (isCounted(name)) return [...inSteps(name, metric.sum, stepsOf(quantize)), metric.count];
    const scale = Math.min(1, countCap / metric.count);
    return [...metric.sum, metric.count].map((value) => value * scale);
  });
}

/** What a site is told of its own metrics that the bounds of the grid cut; nothing where they travel exactly. */
export function cutMetricsWords(
  { metrics, countCap }: Pick<SecaggSetup, 'metrics' | 'countCap'>,
  measured: SumMetrics,
): string[] {
  if (metrics.some(({ name }) => name === EXACT)) return [];
  return metrics.flatMap(({ name, max }) => {
    const { sum, count } = (Object.hasOwn(measured, name) ? measured[name] : undefined) ?? { sum: [], count: 1 };
    const largest = sum.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * Math.min(1, countCap / count);
    if (!(largest > max * countCap) || name.startsWith('starling/')) return [];
    return [
      `metric ${name} of this site was cut to its bound, ${max} for one example: maskedMetrics has to declare more`,
    ];
  });
}

/** Whether a metric is whole steps of the grid: our own, of which every client that knows them says them alike. */
function isWhole(name: string): boolean {
  return name === EXACT || isCounted(name);
}

/** Sums over survivors. */
export interface Unflattened {
  readonly metrics: SumMetrics;
  /** Largest error of each metric's sums, where they are not of single clients; of our own counts there is none. */
  readonly errors: Readonly<Record<string, number>>;
  /** Clients with a metric that was larger than can be told. */
  readonly tooLarge: number;
}

/** Inverse of {@link flattenMetrics}, on sums over `clients` survivors: exact where all of them can say them exactly. */
export function unflattenMetrics(
  { metrics: declared, quantize, countCap }: Pick<SecaggSetup, 'metrics' | 'quantize' | 'countCap'>,
  values: readonly number[],
  clients: number,
): Unflattened {
  const steps = stepsOf(quantize);
  let at = 0;
  const entries = declared.map(({ name, size }) => {
    const sum = fromSteps(name, values.slice(at, at + size), steps);
    const count = values[at + size];
    at += size + 1;
    return [name, { sum, count }] as const;
  });
  const { [EXACT]: digits, ...onGrid } = Object.fromEntries(entries);
  const exact = digits && fromDigits(declared, digits.sum, { steps, clients });
  const errors = declared.map(({ name, max }) => [name, (clients * max * countCap) / steps] as const);
  const ofGrid = Object.fromEntries(errors.filter(([name]) => !name.startsWith('starling/')));
  return {
    metrics: { ...onGrid, ...exact?.metrics },
    errors: exact?.errors ?? ofGrid,
    tooLarge: exact?.tooLarge ?? 0,
  };
}
