/**
 * Real clients and a real server of one aggregation in one process, for tests: who takes part, with which vectors, and what
 * the sum must be.
 */
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import type { ClientCheck } from '../../../shared/secagg/checks.js';
import { startClient, stepClient } from '../../../shared/secagg/client/machine.js';
import type {
  ClientContext,
  ClientInput,
  ClientOutput,
  ClientState,
  ClientStep,
} from '../../../shared/secagg/client/state.js';
import { createEnrolment } from '../../../shared/secagg/enrolment.js';
import { createKernel } from '../../../shared/secagg/kernel.js';
import type { SecaggParams } from '../../../shared/secagg/params.js';
import { centre, chooseRing } from '../../../shared/secagg/ring.js';
import type { ServerContext } from '../../../shared/secagg/server/state.js';
import type { CryptoSuite } from '../../../shared/secagg/suite.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';

export interface PartyOptions {
  readonly clients: number;
  readonly elements?: number;
  readonly rngSeed?: number;
  readonly suite?: CryptoSuite;
  readonly pack?: boolean;
  readonly params?: Partial<SecaggParams>;
  /** Enrolled clients beyond those that take part. */
  readonly enrolledExtra?: number;
}

export interface Party {
  readonly suite: CryptoSuite;
  readonly rng: Rng;
  readonly params: SecaggParams;
  readonly ids: readonly string[];
  readonly seeds: ReadonlyMap<string, Uint8Array>;
  readonly vectors: ReadonlyMap<string, Int32Array>;
  readonly server: ServerContext;
  client(id: string, overrides?: Partial<ClientContext>): ClientContext;
  /** The plain modular sum of the vectors of `ids`. */
  plainSum(ids: readonly string[]): Int32Array;
}

const VALUE_MAX = 1000;
/** One scratch kernel for all clients of all tests: a step leaves nothing in it that a later one reads. */
const scratch = createKernel();
const sums = createKernel();

export function createParty(options: PartyOptions): Party {
  const { clients, elements = 7, rngSeed = 1, suite = nodeSuite, pack = false, enrolledExtra = 0 } = options;
  const rng = rngFromSeed(rngSeed);
  const ids = Array.from({ length: clients }, (_, i) => `client-${i}`);
  const extras = Array.from({ length: enrolledExtra }, (_, i) => `extra-${i}`);
  const seeds = new Map([...ids, ...extras].map((id) => [id, rng.bytes(32)]));
  const enrolment = createEnrolment(
    suite,
    new Map(Array.from(seeds, ([id, seed]) => [id, suite.ed25519PublicKey(seed)])),
  );
  const params: SecaggParams = {
    suite: suite.id,
    cohortMin: Math.min(3, clients),
    cohortMax: clients,
    survivorsMin: 2,
    adversaryFraction: 0,
    dropFraction: 0,
    elements,
    ring: chooseRing({ clients, valueMax: VALUE_MAX }, pack),
    ...options.params,
  };
  const aggregation = {
    taskId: `task-${rngSeed}`,
    round: 3,
    modelHash: suite.hash(Uint8Array.of(1)),
    planHash: suite.hash(Uint8Array.of(2)),
  };
  const vectors = new Map(
    ids.map((id) => [id, new Int32Array(elements).map(() => rng.below(2 * VALUE_MAX + 1) - VALUE_MAX)]),
  );
  return {
    suite,
    rng,
    params,
    ids,
    seeds,
    vectors,
    server: { suite, params, aggregation, enrolment, sum: sums, rng: rng.split('server') },
    client: (id, overrides = {}) => ({
      suite,
      kernel: scratch,
      rng: rng.split(id),
      identity: { id, signingSeed: seeds.get(id)! },
      enrolment,
      policy: { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 },
      params,
      aggregation,
      isUsed: () => false,
      ...overrides,
    }),
    plainSum(of) {
      const sum = new Uint32Array(elements);
      for (const id of of) for (const [i, value] of vectors.get(id)!.entries()) sum[i]! += value;
      return centre(sum, params.ring.bits);
    },
  };
}

/** One client on a wire: what it was told, what it sent, and its state. */
export interface WiredClient {
  readonly context: ClientContext;
  state: ClientState;
  readonly sent: ClientOutput[];
  tell(input: ClientInput): readonly ClientOutput[];
}

/** Starts a client; it answers `vector-wanted` by itself. */
export function wireClient(party: Party, id: string, overrides?: Partial<ClientContext>): WiredClient {
  const context = party.client(id, overrides);
  const sent: ClientOutput[] = [];
  const client: WiredClient = {
    context,
    state: { phase: 'done', aggregationId: new Uint8Array(32), accepted: {}, lastFrame: new Uint8Array(0) },
    sent,
    tell: (input) => take(stepClient(context, client.state, input)),
  };
  const take = ([state, outputs]: ClientStep): readonly ClientOutput[] => {
    client.state = state;
    sent.push(...outputs);
    const wanted = outputs.some(({ kind }) => kind === 'vector-wanted');
    return wanted ? [...outputs, ...client.tell({ kind: 'vector', values: party.vectors.get(id)! })] : outputs;
  };
  take(startClient(context));
  return client;
}

/** The frames among outputs. */
export const framesOf = (outputs: readonly ClientOutput[]): Uint8Array[] =>
  outputs.flatMap((output) => (output.kind === 'send' ? [output.frame] : []));

/** Why a client refused, if it did. */
export const refusalOf = ({ state }: WiredClient): string | undefined =>
  state.phase === 'refused' ? state.reason : undefined;

export const disabling = (name: ClientCheck | undefined): Partial<ClientContext> =>
  name === undefined ? {} : { disabledChecks: new Set([name]) };
