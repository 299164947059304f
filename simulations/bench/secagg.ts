/**
 * What secure aggregation costs on this machine, one thread: every client and the server run for real (keys, signatures,
 * sealed shares, masks, consistency), the sum is compared with the plain one, and each phase is timed by itself. Network
 * and training are not in it. Each time also stands as a ratio to the time in which this machine encrypts (AES-256-CTR) and
 * copies the same 4d bytes, so that two machines can be compared. `secagg-table.ts` makes the table of it.
 */
import { FlError } from '../../shared/errors.js';
import { type Rng, rngFromSeed } from '../../shared/rng.js';
import { startClient, stepClient } from '../../shared/secagg/client/machine.js';
import type { ClientContext, ClientInput, ClientState } from '../../shared/secagg/client/state.js';
import { createEnrolment } from '../../shared/secagg/enrolment.js';
import { graphParameters } from '../../shared/secagg/graph.js';
import { createKernel, type Kernel } from '../../shared/secagg/kernel.js';
import type { SecaggParams } from '../../shared/secagg/params.js';
import { elementsOf, type QuantizeSpec, quantize, ringFor } from '../../shared/secagg/quantize.js';
import { startServer, stepServer } from '../../shared/secagg/server/machine.js';
import type {
  ServerContext,
  ServerInput,
  ServerOutput,
  ServerPhase,
  ServerState,
} from '../../shared/secagg/server/state.js';
import { nodeSuite } from '../../shared/secagg/suites/node.js';
import { unmaskSum } from '../../shared/secagg/unmask.js';

/** One aggregation to be measured. */
export interface SecaggBenchCase {
  readonly clients: number;
  /** d: values of one update, without weight. */
  readonly values: number;
  /** Fraction of the cohort that drops out after sharing, which is the expensive time to do so. */
  readonly dropFraction: number;
  readonly adversaryFraction: number;
}

/** Absent: the cases of the table, and this machine's clock. */
export interface SecaggBenchOptions {
  readonly cases?: readonly SecaggBenchCase[];
  readonly rngSeed?: number;
  /** Monotonic milliseconds with fractions. */
  readonly nowMs?: () => number;
}

type ClientPhaseMs = Readonly<Record<'quantize' | 'advertise' | 'share' | 'mask' | 'consistency' | 'unmask', number>>;

/** What one aggregation cost, in milliseconds and bytes. */
export interface SecaggBenchRow extends SecaggBenchCase {
  readonly degree: number;
  readonly threshold: number;
  /** Keystreams that the server takes off the sum. */
  readonly masks: number;
  /** Mean over clients, by phase, and their sum. */
  readonly clientMs: ClientPhaseMs;
  readonly clientTotalMs: number;
  /** In all, by phase; `masksOff` is the keystreams, which a coordinator leaves to threads. */
  readonly serverMs: Readonly<Record<Exclude<ServerPhase, 'done' | 'aborted'> | 'masksOff', number>>;
  readonly serverTotalMs: number;
  /** One client's traffic: everything sent, everything received, and sent over 4d. */
  readonly uploadBytes: number;
  readonly downloadBytes: number;
  readonly uploadRatio: number;
  /** Times for 4d bytes on this machine, and the ratios client total : AES and server total : copying everything once. */
  readonly aesMs: number;
  readonly copyMs: number;
  readonly clientPerAes: number;
  readonly serverPerCopy: number;
}

/** The cases with targets: 120 and 800 ms at 100 clients, 80 and 1,500 ms at 1,000. */
export const SECAGG_BENCH_CASES: readonly SecaggBenchCase[] = [
  { clients: 100, values: 100_000, dropFraction: 0, adversaryFraction: 0.05 },
  { clients: 100, values: 100_000, dropFraction: 0.1, adversaryFraction: 0.05 },
  { clients: 1000, values: 100_000, dropFraction: 0.05, adversaryFraction: 0.05 },
];

const SPEC: QuantizeSpec = { valueRange: 1, quantizeBits: 16, weightCap: 8, metricBounds: [] };

/**
 * Runs each case once and returns its row.
 * @throws FlError `internal` if a sum is not exact: a fast wrong answer is no measurement
 */
export function benchSecagg(options: SecaggBenchOptions = {}): SecaggBenchRow[] {
  const { cases = SECAGG_BENCH_CASES, rngSeed = 1, nowMs = () => performance.now() } = options;
  return cases.map((one) => new Bench(one, rngFromSeed(rngSeed), nowMs).run());
}

