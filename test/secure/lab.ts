/**
 * A real coordinator and real clients with their files on disk, joined by memory, either of which a test kills at the
 * very frame that it names and starts again. The coordinator's time stands still; the clients come back at once.
 */
import { cpSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Participant } from '../../client/round/participant.js';
import { fileReleases } from '../../client/store/releases.js';
import { fileSecaggStore, type SecaggStore } from '../../client/store/secagg.js';
import { memoryStore } from '../../client/store/updates.js';
import type { SiteRules, TaskRunner } from '../../client/training/task.js';
import { Coordinator } from '../../server/coordinator.js';
import { type Logger, silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import type { FlError } from '../../shared/errors.js';
import { rngFromEntropy } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { TaskId } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import { type FrameType, parseFrame } from '../../shared/secagg/frames.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, ParticipantService } from '../../shared/service.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import type { Params } from '../../shared/tensors/params.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { FakeClock } from '../support/fake-clock.js';
import { toyModel, toyTrainer } from '../support/toy.js';
import { hex, coordinator as identity, seedOf } from './hostile-coordinator.js';
import { ANY, atOnce } from './sites.js';

/** A frame of secure aggregation on its way. */
export interface Passing {
  readonly way: 'up' | 'down';
  readonly client: string;
  readonly task: TaskId;
  readonly type: FrameType;
  readonly aggregation: string;
  readonly body: Uint8Array;
}

interface Process {
  /** Takes part in nothing any more; what it has begun to write is written. */
  dead: boolean;
  writing: Promise<unknown>;
  participant?: Participant;
  readonly cuts: Set<() => void>;
}

/** What is not the toy federation's. */
interface LabOptions {
  readonly trainer?: (client: string) => TaskRunner;
  /** What a site decides of its own work. */
  readonly site?: (client: string) => SiteRules;
  readonly model?: Params;
  readonly log?: Logger;
}

/** A name of our own choice: rounding is drawn by run, and runs of one name round alike. */
const RUN = 'r';

export class Lab {
  readonly clock = new FakeClock();
  readonly passed: Passing[] = [];
  readonly fatal: FlError[] = [];
  /** What the sites' own logs say. */
  readonly notices: { readonly client: string; readonly message: string; readonly fields: object }[] = [];
  /** Sees each frame before it arrives; one that kills an end does not arrive there. */
  tap: (frame: Passing) => void = () => {};
  readonly #directory: string;
  readonly #names: readonly string[];
  readonly #registry = new Registry({ append: async () => undefined }, []);
  readonly #clients = new Map<string, Process>();
  #welcomed = () => {};
  readonly #options: LabOptions;
  #coordinator: Coordinator | undefined;
  #closing: Promise<void> = Promise.resolve();

  private constructor(directory: string, names: readonly string[], options: LabOptions) {
    this.#options = options;
    this.#directory = directory;
    this.#names = names;
  }

  /** A run of these clients has begun when it resolves. */
  static async open(
    directory: string,
    names: readonly string[],
    spec: RunSpec,
    options: LabOptions = {},
  ): Promise<Lab> {
    const lab = new Lab(directory, names, options);
    for (const name of names) await lab.#registry.enrolTrusted(name, identityFromSeed(seedOf(name)).publicKey, 0);
    await lab.startCoordinator();
    const allHere = new Promise<void>((resolve) => {
      let here = 0;
      lab.#welcomed = () => void (++here === names.length && resolve());
    });
    for (const name of names) await lab.startClient(name);
    await allHere;
    const place = { id: RUN, directory: join(directory, 'coordinator', 'runs', RUN) };
    await lab.#coordinator!.createRun(spec, encode(options.model ?? toyModel()), place);
    return lab;
  }

  async close(): Promise<void> {
    for (const name of this.#names) await this.killClient(name);
    this.killCoordinator();
    await this.#closing;
  }

  // ---- the coordinator -------------------------------------------------------------------------------------------

  /** Its next process: from what is on disk. */
  async startCoordinator(): Promise<void> {
    await this.#closing;
    this.#coordinator = await Coordinator.open({
      ...{ dataDir: join(this.#directory, 'coordinator'), identity, registry: this.#registry, clock: this.clock },
      ...{ rng: rngFromEntropy(), log: this.#options.log ?? silent, fatal: (error) => this.fatal.push(error) },
    });
  }

  /** Nobody hears from it any more, and nothing more reaches it. */
  killCoordinator(): void {
    const dying = this.#coordinator;
    this.#coordinator = undefined;
    for (const { cuts } of this.#clients.values()) for (const cut of cuts) cut();
    if (dying !== undefined) this.#closing = dying.close();
  }

  /** A copy of what is on its disk at this moment. */
  backUpCoordinator(): void {
    cpSync(join(this.#directory, 'coordinator'), join(this.#directory, 'backup'), { recursive: true });
  }

  /** Its next process: from the backup. */
  async restoreCoordinator(): Promise<void> {
    this.killCoordinator();
    await this.#closing;
    const [data, backup] = ['coordinator', 'backup'].map((name) => join(this.#directory, name));
    rmSync(data, { recursive: true });
    cpSync(backup, data, { recursive: true });
    await this.startCoordinator();
  }

  /** Follows the run to its end. */
  async finish(): Promise<{
    readonly status: string;
    readonly reason: string;
    readonly rounds: readonly RoundSummary[];
  }> {
    const rounds: RoundSummary[] = [];
    for await (const line of this.#coordinator!.admin.watchRun(RUN)) {
      const event = JSON.parse(line) as RunEvent;
      if (event.kind === 'round-ended') rounds.push(event.summary);
      if (event.kind === 'ended') return { status: event.status, reason: event.reason, rounds };
    }
    throw new Error('the feed ended before the run');
  }

  /** Follows the run until it says this. */
  async hear<Kind extends RunEvent['kind']>(kind: Kind, pattern: RegExp): Promise<Extract<RunEvent, { kind: Kind }>> {
    for await (const line of this.#coordinator!.admin.watchRun(RUN)) {
      const event = JSON.parse(line) as RunEvent;
      if (event.kind === kind && pattern.test(line)) return event as Extract<RunEvent, { kind: Kind }>;
    }
    throw new Error('the feed ended before that');
  }

  /** As the operator would. */
  resume(): Promise<void> {
    return this.#coordinator!.admin.resumeRun(RUN);
  }

  async report(): Promise<{
    readonly modelSha256: string;
    readonly final: { readonly metrics: Record<string, number> };
  }> {
    return JSON.parse((await this.#coordinator!.admin.getRun(RUN)).report);
  }

  // ---- the clients -----------------------------------------------------------------------------------------------

  /** Its next process: from what is on disk. */
  async startClient(name: string): Promise<void> {
    const process: Process = { dead: false, writing: Promise.resolve(), cuts: new Set() };
    this.#clients.set(name, process);
    const directory = join(this.#directory, name);
    await mkdir(directory, { recursive: true });
    const signingSeed = seedOf(name);
    const trainer = this.#options.trainer?.(name) ?? toyTrainer();
    const store = mortal(await fileSecaggStore(directory), process);
    process.participant = await Participant.start({
      ...{ service: this.#service(name, process), client: name, identity: identityFromSeed(signingSeed) },
      ...{ coordinatorKey: identity.publicKey, store: memoryStore(), trainer, clock: atOnce },
      privacy: { noiseOf: () => rngFromEntropy(), releases: await fileReleases(join(directory, 'releases')) },
      site: this.#options.site?.(name),
      notice: (message, fields) => this.notices.push({ client: name, message, fields }),
      ...{ secure: { signingSeed, policy: ANY, store, rng: rngFromEntropy() }, rng: rngFromEntropy(), version: '0' },
    });
    process.participant.done.catch(() => undefined);
  }

  async killClient(name: string): Promise<void> {
    const process = this.#clients.get(name)!;
    process.dead = true;
    for (const cut of process.cuts) cut();
    process.participant?.stop();
    await process.writing;
  }

  #service(name: string, process: Process): ParticipantService {
    const absent = () => Promise.reject(new Error('not here'));
    return {
      ...{ identify: absent, enrol: absent, uploadStatus: absent, upload: absent },
      async *download() {},
      connect: (toClient) => this.#connect(name, process, toClient),
    };
  }

  #connect(name: string, process: Process, toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    const coordinator = this.#coordinator;
    if (coordinator === undefined || process.dead) {
      queueMicrotask(() => toClient.close('nobody is there'));
      return { send: () => {}, close: () => {} };
    }
    let open = true;
    const cut = () => {
      open = false;
      process.cuts.delete(cut);
      queueMicrotask(() => {
        inbound.close('cut');
        if (!process.dead) toClient.close('cut');
      });
    };
    const passes = (way: Passing['way'], frame: ClientFrame | CoordinatorFrame) => {
      if (open && frame.kind === 'secure') this.#pass(way, name, frame);
      if (open && frame.kind === 'welcome') setImmediate(this.#welcomed); // when the coordinator is done with it
      return open;
    };
    const inbound = coordinator.connect({
      send: (frame) => queueMicrotask(() => passes('down', frame) && toClient.send(frame)),
      close: (reason) => queueMicrotask(() => open && toClient.close(reason)),
    });
    process.cuts.add(cut);
    return {
      send: (frame) => queueMicrotask(() => passes('up', frame) && inbound.send(frame)),
      close: (reason) => queueMicrotask(() => inbound.close(reason)),
    };
  }

  #pass(way: Passing['way'], client: string, { task, frame }: { task: TaskId; frame: Uint8Array }): void {
    const { type, aggregationId, body } = parseFrame(frame);
    const passing = { way, client, task, type, aggregation: hex(aggregationId), body };
    this.passed.push(passing);
    this.tap(passing);
  }
}

/** A store whose process may be killed: a write is whole or was never begun. */
function mortal(store: SecaggStore, process: Process): SecaggStore {
  const whileAlive = <T>(act: () => Promise<T>): Promise<T> => {
    if (process.dead) return new Promise(() => {});
    const done = act();
    process.writing = Promise.allSettled([process.writing, done]);
    return done;
  };
  return {
    mayMask: (id, task) => store.mayMask(id, task),
    find: (id) => whileAlive(() => store.find(id)),
    keep: (id, state) => whileAlive(() => store.keep(id, state)),
    bind: (id, task) => whileAlive(() => store.bind(id, task)),
  };
}
