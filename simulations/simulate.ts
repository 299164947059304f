/**
 * A whole federation in one process: the real coordinator and real clients, joined by memory or by real gRPC on
 * loopback; only the network and the machines are pretended. Equal seeds give equal models, to the bit, whatever the
 * transport and however many workers train: so whoever knows the seed can take the noise off, unless it is secret.
 */
import { join } from 'node:path';
import pLimit from 'p-limit';
import { connectGrpc, type GrpcParticipant } from '../client/grpc/participant.js';
import { Participant, type ParticipantOptions } from '../client/round/participant.js';
import { modelReader, planReader } from '../client/round/verify-signed.js';
import { noOpenings } from '../client/store/openings.js';
import { filePrivateTensors } from '../client/store/private-tensors.js';
import { memoryReleases } from '../client/store/releases.js';
import { memorySecaggStore } from '../client/store/secagg.js';
import { memoryStore } from '../client/store/updates.js';
import { initialModel, openSite, type TaskRunner } from '../client/training/task.js';
import type { ScaleName, Workload } from '../client/workload.js';
import { Coordinator } from '../server/coordinator.js';
import { serveGrpc } from '../server/grpc/server.js';
import { silent } from '../server/log.js';
import { Registry } from '../server/registry.js';
import { readHistory } from '../server/run/history.js';
import { rewind } from '../server/run/rewind.js';
import type { Run } from '../server/run/run.js';
import { JOURNAL_FILE } from '../server/run/run-journal.js';
import { systemClock } from '../shared/clock.js';
import { systemFiles } from '../shared/disk/files.js';
import type { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { type Rng, rngFromEntropy, rngFromSeed } from '../shared/rng.js';
import type { RunEvent } from '../shared/run/events.js';
import type { Report } from '../shared/run/report.js';
import type { RunSpec } from '../shared/run/spec.js';
import { slugOf } from '../shared/run-id.js';
import type { ParticipantService } from '../shared/service.js';
import { identityFromSeed } from '../shared/signing/identity.js';
import { IN_PROCESS } from '../shared/signing/login.js';
import { receiptCheck } from '../shared/signing/receipts.js';
import { type Params, packTensors } from '../shared/tensors/params.js';
import { encode } from '../shared/tensors/safetensors.js';
import { VERSION } from '../shared/version.js';
import type { Federation } from './baselines/federations.js';
import { RATE_FACTORS, TUNING_SEED } from './baselines/tuning.js';
import { type BaselineInput, baselines } from './baselines.js';
import { type CentralLine, centralLinesIn, type JudgeRound, judgeRounds } from './central-rounds.js';
import { figuresOf, finishRun, roundFiguresIn, type SimulationResult, withCode } from './finish-run.js';
import { memoryTransport } from './memory-transport.js';
import { populationOf } from './population.js';
import { seededNoise } from './seeded-noise.js';

/** In a run directory: the private tensors of each client, by its name. */
export const PERSONAL_FOLDER = 'personal';

/** A federation to be simulated, and what it trains with. */
export interface SimulationOptions {
  readonly spec: RunSpec;
  readonly model: Params;
  readonly clients: number;
  readonly workload: Workload;
  readonly trainer: TaskRunner;
  /** Name of the back end that the trainer uses, for the report. */
  readonly backend: string;
  /** Tasks that may run at a time. */
  readonly workers: number;
  readonly transport: 'memory' | 'grpc';
  /** Probability that a client drops out of a round. */
  readonly dropout: number;
  /** Noise, and the lots of example-level privacy, from the system's entropy; default: all follows from the seed. */
  readonly secretNoise?: boolean;
  /** `tuned`: all, and reference rows choose a rate on a grid and a round, on validation examples. */
  readonly baselines: 'none' | 'all' | 'tuned';
  /** With baselines: other federations that the run is set beside; default: none. */
  readonly federations?: readonly Federation[];
  /** The run directory; must not hold a run, unless `resume`. */
  readonly directory: string;
  /** The run that the directory holds goes on, as if it had never been interrupted; one that it does not hold begins. */
  readonly resume?: boolean;
  readonly command?: string;
  readonly onEvent?: (event: RunEvent) => void;
  readonly onBaseline?: (who: string) => void;
  /** What a client's own log would say. */
  readonly onNotice?: (client: string, message: string, fields: object) => void;
  /** Judges each round's model on a central test set; default: only clients judge. */
  readonly judge?: JudgeRound;
  readonly onCentral?: (line: CentralLine) => void;
  readonly signal?: AbortSignal;
}

/** Runs to the end and writes the run directory. @throws FlError when the run could not be carried out at all. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { directory, spec, model, secretNoise = false } = options;
  const rng = rngFromSeed(spec.work.seed).split('simulation');
  const identity = identityFromSeed(rng.split('coordinator').bytes(32));
  const names = Array.from({ length: options.clients }, (_, i) => `c${i + 1}`);
  const registry = new Registry({ append: async () => undefined }, []);
  const { fail, failed } = failure();
  let network: Network | undefined;
  const coordinator = await Coordinator.open({
    dataDir: directory,
    identity,
    registry,
    clock: systemClock,
    rng: rng.split('coordinator draws'),
    isNoiseSeeded: !secretNoise,
    log: silent,
    addresses: () => network?.addresses ?? [],
    fatal: fail,
  });
  network = await openNetwork(options.transport, coordinator);
  const participants: Participant[] = [];
  try {
    const readers = readersOf(identity.publicKey);
    const limit = pLimit(2 * options.workers); // a few ahead, so that no worker waits for a download
    const enterAll = async () => {
      const connected: Promise<void>[] = [];
      for (const [index, client] of names.entries()) {
        const entered = await enter({ options, client, index, rng, network, registry, readers, limit });
        participants.push(entered.participant);
        connected.push(entered.connected);
      }
      return connected;
    };
    const goesOn = options.resume === true && (await isRun(directory));
    if (goesOn) {
      await rewind(directory);
      const connected = Promise.all(await enterAll()); // a cohort is drawn from all of them, as it would have been
      await Promise.race([connected, failed, ...participants.map(({ done }) => done)]);
    }
    const before = goesOn ? await centralLinesIn(directory) : [];
    const run = goesOn
      ? await coordinator.openRun(directory, runId(spec))
      : await coordinator.createRun(spec, encode(model), { id: runId(spec), directory });
    const over = new Promise<void>((resolve) => run.feed.subscribe((event) => event.kind === 'ended' && resolve()));
    const coded = withCode(options.workload, run);
    run.feed.subscribe((event) => options.onEvent?.(coded(event)));
    const { judge, onCentral } = options;
    const central = judge && judgeRounds(run, { before, judge, told: onCentral });
    options.signal?.addEventListener('abort', () =>
      run.post({ kind: 'stop', status: 'stopped', reason: 'interrupted' }),
    );
    if (!goesOn) await enterAll();
    await Promise.race([over, failed, ...participants.map(({ done }) => done.then(() => over))]);
    await run.idle();
    const compared = await compare(options, run, names);
    const interrupted = isCompared(options, run) && options.signal?.aborted;
    const { state } = run;
    const ended = { spec, state, model: run.model, history: await readHistory(directory) };
    const roundFigures = await roundFiguresIn(directory, options.workload, spec);
    const centralFigures = await central?.settled();
    const beside = { secretNoise, baselines: compared, interrupted, roundFigures, centralFigures };
    return await finishRun({ ...options, ...beside }, ended);
  } finally {
    for (const participant of participants) participant.stop();
    await network.close();
    await coordinator.close();
  }
}

/** Raced with whatever is waited for; without a race it must not end the process. */
function failure() {
  let fail: (error: FlError) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);
  return { fail, failed };
}

