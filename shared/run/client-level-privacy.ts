/**
 * Client-level differential privacy of one round: a contribution becomes clipped, noised integers, and a sum of those
 * becomes numbers again. Coordinator, client and verifier compute the same lattice from the run's specification.
 *
 * The unit of clipping is a client's whole contribution. Each channel is clipped to its own bound and divided by it; so K
 * channels side by side have at most the norm sqrt(K), and one noise serves them all. With adaptive clipping one more
 * number says, as +f or -f, whether the update was within the bound (shared/privacy/mechanisms/adaptive-clip.ts): f is
 * chosen so that the same noise hides this number with deviation 2 σ_b in units of f, which is the paper's split of the
 * noise seen from the other side, and leaves the cost of the round where it was.
 *
 * Sensitivity: neighbours differ in one client's vector, there or zero, so the sum moves by at most sqrt(K + f²) units.
 * Every client weighs 1. Weights that say how many examples a client has would be data too; a 0 or 1 for each tensor says
 * which tensors it holds, which is no secret. Dividing the noisy sum by them is post-processing.
 */

import { FlError, invalidArgument } from '../errors.js';
import {
  ADAPTIVE_CLIP_DEFAULT,
  adaptClip,
  addCentralNoise,
  bitNoiseFor,
  type ClipGroup,
  type ClipScope,
  clip,
  encodeUpdate,
  latticeOf,
  type NoiseLattice,
  type NoiseTable,
  noiseShare,
  splitNoise,
  treePrefixNoise,
} from '../privacy/index.js';
import type { Rng } from '../rng.js';
import { canonicalJson } from '../signing/canonical-json.js';
import {
  contributionLayout,
  phaseOfRound,
  reduceSums,
  type SummedLayout,
  UPDATE_CHANNEL,
} from '../tensors/channels.js';
import { layoutOf, sizeOf } from '../tensors/params.js';
import type { RoundPlan } from './plan.js';
import type { PrivacySpec, WorkSpec } from './spec.js';

/** Name of the number that says whether the update was within the bound. */
const WITHIN_BOUND = 'privacy/within-bound';

/** A part of the vector that is clipped by itself. */
interface Part {
  readonly channel: string;
  readonly from: number;
  readonly to: number;
  /** In model units; for the update channel, of this round. */
  readonly bound: number;
  readonly scope: ClipScope;
  readonly groups: readonly ClipGroup[];
}

type ClientLevel = PrivacySpec & { readonly mode: Exclude<PrivacySpec['mode'], 'example'> };

/** Whether contributions of this run are clipped and noised as a whole. */
export function isClientLevel(privacy: PrivacySpec | undefined): privacy is ClientLevel {
  return privacy !== undefined && privacy.mode !== 'example';
}

/** The flat layout of what a client sends for a round: its contribution and, with adaptive clipping, one number more. */
export function vectorLayout(work: WorkSpec, round: number): SummedLayout {
  const layout = contributionLayout(phaseOfRound(work.phases, round));
  if (!work.privacy?.adaptive) return layout;
  return [
    ...layout,
    { name: WITHIN_BOUND, shape: [1], offset: sizeOf(layout), size: 1, weighs: 'one', divided: false },
  ];
}

/** Bits of a whole number that a client sends: noise beyond 12 deviations, one draw in 10^32, is cut off. */
export function integerBits(work: WorkSpec, round: number): number {
  const { valueBits, place, shareVariance } = latticeFor(work, round);
  const noise = place === 'central' ? 0 : 12 * Math.sqrt(shareVariance);
  return 1 + Math.ceil(Math.log2(2 ** (valueBits - 1) + noise + 1));
}

const lattices = new Map<string, NoiseLattice>();
const tables = new Map<string, NoiseTable>();

/**
 * The integers of a round, for contributions in units of their clipping bounds.
 * @throws FlError invalid-argument: the run is not private in this way, or its noise does not fit the ring
 */
