/**
 * What a client remembers between steps, what it is told, and what it wants done. The state is plain data; it holds secret
 * keys until it reads `done` or `refused`.
 */
import type { Rng } from '../../rng.js';
import { type ClientCheck, Refusal, type RefusalReason } from '../checks.js';
import type { Enrolment } from '../enrolment.js';
import type { FrameType } from '../frames.js';
import type { GraphParameters } from '../graph.js';
import type { Kernel } from '../kernel.js';
import type { AggregationContext, SecaggParams } from '../params.js';
import type { CryptoSuite } from '../suite.js';

/** What the site insists on, whatever the coordinator proposes; DEFAULT_POLICY where it says nothing. */
export interface ClientPolicy {
  readonly cohortMin: number;
  readonly survivorsMin: number;
  /** Least fraction of the cohort against whose collusion the threshold must hold. */
  readonly adversaryFraction: number;
}

/** Everything a step needs that is not state. The same for all steps of an aggregation, except `rng` and `kernel`. */
export interface ClientContext {
  readonly suite: CryptoSuite;
  readonly kernel: Kernel;
  readonly rng: Rng;
  readonly identity: { readonly id: string; readonly signingSeed: Uint8Array };
  readonly enrolment: Enrolment;
  readonly policy: ClientPolicy;
  readonly params: SecaggParams;
  readonly aggregation: AggregationContext;
  /** Whether this site has ever started an aggregation of this id; the site keeps the list with its states. */
  readonly isUsed: (aggregationId: Uint8Array) => boolean;
  /** For mutation tests alone: checks that do not happen. */
  readonly disabledChecks?: ReadonlySet<ClientCheck>;
}

/** A member that shares secrets with this client: its place in the roster, and its public keys (32 bytes each). */
export interface Neighbour {
  readonly index: number;
  readonly enrolledKey: Uint8Array;
  readonly sharePublicKey: Uint8Array;
  readonly maskPublicKey: Uint8Array;
}

/** The frozen roster as this client has checked it. */
export interface RosterView extends GraphParameters {
  readonly cohort: number;
  readonly ownIndex: number;
  readonly rosterRoot: Uint8Array;
  /** Of all members, side by side; absent in a state that version 0.1 saved. */
  readonly tags?: Uint8Array;
  /** By ascending roster index. */
  readonly neighbours: readonly Neighbour[];
}

interface Base {
  readonly aggregationId: Uint8Array;
  /** Digests of the frames accepted so far, so that a repeated one is told from a contradicting one. */
  readonly accepted: Partial<Record<FrameType, Uint8Array>>;
  /** The last small frame sent, to be sent again after a crash. */
  readonly lastFrame: Uint8Array;
}

interface Masking {
  readonly roster: RosterView;
  /** Who shared, as a bitmap over the roster. */
  readonly included: Uint8Array;
  /** By neighbour, the 64-byte share of its self-mask seed and mask key; null for neighbours who did not share. */
  readonly held: readonly (Uint8Array | null)[];
}

/** A phase is named after what the client waits for. */
export type ClientState = Base &
  (
    | { readonly phase: 'roster'; readonly shareSecretKey: Uint8Array; readonly maskSecretKey: Uint8Array }
    | {
        readonly phase: 'bundles';
        readonly shareSecretKey: Uint8Array;
        readonly maskSecretKey: Uint8Array;
        readonly selfMaskSeed: Uint8Array;
        readonly roster: RosterView;
      }
    | ({ readonly phase: 'vector' } & MaskingSecrets)
    | ({ readonly phase: 'survivors'; readonly vectorDigest: Uint8Array } & MaskingSecrets)
    | ({ readonly phase: 'signatures'; readonly survivors: Uint8Array; readonly survivorRoot: Uint8Array } & Masking)
    | { readonly phase: 'done' }
    | { readonly phase: 'refused'; readonly reason: RefusalReason }
  );

interface MaskingSecrets extends Masking {
  readonly maskSecretKey: Uint8Array;
  readonly selfMaskSeed: Uint8Array;
}

/** Where a client stands. */
export type ClientPhase = ClientState['phase'];
/** The state of a client in one phase. */
export type InPhase<P extends ClientPhase> = Extract<ClientState, { phase: P }>;

/** What the machine is told. */
export type ClientInput =
  | { readonly kind: 'frame'; readonly bytes: Uint8Array }
  /** The quantized, noised vector, once the machine asked for it. */
  | { readonly kind: 'vector'; readonly values: Int32Array }
  /** After a restart: says again what may have been lost. */
  | { readonly kind: 'resume' }
  /** The site's own decision to leave: policy, deadline, shutdown. */
  | { readonly kind: 'withdraw' };

/** What the machine asks for, to be done in order. */
export type ClientOutput =
  /** Save the returned state durably before any output after this one is acted upon. */
  | { readonly kind: 'persist' }
  | { readonly kind: 'send'; readonly type: FrameType; readonly frame: Uint8Array }
  | { readonly kind: 'vector-wanted' }
  | { readonly kind: 'refused'; readonly reason: RefusalReason; readonly culprit?: number }
  | { readonly kind: 'done' };

/** The state after an input, and what it asks for. */
export type ClientStep = readonly [ClientState, readonly ClientOutput[]];

/** One named check: throws the refusal unless it holds (or a mutation test has switched it off). */
export function check(context: ClientContext, name: ClientCheck, holds: boolean, culprit?: number): void {
  if (!holds && !context.disabledChecks?.has(name)) throw new Refusal(name, culprit);
}

/** The state moves on and its frame goes out, in this order on disk and on the wire. */
export function advance(state: ClientState, type: FrameType): ClientStep {
  return [state, [{ kind: 'persist' }, { kind: 'send', type, frame: state.lastFrame }]];
}