/** Whether a run's beginning is on the disk; without it there is nothing to go on with. */
async function isRun(directory: string): Promise<boolean> {
  return (await systemFiles.read(join(directory, JOURNAL_FILE))) !== undefined;
}

interface Network {
  readonly addresses: readonly string[];
  /** A client's own way to the coordinator. */
  connect(): ParticipantService;
  close(): Promise<void>;
}

async function openNetwork(transport: 'memory' | 'grpc', coordinator: Coordinator): Promise<Network> {
  if (transport === 'memory') {
    return { addresses: [IN_PROCESS], connect: () => memoryTransport(coordinator), close: async () => undefined };
  }
  const adminToken = toHex(rngFromEntropy().bytes(32));
  const server = await serveGrpc({
    participant: coordinator,
    admin: coordinator.admin,
    adminToken,
    listen: '127.0.0.1:0',
  });
  const connections: GrpcParticipant[] = [];
  return {
    addresses: [server.address],
    connect() {
      const connection = connectGrpc(server.address);
      connections.push(connection);
      return connection;
    },
    async close() {
      for (const connection of connections) connection.close();
      await server.close();
    },
  };
}

type Readers = Required<Pick<ParticipantOptions, 'coordinatorKey' | 'readPlan' | 'models' | 'checkReceipt'>>;

/** What comes to all clients alike is checked once for all. */
function readersOf(coordinatorKey: Uint8Array): Readers {
  const [readPlan, checkReceipt] = [planReader(coordinatorKey), receiptCheck(coordinatorKey)];
  return { coordinatorKey, readPlan, models: modelReader(), checkReceipt };
}

/** A simulation may be small; floors are for real sites. */
const ANY_COHORT = { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 };