export function latticeFor(work: WorkSpec, round: number): NoiseLattice {
  const { privacy, secure, phases } = work;
  if (!isClientLevel(privacy)) throw invalidArgument('privacy', 'central, distributed or local', work.privacy?.mode);
  const { mode, noiseMultiplier, cohortMax } = privacy;
  if (cohortMax === undefined) throw invalidArgument('privacy.cohortMax', `a number with mode ${mode}`, 'nothing');
  if (mode === 'distributed' && secure === undefined) {
    throw new FlError('invalid-argument', 'privacy distributed: expected secure-aggregation to be on; or use local');
  }
  const channels = phaseOfRound(phases, round).channels.length;
  const options = {
    place: mode,
    noise: 'discrete-gaussian' as const,
    noiseMultiplier,
    length: sizeOf(vectorLayout(work, round)),
    vectorNorm: Math.hypot(Math.sqrt(channels), signUnit(privacy, channels)),
    mostSurvivors: cohortMax,
    leastSurvivors: mode === 'distributed' ? Math.min(secure!.survivorsMin, cohortMax) : 1,
    ...(mode === 'distributed' && { colludingFraction: secure!.adversaryFraction }),
  };
  return remembered(lattices, canonicalJson(options), () => latticeOf(options));
}

/** The noise of one share of this lattice; the virtual clients of a process draw from one table. */
function shareOf(lattice: NoiseLattice): NoiseTable {
  return remembered(tables, `${lattice.noise} ${lattice.shareVariance}`, () => noiseShare(lattice));
}

/** The clipping bound of each channel. @throws FlError invalid-argument naming a channel that has none */
export function boundsOf(plan: Pick<RoundPlan, 'work' | 'round' | 'clippingBound'>): number[] {
  return partsOf(plan).map(({ bound }) => bound);
}

/** The clipping bound of the update channel in this round. */
function boundOf({ work, clippingBound }: Pick<RoundPlan, 'work' | 'clippingBound'>): number {
  return clippingBound ?? work.privacy!.clippingBound;
}

/**
 * What a client lets out: `values` clipped, rounded at random and, unless the coordinator adds the noise, noised. Equal
 * `rng` gives equal integers.
 */
export function encodePrivately(
  plan: Pick<RoundPlan, 'work' | 'round' | 'clippingBound'>,
  values: Float32Array,
  rng: Rng,
): Int32Array {
  const { work, round } = plan;
  const lattice = latticeFor(work, round);
  const vector = new Float32Array(lattice.length);
  let within = true;
  const parts = partsOf(plan);
  for (const { channel, from, to, bound, scope, groups } of parts) {
    const { vector: clipped, wasClipped } = clip(values.subarray(from, to), { bound, scope, groups });
    for (let i = from; i < to; i++) vector[i] = clipped[i - from] / bound;
    if (channel === UPDATE_CHANNEL) within = !wasClipped;
  }
  if (work.privacy!.adaptive) {
    vector[lattice.length - 1] = (within ? 1 : -1) * signUnit(work.privacy!, parts.length);
  }
  return encodeUpdate(vector, lattice, { signs: rng.split('signs'), rng, share: shareOf(lattice) });
}

/** The sum of a round as numbers of the model. */
export interface PrivateSum {
  /** One number for each of a contribution, in model units. */
  readonly sums: Float64Array;
  /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
  readonly withinBound: number | undefined;
}

/**
 * What the clients' whole numbers add up to. In mode central this is where the coordinator adds its noise, before anything
 * else is done with the sum.
 * @param rng the coordinator's secret; equal ones give equal noise. Of this round, or with a tree of the run
 */
export function decodePrivately(
  plan: Pick<RoundPlan, 'work' | 'round' | 'clippingBound'>,
  integers: Int32Array,
  rng: Rng,
): PrivateSum {
  const { work, round } = plan;
  const lattice = latticeFor(work, round);
  const { granularity, length } = lattice;
  if (integers.length !== length) throw invalidArgument('sum', `${length} integers`, integers.length);
  const sum = lattice.place === 'central' ? withCentralNoise(plan, integers, rng) : integers;
  const parts = partsOf(plan);
  const sums = new Float64Array(parts.at(-1)!.to);
  for (const { from, to, bound } of parts) for (let i = from; i < to; i++) sums[i] = sum[i] * granularity * bound;
  if (!work.privacy!.adaptive) return { sums, withinBound: undefined };
  return { sums, withinBound: (sum[length - 1] * granularity) / signUnit(work.privacy!, parts.length) };
}

