/**
 * Who masks with whom: the degree k of the graph and the threshold t of the shares, and the graph itself.
 *
 * Up to COMPLETE_GRAPH_MAX clients everyone is everyone's neighbour. Above, clients stand on a ring in an order derived
 * from the roster after it froze, each joined to its k nearest (a Harary graph), with k and t from the statistical bound of
 * Bell, Bonawitz, Gascon, Lepoint, Raykova, Secure Single-Server Aggregation with (Poly)Logarithmic Overhead, CCS 2020
 * (https://eprint.iacr.org/2020/704): hypergeometric tails at 2^-40 for security and 2^-20 for correctness. Test rows: the
 * published parameters of google-parfait/federated-compute, fcp/secagg/server/graph_parameter_finder_test.cc.
 */
import { FlError } from '../errors.js';
import { CHUNK_BYTES, COMPLETE_GRAPH_MAX, CORRECTNESS_BITS, LABEL, LIMIT, SECURITY_BITS } from './constants.js';
import type { CryptoSuite } from './suite.js';

/** `curious` follows the protocol; `lying` may tell different clients different survivor sets. */
export type Adversary = 'curious' | 'lying';

/** What a graph of neighbours has to withstand, as fractions of the cohort in [0, 1). */
export interface ThreatModel {
  /** Fraction of the cohort that may collude with the server. */
  readonly adversaryFraction: number;
  /** Fraction of the cohort that may drop out and the sum still be recovered. */
  readonly dropFraction: number;
}

/** What follows from cohort and threat: how many neighbours, and how many of their shares make a secret. */
export interface GraphParameters {
  /** Neighbours of each client. */
  readonly degree: number;
  /** Shares, of `degree`, that reconstruct a secret. */
  readonly threshold: number;
}

/** Rounding must not lose a client: floor((0.29 + tiny) * 100) is 29. */
const TINY = 1e-14;

/**
 * The parameters of a cohort against a lying server, as both sides compute them.
 * @throws FlError `failed-precondition` when no degree satisfies the bound
 */
export function graphParameters(cohort: number, threat: ThreatModel): GraphParameters {
  return cohort <= COMPLETE_GRAPH_MAX ? completeParameters(cohort, threat) : hararyParameters(cohort, threat, 'lying');
}

/**
 * Everyone is a neighbour, so the corrupt are counted, not bounded. Two disjoint sets of honest neighbours must not both
 * reach the threshold (one told "alive", one told "dead"): 2(t - c) > k - c, hence t = floor((k + c) / 2) + 1.
 */
function completeParameters(cohort: number, { adversaryFraction, dropFraction }: ThreatModel): GraphParameters {
  const degree = cohort - 1;
  const corrupt = Math.floor((adversaryFraction + TINY) * cohort);
  const dropped = Math.floor((dropFraction + TINY) * cohort);
  const threshold = Math.max(2, Math.floor((degree + corrupt) / 2) + 1);
  if (!(threshold <= degree - dropped)) throw infeasible(cohort, { adversaryFraction, dropFraction });
  return { degree, threshold };
}

/**
 * The least even degree of a Harary graph that satisfies the bound, with its threshold.
 * @throws FlError `failed-precondition` when there is none
 */
export function hararyParameters(cohort: number, threat: ThreatModel, adversary: Adversary): GraphParameters {
  const { adversaryFraction, dropFraction } = threat;
  const load = adversaryFraction + (adversary === 'lying' ? 2 : 1) * dropFraction;
  if (!(adversaryFraction >= 0 && dropFraction >= 0 && load <= 0.9)) throw infeasible(cohort, threat);
  const corrupt = Math.floor((adversaryFraction + TINY) * cohort);
  const alive = Math.ceil((1 - dropFraction - TINY) * cohort);
  const bad = corrupt + Math.floor((dropFraction + TINY) * cohort);
  for (let degree = 2; degree < cohort - 1; degree += 2) {
    if (logDisconnected(cohort, bad, degree) >= -(SECURITY_BITS + 1) * Math.LN2) continue;
    // More than `worst` corrupt neighbours, or fewer than `least` living ones, happen to nobody but with tiny probability.
    const worst = upperQuantile({ cohort, marked: corrupt, drawn: degree }, 2 ** -(SECURITY_BITS + 1) / cohort);
    const least =
      degree - upperQuantile({ cohort, marked: cohort - alive, drawn: degree }, 2 ** -CORRECTNESS_BITS / cohort);
    const below = adversary === 'lying' ? Math.ceil((worst + degree - 1.25) / 2) : worst;
    if (below < least) return { degree, threshold: Math.max(2, below + 1) };
  }
  throw infeasible(cohort, threat);
}

function infeasible(cohort: number, { adversaryFraction, dropFraction }: ThreatModel): FlError {
  return new FlError(
    'failed-precondition',
    `no secure aggregation graph for ${cohort} clients with ${adversaryFraction} corrupt and ${dropFraction} dropping out`,
  );
}

