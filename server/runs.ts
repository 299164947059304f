/**
 * The runs of a coordinator: those at work, each held whole; those that are completed, a row each, what else is asked of them
 * being read from the disk; and those that are damaged, named and set aside.
 */
import { basename } from 'node:path';
import pLimit from 'p-limit';
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import type { RunSpec } from '../shared/run/spec.js';
import type { PendingUpdate, RunInfo } from '../shared/service.js';
import type { Logger } from './log.js';
import { dropReceipt } from './round/fate.js';
import { infoOf } from './run/activity.js';
import { type DamagedRun, damagedRun, infoOfDamaged, isOfMachine } from './run/damaged.js';
import { createRun, openRun, type SharedDeps } from './run/directory.js';
import { type FinishedRun, lateUpdates, readFinished, writeFinished } from './run/finished.js';
import type { Run } from './run/run.js';
import { storedRuns } from './run/stored.js';
import { sendReceipts } from './send-receipts.js';
import { isFor } from './visible-runs.js';

/** Descriptors that a start takes for runs that have ended, at a time. */
const OPEN_FILES = 16;

/** What runs ask of their coordinator. */
interface RunsDeps {
  readonly log: Logger;
  readonly clock: Clock;
  /** What is lent to each run. */
  readonly lent: SharedDeps;
  /** The clients that are here; `policy` as in the engine's `online`. */
  here(): Iterable<{ readonly client: string; readonly policy?: string }>;
  /** A run has come to this coordinator; whatever its feed tells from now on is new. */
  adopted(run: Run): void;
  /** Resolves when there is all that is made of a run that has ended, as its report. */
  written(run: string): Promise<void>;
  fatal(error: FlError): void;
}