class Bench {
  readonly #case: SecaggBenchCase;
  readonly #rng: Rng;
  readonly #now: () => number;
  readonly #kernel: Kernel = createKernel();
  readonly #params: SecaggParams;
  readonly #server: ServerContext;
  readonly #clients: { readonly context: ClientContext; state: ClientState; readonly drops: boolean }[];
  readonly #clientMs = { quantize: 0, advertise: 0, share: 0, mask: 0, consistency: 0, unmask: 0 };
  readonly #serverMs = { advertise: 0, share: 0, mask: 0, consistency: 0, unmask: 0, masksOff: 0 };
  readonly #plain: Int32Array;
  #masks = 0;
  #sentBytes = 0;
  #receivedBytes = 0;

  constructor(one: SecaggBenchCase, rng: Rng, now: () => number) {
    this.#case = one;
    this.#rng = rng;
    this.#now = now;
    const { clients, values, dropFraction, adversaryFraction } = one;
    const elements = elementsOf(SPEC, values);
    this.#plain = new Int32Array(elements);
    this.#params = {
      suite: nodeSuite.id,
      cohortMin: Math.min(10, clients),
      cohortMax: clients,
      survivorsMin: Math.min(10, Math.ceil(clients / 2)),
      adversaryFraction,
      dropFraction,
      elements,
      ring: ringFor(SPEC, clients),
    };
    const seeds = Array.from({ length: clients }, () => rng.bytes(32));
    const keys = seeds.map((seed, i) => [`client-${i}`, nodeSuite.ed25519PublicKey(seed)] as const);
    const enrolment = createEnrolment(nodeSuite, new Map(keys));
    const hash = nodeSuite.hash(Uint8Array.of(1));
    const shared = {
      suite: nodeSuite,
      enrolment,
      params: this.#params,
      aggregation: { taskId: 'bench', round: 1, modelHash: hash, planHash: hash },
    };
    this.#server = { ...shared, sum: createKernel(), rng: rng.split('server') };
    const drops = new Set(rng.shuffle(seeds.map((_, i) => i)).slice(0, Math.floor(dropFraction * clients)));
    const policy = { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 };
    this.#clients = seeds.map((signingSeed, i) => {
      const identity = { id: `client-${i}`, signingSeed };
      const context = {
        ...shared,
        kernel: this.#kernel,
        rng: rng.split(identity.id),
        identity,
        policy,
        isUsed: () => false,
      };
      return { context, state: undefined as unknown as ClientState, drops: drops.has(i) };
    });
  }

  run(): SecaggBenchRow {
    let state = startServer(this.#server);
    let frames = this.#clients.map((client) => {
      const [next, outputs] = this.#timed('advertise', this.#clientMs, () => startClient(client.context));
      client.state = next;
      return { from: client.context.identity.id, bytes: frameOf(outputs)! };
    });
    let unmask: Extract<ServerOutput, { kind: 'unmask' }> | undefined;
    while (state.phase !== 'done' && state.phase !== 'aborted') {
      const outputs: ServerOutput[] = [];
      const phase = state.phase;
      for (const frame of frames) state = this.#serverStep(state, { kind: 'frame', ...frame }, outputs);
      if (state.phase === phase) state = this.#serverStep(state, { kind: 'deadline' }, outputs);
      unmask = outputs.find((output) => output.kind === 'unmask') ?? unmask;
      frames = outputs.flatMap((output) =>
        output.kind === 'send' ? this.#answer(output.to, output.frame, output.type) : [],
      );
    }
    if (unmask === undefined)
      throw new FlError('internal', `bench: ${state.phase === 'aborted' ? state.reason : state.phase}, no sum`);
    const { masks } = unmask;
    this.#masks = masks.length;
    const got = this.#timed('masksOff', this.#serverMs, () =>
      unmaskSum({ suite: nodeSuite, sum: this.#server.sum, ringBits: 32 }, masks),
    );
    if (!got.every((value, i) => value === this.#plain[i]))
      throw new FlError('internal', 'bench: the sum is not exact');
    return this.#row();
  }

  #serverStep(state: ServerState, input: ServerInput, outputs: ServerOutput[]): ServerState {
    const phase: ServerPhase = state.phase;
    const [next, more] = this.#timed(phase, this.#serverMs, () => stepServer(this.#server, state, input));
    outputs.push(...more);
    return next;
  }

  /** What a client sends back for a frame; the one that drops out does so when it should upload. */
  #answer(id: string, bytes: Uint8Array, type: string): { from: string; bytes: Uint8Array }[] {
    const client = this.#clients[Number(id.slice('client-'.length))]!;
    this.#receivedBytes += bytes.length;
    const phase = ({ roster: 'share', bundles: 'mask', survivors: 'consistency', signatures: 'unmask' } as const)[
      type as 'roster'
    ];
    let outputs = this.#step(client, { kind: 'frame', bytes }, phase);
    if (outputs.some(({ kind }) => kind === 'vector-wanted')) {
      if (client.drops) return [];
      const vector = this.#vector();
      for (let i = 0; i < vector.length; i++) this.#plain[i]! += vector[i]!;
      outputs = this.#step(client, { kind: 'vector', values: vector }, 'mask');
    }
    const frame = frameOf(outputs);
    this.#sentBytes += frame?.length ?? 0;
    return frame === undefined ? [] : [{ from: id, bytes: frame }];
  }

  #step(client: { context: ClientContext; state: ClientState }, input: ClientInput, phase: keyof ClientPhaseMs) {
    const [next, outputs] = this.#timed(phase, this.#clientMs, () => stepClient(client.context, client.state, input));
    client.state = next;
    return outputs;
  }

  #vector(): Int32Array {
    const values = new Float32Array(this.#case.values).map((_, i) => Math.sin(i));
    const tools = { kernel: this.#kernel, suite: nodeSuite, rng: this.#rng };
    return this.#timed('quantize', this.#clientMs, () => quantize(tools, SPEC, { values, weight: 3, metrics: [] }));
  }

  #timed<T>(phase: string, into: Record<string, number>, run: () => T): T {
    const before = this.#now();
    const result = run();
    into[phase]! += this.#now() - before;
    return result;
  }

  #row(): SecaggBenchRow {
    const { clients, values, dropFraction } = this.#case;
    const alive = clients - Math.floor(dropFraction * clients);
    const clientMs = mapValues(
      this.#clientMs,
      (ms, phase) => ms / (phase === 'advertise' || phase === 'share' ? clients : alive),
    );
    const clientTotalMs = Object.values(clientMs).reduce((sum, ms) => sum + ms, 0);
    const serverTotalMs = Object.values(this.#serverMs).reduce((sum, ms) => sum + ms, 0);
    const { aesMs, copyMs } = this.#yardsticks(4 * values);
    const uploadBytes = Math.round(this.#sentBytes / alive);
    return {
      ...this.#case,
      ...graphParameters(clients, this.#params),
      masks: this.#masks,
      clientMs,
      clientTotalMs,
      serverMs: this.#serverMs,
      serverTotalMs,
      uploadBytes,
      downloadBytes: Math.round(this.#receivedBytes / clients),
      uploadRatio: uploadBytes / (4 * values),
      aesMs,
      copyMs,
      clientPerAes: clientTotalMs / aesMs,
      serverPerCopy: serverTotalMs / (copyMs * clients),
    };
  }

  /** Best of several, for `sizeBytes`: the keystream alone, and a memory copy. */
  #yardsticks(sizeBytes: number): { aesMs: number; copyMs: number } {
    const source = new Uint8Array(sizeBytes);
    const target = new Uint8Array(sizeBytes);
    const best = (run: () => void): number =>
      Math.min(
        ...Array.from({ length: 20 }, () => {
          const before = this.#now();
          run();
          return this.#now() - before;
        }),
      );
    const aes = (): void => {
      const stream = nodeSuite.keystream(source.subarray(0, 32));
      for (let at = 0; at < sizeBytes; at += 65_536) stream.next(Math.min(65_536, sizeBytes - at));
    };
    return { aesMs: best(aes), copyMs: best(() => target.set(source)) };
  }
}

function frameOf(outputs: readonly { kind: string }[]): Uint8Array | undefined {
  return (outputs as readonly { kind: string; frame?: Uint8Array }[]).find(({ kind }) => kind === 'send')?.frame;
}

const mapValues = <K extends string>(record: Record<K, number>, map: (value: number, key: K) => number) =>
  Object.fromEntries(Object.entries<number>(record).map(([key, value]) => [key, map(value, key as K)])) as Record<
    K,
    number
  >;
