/**
 * Models down and updates up, over whatever the network does: a cut transfer goes on at its offset, for as long as the
 * control stream lives. What is small goes over that stream and needs none of this.
 */
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import type { RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import { CHUNK_BYTES, type ClientFrame, type ParticipantService, SMALL_BYTES } from '../../shared/service.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';
import { type Layout, layoutOf, sizeOf } from '../../shared/tensors/params.js';
import { equal, type ModelReader } from './verify-signed.js';

/** The first wait is 0.5 s, then twice as long each time up to 30 s. */
const FIRST_BACKOFF_MS = 500;
const LAST_BACKOFF_MS = 30_000;

/** How long to wait after `failures` failures before this one: drawn between half and the whole of the ceiling. */
export function backoffMs(failures: number, rng: Rng): number {
  const ceilingMs = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
  return ceilingMs * (0.5 + 0.5 * rng.uniform());
}

/** A model's file that came with a plan, and the hash that the plan gave it. */
export interface SmallModel {
  readonly sha256: string;
  readonly file: Uint8Array;
}

export interface TransferSurroundings {
  readonly service: ParticipantService;
  readonly identity: Identity;
  readonly models: ModelReader;
  readonly rng: Rng;
  /** Of the control stream of now; undefined while there is none. */
  session(): Uint8Array | undefined;
  sendFrame(frame: ClientFrame): void;
  after(delayMs: number, fire: () => void): void;
  notice(message: string, fields: object): void;
}

export class Transfers {
  readonly #around: TransferSurroundings;

  constructor(around: TransferSurroundings) {
    this.#around = around;
  }

  /** The plan's model, verified; `small` is what came with a plan. */
  async model(plan: RoundPlan, small: SmallModel | undefined, signal?: AbortSignal): Promise<Float32Array> {
    const layout = layoutOf(plan.work.model);
    const came = small?.sha256 === plan.modelSha256 ? small.file : undefined;
    const file = came?.length === plan.modelSizeBytes ? came : await this.#download(plan, layout, signal);
    return this.#around.models.read(file, { layout, sha256: plan.modelSha256 });
  }

  /** The model's file; a cut download goes on at its offset. */
  async #download(plan: RoundPlan, layout: Layout, signal?: AbortSignal): Promise<Uint8Array> {
    const { run, modelSha256, modelSizeBytes } = plan;
    const limit = 4 * sizeOf(layout) + 2 * 1024 * 1024; // the values and at most 1 MiB of header, rounded up
    if (modelSizeBytes > limit) throw new FlError('invalid-argument', `model: expected at most ${limit} bytes`);
    const known = this.#around.models.known(modelSha256);
    const file = known?.length === modelSizeBytes ? known : new Uint8Array(modelSizeBytes);
    let offset = 0;
    await this.#persist(signal, async (session) => {
      const request = { run, sha256: modelSha256, offset };
      for await (const chunk of this.#around.service.download(session, request)) {
        if (offset + chunk.length > file.length) throw new FlError('corrupt', 'model: longer than the plan says');
        if (file !== known) file.set(chunk, offset);
        else if (!equal(chunk, file.subarray(offset, offset + chunk.length)))
          throw new FlError('corrupt', 'model: not the file that its hash stood for before');
        offset += chunk.length;
      }
      if (offset < file.length) throw new FlError('unavailable', 'model: the download was cut');
    });
    return file;
  }

  /** Sends bytes under their header, going on where a broken call stopped. */
  async send(header: UpdateHeader, bytes: Uint8Array): Promise<void> {
    const { run, round, attempt, sha256 } = header;
    const update = { run, round, attempt, sha256 };
    try {
      const signature = this.#around.identity.sign(signedBytes('update', header));
      if (header.sizeBytes <= SMALL_BYTES) {
        this.#around.sendFrame({ kind: 'small-update', signed: { header, signature }, data: bytes });
        return; // the receipt answers
      }
      let first = true;
      await this.#persist(undefined, async (session) => {
        const offset = first ? 0 : await this.#around.service.uploadStatus(session, update);
        first = false;
        const chunks = chunksOf(bytes, offset);
        const reply = await this.#around.service.upload(session, { header, signature }, offset, chunks);
        if (reply.outcome === 'rejected') this.#around.notice('update rejected', { ...update, reason: reply.detail });
      });
    } catch (error) {
      this.#around.notice('upload failed', { ...update, reason: FlError.from(error).message });
    }
  }

  /** Tries again while the fault is the network's and the stream lives. */
  async #persist(signal: AbortSignal | undefined, attempt: (session: Uint8Array) => Promise<void>): Promise<void> {
    for (let failures = 0; ; failures++) {
      if (signal?.aborted) throw new FlError('aborted', 'withdrawn');
      const session = this.#around.session();
      if (session === undefined) throw new FlError('unavailable', 'not connected');
      try {
        return await attempt(session);
      } catch (error) {
        // A call may be older than the session of now; then whatever it was told means nothing.
        if (FlError.from(error).code !== 'unavailable' && session === this.#around.session()) throw error;
        const delayMs = backoffMs(failures, this.#around.rng);
        await new Promise<void>((resolve) => this.#around.after(delayMs, resolve));
      }
    }
  }
}

async function* chunksOf(bytes: Uint8Array, from: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