/** Runs by name. */
export class Runs {
  readonly #deps: RunsDeps;
  readonly #atWork = new Map<string, Run>();
  readonly #finished = new Map<string, FinishedRun>();
  readonly #damaged = new Map<string, DamagedRun>();
  readonly #retiring = new Set<Promise<void>>();

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  /** Opens what is below `folder`. @throws FlError: the disk as a whole is full, read-only ... */
  async openAll(folder: string): Promise<void> {
    const directories = await storedRuns(folder, this.#deps.log);
    const limit = pLimit(OPEN_FILES);
    const rows = await Promise.all(directories.map((path) => limit(() => readFinished(path, basename(path)))));
    for (const [i, directory] of directories.entries()) {
      const row = rows[i];
      if (row !== undefined) this.#finished.set(row.run, row);
      else await this.open(directory).catch((thrown) => this.#setAside(directory, thrown));
    }
  }

  /** Closes all; of a run that ends meanwhile all is written. */
  async close(): Promise<void> {
    for (const run of this.#atWork.values()) await run.close();
    await Promise.all(this.#retiring);
  }

  // ---- questions -------------------------------------------------------------------------------------------------

  /** Those at work. */
  atWork(): Iterable<Run> {
    return this.#atWork.values();
  }

  /** Undefined: it has ended, is damaged, or is not known. */
  get(id: string): Run | undefined {
    return this.#atWork.get(id);
  }

  /** Whether it is here in any state. */
  isKnown(id: string): boolean {
    return this.#atWork.has(id) || this.#finished.has(id) || this.#damaged.has(id);
  }

  /** Which labs a run is for; undefined: all, or it is not known. */
  clientsOf(id: string): readonly string[] | undefined {
    return this.#atWork.get(id)?.spec.engine.clients ?? this.#finished.get(id)?.clients;
  }

  /** It could not be opened. */
  isDamaged(id: string): boolean {
    return this.#damaged.has(id);
  }

  /** At work or ended: whole, as far as is known. */
  isWhole(id: string): boolean {
    return this.#atWork.has(id) || this.#finished.has(id);
  }

  /**
   * Where a run lies that is not running, when nothing is written of it any more; undefined: it is not here.
   * @throws FlError failed-precondition: it is running
   */
  async restingPlace(id: string): Promise<string | undefined> {
    const run = this.#atWork.get(id);
    const checkRests = () => {
      if (run?.state.status !== 'running') return;
      throw new FlError('failed-precondition', `run ${id} is running; first: starling run stop ${id}`);
    };
    checkRests();
    await run?.idle();
    checkRests(); // it may have been resumed a moment ago
    await this.#deps.written(id);
    await Promise.all(this.#retiring);
    return run?.directory ?? this.#finished.get(id)?.directory ?? this.#damaged.get(id)?.directory;
  }

  /** Names of those that are damaged. */
  damaged(): string[] {
    return [...this.#damaged.keys()];
  }

  /** How many there are to work on, which of them wait for space and why, which were set aside. */
  get state() {
    const running = [...this.#atWork.values()].filter(({ state }) => state.status === 'running');
    const paused = running.filter(({ state }) => state.paused !== undefined);
    return {
      running: running.length,
      paused: paused.map(({ id }) => id),
      why: paused[0]?.state.paused ?? '',
      damaged: this.damaged(),
    };
  }

  /** What is wrong with it; undefined: nothing is known. */
  damageOf(id: string): string | undefined {
    return this.#damaged.get(id)?.reason;
  }

  /** All of them, as an operator sees them. */
  rows(): RunInfo[] {
    const nowMs = this.#deps.clock.nowMs();
    const atWork = [...this.#atWork.values()].map((run) => infoOf(run, nowMs));
    return [...atWork, ...this.#finished.values(), ...[...this.#damaged.values()].map(infoOfDamaged)];
  }

  /** Why a run is not at work. */
  missing(id: string): FlError {
    const damaged = this.#damaged.get(id);
    if (damaged !== undefined) return new FlError('failed-precondition', `run ${id} is damaged: ${damaged.reason}`);
    return new FlError('not-found', this.#finished.has(id) ? `run ${id} has ended` : `run "${id}" is not known here`);
  }

  /** A run at work. @throws FlError as {@link missing} */
  need(id: string): Run {
    const run = this.#atWork.get(id);
    if (run === undefined) throw this.missing(id);
    return run;
  }

  /** Where an update of this run goes. @throws FlError as {@link missing} */
  destination(id: string): Pick<Run, 'updates' | 'traffic'> | ReturnType<typeof lateUpdates> {
    const info = this.#finished.get(id);
    return info === undefined ? this.need(id) : this.#late(info);
  }

  /** A client came back with updates: tells it of those of runs that have ended. */
  answerFinished(client: string, pending: readonly PendingUpdate[]): void {
    for (const run of new Set(pending.map((update) => update.run))) {
      const info = this.#finished.get(run);
      const ofRun = pending.filter((update) => update.run === run);
      if (info === undefined) continue;
      this.#late(info)
        .answerPending(client, ofRun)
        .catch(() => undefined); // not to be read now: it asks when it comes back
    }
  }

  /** The same of runs that this coordinator has never heard of: no client is to keep an update for ever. */
  answerUnknown(client: string, pending: readonly PendingUpdate[]): void {
    const receipts = pending.map(({ run, round, attempt, sha256: updateSha256 }) =>
      dropReceipt(run, { client, round, attempt, updateSha256 }, 'unknown'),
    );
    sendReceipts(receipts, this.#deps.lent);
  }

  #late(info: RunInfo): ReturnType<typeof lateUpdates> {
    return lateUpdates(info, (receipt) => sendReceipts([receipt], this.#deps.lent));
  }

  // ---- a run comes, ends, goes on --------------------------------------------------------------------------------

  /** A new one. @throws FlError as `createRun` */
  async create(spec: RunSpec, model: Uint8Array, { id, directory }: { id: string; directory: string }): Promise<Run> {
    const run = await createRun(directory, id, spec, model, this.#deps.lent);
    this.#adopt(run);
    run.post({ kind: 'present', clients: this.#hereFor(run).map(({ client }) => client) });
    return run;
  }

  /** One that an earlier process left, by default under its own name. @throws FlError as `openRun` */
  async open(directory: string, id = basename(directory)): Promise<Run> {
    const run = await openRun(directory, id, this.#deps.lent);
    this.#adopt(run);
    run.post({ kind: 'present', clients: this.#hereFor(run).map(({ client }) => client) });
    await this.#retire(run);
    return run;
  }

  /** One that was stopped or has failed goes on. @throws FlError as {@link missing} · failed-precondition: it must not */
  async resume(id: string): Promise<void> {
    if (this.#finished.has(id)) throw new FlError('failed-precondition', `run ${id} is completed`);
    const run = this.need(id);
    const { status, reason, forgotten } = run.state;
    if (status === 'completed') throw new FlError('failed-precondition', `run ${id} is completed`);
    if (forgotten !== undefined) throw new FlError('failed-precondition', reason);
    run.post({ kind: 'resume' });
    await run.idle();
  }

  #hereFor({ spec }: Run): { readonly client: string; readonly policy?: string }[] {
    return [...this.#deps.here()].filter(({ client }) => isFor(spec.engine.clients, client));
  }

  #adopt(run: Run): void {
    this.#atWork.set(run.id, run);
    let past = true; // an end that is replayed was told to an earlier process
    run.feed.subscribe((event) => {
      if (past || event.kind !== 'ended') return;
      const retired = this.#retire(run)
        .catch((error) => this.#deps.fatal(FlError.from(error)))
        .finally(() => this.#retiring.delete(retired));
      this.#retiring.add(retired);
    });
    past = false;
    this.#deps.adopted(run);
  }

  /** A run that is completed is not held any more: a row stays, and its files. Any other may go on, and heeds its clients. */
  async #retire(run: Run): Promise<void> {
    if (run.state.status !== 'completed') return;
    await run.idle();
    if (this.#atWork.get(run.id) !== run) return;
    const { clients } = run.spec.engine;
    const info = { ...infoOf(run, this.#deps.clock.nowMs()), ...(clients && { clients }) };
    this.#atWork.delete(run.id);
    this.#finished.set(run.id, info);
    await run.close();
    await this.#deps.written(run.id); // with its row it would not be opened again, and its report never written
    await writeFinished(info, run.state.modelSha256).catch((error) => {
      const { message: reason } = FlError.from(error);
      this.#deps.log.warn({ run: run.id, reason }, 'the next start has to read all of it');
    });
  }

  /** Closed, if it was open, and not known any more; its files stay. */
  async forget(id: string): Promise<void> {
    const run = this.#atWork.get(id);
    for (const known of [this.#atWork, this.#finished, this.#damaged]) known.delete(id);
    await run?.close();
  }

  /** What lies in `directory` is damaged: named, and not used. */
  keepDamaged(directory: string, thrown: unknown): DamagedRun {
    const damaged = damagedRun(directory, thrown);
    this.#damaged.set(damaged.run, damaged);
    return damaged;
  }

  #setAside(directory: string, thrown: unknown): void {
    if (isOfMachine(thrown)) throw thrown;
    const damaged = this.keepDamaged(directory, thrown);
    this.#deps.log.warn({ ...damaged }, 'a run is damaged: it is set aside, the others go on');
  }
}