async function enter(about: {
  options: SimulationOptions;
  client: string;
  index: number;
  rng: Rng;
  network: Network;
  registry: Registry;
  readers: Readers;
  limit: <T>(task: () => Promise<T>) => Promise<T>;
}): Promise<{ readonly participant: Participant; readonly connected: Promise<void> }> {
  const { options, client, index, rng, network, registry, readers, limit } = about;
  const signingSeed = rng.split(`identity/${client}`).bytes(32);
  const identity = identityFromSeed(signingSeed);
  const noiseSecret = options.secretNoise ? rngFromEntropy().bytes(32) : signingSeed;
  await registry.enrolTrusted(client, identity.publicKey, systemClock.nowMs());
  const drops = rng.split(`dropout/${client}`);
  let welcome = () => {};
  const connected = new Promise<void>((resolve) => {
    welcome = resolve;
  });
  const participant = await Participant.start({
    service: network.connect(),
    client,
    identity,
    ...readers,
    secure: {
      signingSeed,
      policy: ANY_COHORT,
      store: memorySecaggStore(),
      rng: rng.split(`secure/${client}`),
      openings: noOpenings,
    },
    store: memoryStore({
      readOnce: options.transport === 'memory', // what memory carries is never sent twice
      privateTensors: filePrivateTensors(join(options.directory, PERSONAL_FOLDER, client)),
    }),
    trainer: options.trainer,
    // what is asked for again follows from the seed again, so no virtual client keeps a release
    privacy: {
      noiseOf: (plan) => seededNoise(noiseSecret, plan),
      releases: memoryReleases({ withValues: false }),
    },
    slice: { index, count: options.clients },
    declineReason: ({ kind, round, attempt }) => {
      if (kind !== 'train' || drops.split(`${round}/${attempt}`).uniform() >= options.dropout) return undefined;
      return { reason: 'dropout', detail: 'simulated by --dropout' };
    },
    limit,
    clock: systemClock,
    rng: rng.split(`jitter/${client}`),
    version: VERSION,
    notice(message, fields) {
      if (message === 'connected') welcome();
      options.onNotice?.(client, message, fields);
    },
  });
  return { participant, connected };
}

async function compare(options: SimulationOptions, run: Run, clients: readonly string[]): Promise<Report['baselines']> {
  const { spec, workload, trainer, model, federations = [], onBaseline, signal } = options;
  if (!isCompared(options, run)) return {};
  const { partition, validationFraction } = spec.work;
  const { shard, data } = await openSite(workload, spec.work);
  const shards = clients.map((_, index) => shard(partition, { index, count: clients.length }, validationFraction));
  const { round: rounds } = run.state; // a run that stopped early has taken fewer steps, and so do its rows
  const input: BaselineInput = {
    spec: { ...spec, work: { ...spec.work, rounds } },
    model,
    clients,
    trainer,
    headline: workload.manifest.headline,
    trainExamples: shards.map(({ train }) => train.length),
    floors: { workload, data, shards, backend: options.backend },
    ...(options.baselines === 'tuned' && { tuning: tuningOf(options) }),
    limit: pLimit(2 * options.workers),
    figures: (sums) => figuresOf(workload, sums, spec),
    federations,
    runAgain: (federation: Federation) => simulateAgain(options, federation),
    onProgress: onBaseline,
    signal,
  };
  const population = populationOf(workload.examples(data, spec.work.hyper).test);
  return { ...(await baselines(input)), population };
}

function tuningOf({ workload, spec, model }: SimulationOptions): BaselineInput['tuning'] {
  const { hyper, scale, seed: own, training, initialModel: file } = spec.work;
  const seed = own === TUNING_SEED ? TUNING_SEED + 1 : TUNING_SEED;
  const rates =
    workload.manifest.scales[scale as ScaleName].referenceRates ??
    RATE_FACTORS.map((factor) => factor * training.clientLr);
  const first = file === undefined ? packTensors(initialModel(workload, { hyper, seed }).shared) : model;
  return { rates, seed, model: first };
}

function isCompared({ baselines }: SimulationOptions, run: Run): boolean {
  return baselines !== 'none' && run.state.status === 'completed';
}

async function simulateAgain(options: SimulationOptions, { name, label, resolved }: Federation) {
  const { onEvent: _, command: __, judge: ___, ...rest } = options;
  const place = label === undefined ? [name] : ['federated', name];
  const directory = join(options.directory, ...place);
  const { report } = await simulate({ ...rest, ...resolved, directory, baselines: 'none', resume: options.resume });
  const { data } = await openSite(options.workload, resolved.spec.work);
  const population = populationOf(options.workload.examples(data, resolved.spec.work.hyper).test);
  return { ...report, population };
}

function runId({ work }: RunSpec): string {
  return `${slugOf(work.workload, 40)}-${work.scale}-seed${work.seed}`;
}
