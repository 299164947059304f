/**
 * What the server remembers between steps, what it is told, and what it wants done. The state is plain data; the running
 * sum is not in it but in `context.sum`, and is to be saved together with it.
 */
import type { Rng } from '../../rng.js';
import type { RefusalReason, SecaggAbortReason, SecaggDropReason } from '../checks.js';
import type { Advertisement, RosterEntry } from '../derive.js';
import type { Enrolment } from '../enrolment.js';
import type { FrameType } from '../frames.js';
import { buildGraph, type GraphParameters } from '../graph.js';
import type { Kernel, Sign } from '../kernel.js';
import type { AggregationContext, SecaggParams } from '../params.js';
import type { CryptoSuite } from '../suite.js';

/** What the machine works with; the same object for all steps of one aggregation. */
export interface ServerContext {
  readonly suite: CryptoSuite;
  readonly params: SecaggParams;
  readonly aggregation: AggregationContext;
  readonly enrolment: Enrolment;
  /** The sum of masked vectors, of `params.elements`; this machine alone resets it and adds to it. */
  readonly sum: Kernel;
  /** Picks other subsets of shares when one does not fit; reveals nothing. */
  readonly rng: Rng;
}

/** The frozen roster, in ascending order of tags; a member's index is its name in the protocol. */
export interface ServerRoster extends GraphParameters {
  readonly members: readonly Advertisement[];
  readonly entries: readonly RosterEntry[];
  readonly rosterRoot: Uint8Array;
}

interface Base {
  readonly aggregationId: Uint8Array;
}

interface Frozen extends Base {
  readonly roster: ServerRoster;
  /** By index: members that will send nothing more. */
  readonly gone: readonly boolean[];
}

interface Shared extends Frozen {
  /** By index: the body of the shares frame, or null. Its commitment is needed until the end. */
  readonly shares: readonly (Uint8Array | null)[];
}

interface Included extends Shared {
  readonly included: Uint8Array;
  /** By index: whether this member's vector is in the sum. */
  readonly uploaded: readonly boolean[];
}

interface Surviving extends Included {
  readonly survivors: Uint8Array;
  readonly signatures: readonly (Uint8Array | null)[];
}

/** A phase is named after what the server is collecting. */
export type ServerState =
  | (Base & {
      readonly phase: 'advertise';
      readonly advertisements: readonly Advertisement[];
      /** Invited clients that will not advertise: they are not waited for. */
      readonly absent: readonly string[];
    })
  | (Shared & { readonly phase: 'share' })
  | (Included & { readonly phase: 'mask' })
  | (Surviving & { readonly phase: 'consistency' })
  | (Surviving & {
      readonly phase: 'unmask';
      readonly signers: Uint8Array;
      readonly answers: readonly (readonly Uint8Array[] | null)[];
    })
  | (Base & { readonly phase: 'done'; readonly survivorIds: readonly string[] })
  | (Base & { readonly phase: 'aborted'; readonly reason: SecaggAbortReason });

/** Where the server stands. */
export type ServerPhase = ServerState['phase'];
/** The state of the server in one phase. */
export type ServerInPhase<P extends ServerPhase> = Extract<ServerState, { phase: P }>;
/** The phases in which the roster is frozen. */
export type RosterState = ServerInPhase<'share' | 'mask' | 'consistency' | 'unmask'>;

/** What the machine is told; `from` and `id` are enrolled names, which the transport has proved. */
export type ServerInput =
  | { readonly kind: 'frame'; readonly from: string; readonly bytes: Uint8Array }
  /** The client's connection is lost for good. */
  | { readonly kind: 'left'; readonly id: string }
  /** The client may not be in the sum: there is none if its vector is, unless survivors have signed for it. */
  | { readonly kind: 'exclude'; readonly id: string }
  /** Closes the phase with whoever has delivered. */
  | { readonly kind: 'deadline' }
  /** After a restart: sends the current phase's frames again to those who have not answered. */
  | { readonly kind: 'resume' }
  | { readonly kind: 'cancel' };

/** One keystream to add to the sum, or subtract, to unmask it. */
export interface MaskTerm {
  readonly key: Uint8Array;
  readonly sign: Sign;
}

/** What the machine asks for, to be done in order. */
export type ServerOutput =
  | { readonly kind: 'send'; readonly to: string; readonly type: FrameType; readonly frame: Uint8Array }
  /** Went on without this client; with `refused`, what it gave as reason and which neighbour it blames. */
  | {
      readonly kind: 'drop';
      readonly id: string;
      readonly phase: ServerPhase;
      readonly reason: SecaggDropReason;
      readonly refusal?: RefusalReason;
      readonly culpritId?: string;
    }
  /** A new phase begins; `waitingFor` members are to answer before its deadline. */
  | { readonly kind: 'phase'; readonly phase: ServerPhase; readonly waitingFor: number }
  /** Apply the terms to the sum (unmaskSum, or several threads over coordinate ranges), and read it. */
  | {
      readonly kind: 'unmask';
      readonly masks: readonly MaskTerm[];
      readonly survivorIds: readonly string[];
      readonly rosterRoot: Uint8Array;
      readonly survivorRoot: Uint8Array;
      /** The survivors' own signatures over it, for the proof. */
      readonly signatures: readonly { readonly id: string; readonly signature: Uint8Array }[];
    }
  | { readonly kind: 'aborted'; readonly reason: SecaggAbortReason };

/** The state after an input, and what it asks for. */
export type ServerStep = readonly [ServerState, readonly ServerOutput[]];

/** The graph of a roster with the reverse look-ups, computed once per roster object. */
export interface Topology {
  readonly indexOf: ReadonlyMap<string, number>;
  readonly neighbours: readonly (readonly number[])[];
  /** rankIn[u][j]: which share of its j-th neighbour member u holds, counted from 0. */
  readonly rankIn: readonly (readonly number[])[];
}

const topologies = new WeakMap<ServerRoster, Topology>();

/** The graph of a frozen roster; made once for each. */
export function topologyOf(context: ServerContext, { aggregationId, roster }: Frozen): Topology {
  const known = topologies.get(roster);
  if (known !== undefined) return known;
  const cohort = roster.members.length;
  const graph = buildGraph(context.suite, { aggregationId, rosterRoot: roster.rosterRoot, cohort }, roster);
  const neighbours = roster.members.map((_, index) => graph.neighbours(index));
  const rankIn: number[][] = neighbours.map((around) => new Array<number>(around.length).fill(0));
  const filled = new Uint32Array(cohort);
  for (let v = 0; v < cohort; v++) {
    // Visiting v in ascending order meets each u's neighbours in the order of u's own list.
    for (const [rank, u] of neighbours[v].entries()) rankIn[u][filled[u]++] = rank;
  }
  const topology = { indexOf: new Map(roster.members.map(({ id }, index) => [id, index])), neighbours, rankIn };
  topologies.set(roster, topology);
  return topology;
}

/** Indices for which `keep` holds. */
export const indicesWhere = (count: number, keep: (index: number) => boolean): number[] =>
  Array.from({ length: count }, (_, index) => index).filter(keep);

/** The end of an aggregation without a sum. */
export const aborted = ({ aggregationId }: Base, reason: SecaggAbortReason): ServerStep => [
  { phase: 'aborted', aggregationId, reason },
  [{ kind: 'aborted', reason }],
];