/**
 * Log of the probability that the honest survivors of a random Harary graph fall apart: it takes two gaps of degree/2
 * bad clients in a row, in one of n (n - k - 1) / 2 pairs of places, each filled with probability C(n-k, b-k) / C(n, b).
 */
function logDisconnected(cohort: number, bad: number, degree: number): number {
  if (degree > bad) return Number.NEGATIVE_INFINITY;
  const pairs = Math.log(cohort) + Math.log(cohort - degree - 1) - Math.LN2;
  return pairs + logBinomial(cohort - degree, bad - degree) - logBinomial(cohort, bad);
}

interface Hypergeometric {
  readonly cohort: number;
  readonly marked: number;
  readonly drawn: number;
}

/**
 * The least x with Pr[X > x] <= `tail`, X the marked among `drawn` clients out of the cohort. The sum over the tail starts
 * where a term is worth e^-100: what lies above is smaller than any tail asked for by a factor of 10^20.
 */
function upperQuantile({ cohort, marked, drawn }: Hypergeometric, tail: number): number {
  const highest = Math.min(marked, drawn);
  const lowest = Math.max(0, drawn + marked - cohort);
  const logTotal = logBinomial(cohort, drawn);
  const logMass = (x: number): number => logBinomial(marked, x) + logBinomial(cohort - marked, drawn - x) - logTotal;
  let worth = Math.min(highest, Math.floor(((drawn + 1) * (marked + 1)) / (cohort + 2))); // the mode; above it mass falls
  for (let beyond = highest + 1; beyond - worth > 1; ) {
    const middle = Math.floor((worth + beyond) / 2);
    if (logMass(middle) > -100) worth = middle;
    else beyond = middle;
  }
  let sum = 0;
  for (let x = worth; x > lowest; x--) {
    sum += Math.exp(logMass(x));
    if (sum > tail) return x;
  }
  return lowest;
}

const logBinomial = (n: number, k: number): number => logFactorial(n) - logFactorial(k) - logFactorial(n - k);

/** ln n!: a table, then Stirling's series, whose first dropped term is below 1e-17 there. */
function logFactorial(n: number): number {
  if (n < SMALL_LOG_FACTORIALS.length) return SMALL_LOG_FACTORIALS[n];
  const inverse = 1 / n;
  const series = inverse * (1 / 12 - inverse * inverse * (1 / 360 - (inverse * inverse) / 1260));
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + series;
}

const SMALL_LOG_FACTORIALS = new Float64Array(256);
for (let n = 1; n < SMALL_LOG_FACTORIALS.length; n++) {
  SMALL_LOG_FACTORIALS[n] = SMALL_LOG_FACTORIALS[n - 1] + Math.log(n);
}

/** The graph over roster indices 0..n-1. */
export interface Graph extends GraphParameters {
  /** The neighbours of a client, ascending. Position + 1 is the point of the share that the neighbour holds. */
  neighbours(index: number): readonly number[];
}

/** The graph that a frozen roster implies; the ring's order follows from the root, so nobody can choose it after. */
export function buildGraph(
  suite: CryptoSuite,
  { aggregationId, rosterRoot, cohort }: { aggregationId: Uint8Array; rosterRoot: Uint8Array; cohort: number },
  { degree, threshold }: GraphParameters,
): Graph {
  if (degree > LIMIT.neighbours) throw new RangeError(`degree: expected at most ${LIMIT.neighbours}, got ${degree}`);
  const ring = derivedOrder(suite, { aggregationId, rosterRoot, label: LABEL.ring }, cohort);
  const position = new Uint32Array(cohort);
  ring.forEach((index, at) => {
    position[index] = at;
  });
  return {
    degree,
    threshold,
    neighbours(index) {
      if (degree === cohort - 1) return Array.from({ length: cohort }, (_, i) => i).filter((i) => i !== index);
      const at = position[index];
      const found: number[] = [];
      for (let step = 1; step <= degree / 2; step++) {
        found.push(ring[(at + step) % cohort], ring[(at - step + cohort) % cohort]);
      }
      return found.sort((a, b) => a - b);
    },
  };
}

/** A permutation of 0..n-1 fixed by the roster: Fisher-Yates over a keystream, without modulo bias. */
export function derivedOrder(
  suite: CryptoSuite,
  { aggregationId, rosterRoot, label }: { aggregationId: Uint8Array; rosterRoot: Uint8Array; label: string },
  count: number,
): Uint32Array {
  const info = new TextEncoder().encode(label);
  const stream = suite.keystream(suite.hkdf({ ikm: rosterRoot, salt: aggregationId, info, sizeBytes: 32 }));
  let words = new DataView(new ArrayBuffer(0));
  let at = 0;
  const u32 = (): number => {
    if (at === words.byteLength) {
      words = new DataView(Uint8Array.from(stream.next(CHUNK_BYTES)).buffer);
      at = 0;
    }
    at += 4;
    return words.getUint32(at - 4, true);
  };
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const bound = i + 1;
    const limit = 2 ** 32 - (2 ** 32 % bound);
    let word = u32();
    while (word >= limit) word = u32();
    const j = word % bound;
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