/** With a tree, the noise of a round is what the noise of the sum over all rounds so far grows by. */
function withCentralNoise({ work, round }: Pick<RoundPlan, 'work' | 'round'>, integers: Int32Array, rng: Rng) {
  const lattice = latticeFor(work, round);
  const node = shareOf(lattice);
  if (work.privacy!.tree === undefined) return addCentralNoise(integers, lattice, node, rng);
  const [now, before] = [round, round - 1].map((step) => treePrefixNoise({ step, length: lattice.length, node, rng }));
  return integers.map((value, i) => value + now[i] - before[i]);
}

/**
 * The mean that moves the model: {@link decodePrivately}, divided as the channels declare.
 * @param weights by tensor of {@link vectorLayout}: how many clients hold it
 */
export function privateMean(
  plan: Pick<RoundPlan, 'work' | 'round' | 'clippingBound'>,
  { integers, weights }: { readonly integers: Int32Array; readonly weights: readonly number[] },
  rng: Rng,
): { readonly mean: Float32Array; readonly withinBound: number | undefined } {
  const { sums, withinBound } = decodePrivately(plan, integers, rng);
  const layout = contributionLayout(phaseOfRound(plan.work.phases, plan.round));
  return { mean: reduceSums(layout, { sums, weights }), withinBound };
}

/** The clipping bound of the next round. */
export function adaptedBound(bound: number, signs: number, survivors: number): number {
  return adaptClip({ ...ADAPTIVE_CLIP_DEFAULT, bound }, signs, survivors).bound;
}

/**
 * f: noise of deviation z · sqrt(K + f²) units has deviation 2 σ_b in units of f, so f = z_Δ sqrt(K) / (2 σ_b) with
 * z_Δ = (z^-2 - (2 σ_b)^-2)^-1/2. 0 without adaptive clipping.
 */
function signUnit({ adaptive, noiseMultiplier, cohortMax = 1 }: PrivacySpec, channels: number): number {
  if (!adaptive) return 0;
  const bitNoiseStdDev = bitNoiseFor(cohortMax);
  if (!(2 * bitNoiseStdDev > noiseMultiplier)) {
    const least = Math.ceil(10 * noiseMultiplier) + 1;
    throw invalidArgument('clipping-bound adaptive', `a cohort of at least ${least} at this noise`, cohortMax);
  }
  return (splitNoise({ noiseMultiplier, bitNoiseStdDev }) * Math.sqrt(channels)) / (2 * bitNoiseStdDev);
}

function partsOf(plan: Pick<RoundPlan, 'work' | 'round' | 'clippingBound'>): Part[] {
  let from = 0;
  return phaseOfRound(plan.work.phases, plan.round).channels.map(({ name, tensors, clip: own }) => {
    const bound = name === UPDATE_CHANNEL ? boundOf(plan) : own?.norm;
    if (bound === undefined) {
      throw invalidArgument(`channel ${name}`, 'a clipping bound, for it to be sent with privacy', 'none');
    }
    const groups = tensors.map(({ shape }) => ({ length: sizeOf(layoutOf([{ name, shape }])), ...rowsOf(shape) }));
    const to = from + groups.reduce((sum, { length }) => sum + length, 0);
    const part: Part = { channel: name, from, to, bound, scope: own?.per ?? 'all', groups };
    from = to;
    return part;
  });
}

function rowsOf(shape: readonly number[]): { rowLength?: number } {
  return shape.length < 2 ? {} : { rowLength: shape.at(-1)! };
}

/** A run has few lattices, and a process few runs. */
function remembered<T>(store: Map<string, T>, key: string, make: () => T): T {
  const found = store.get(key);
  if (found !== undefined) return found;
  if (store.size >= 8) store.clear();
  const made = make();
  store.set(key, made);
  return made;
}
