/**
 * Models down and updates up, over whatever the network does: a cut transfer goes on at its offset, for as long as the
 * control stream lives. What is small goes over that stream and needs none of this.
 */
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import type { RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import { CHUNK_BYTES, type ParticipantService, SMALL_BYTES } from '../../shared/service.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';
import { type Layout, layoutOf, sizeOf } from '../../shared/tensors/params.js';
import { backoffMs, type Connection } from './connection.js';
import { equal, type ModelReader } from './verify-signed.js';

/** A model's file that came with a plan, and the hash that the plan gave it. */
export interface SmallModel {
  readonly sha256: string;
  readonly file: Uint8Array;
}

interface TransferDeps {
  readonly service: ParticipantService;
  readonly identity: Identity;
  readonly models: ModelReader;
  /** For the jitter of waits. */
  readonly rng: Rng;
  readonly connection: Pick<Connection, 'session' | 'send' | 'after'>;
  notice(message: string, fields: object): void;
}

/** Moves large files over calls of their own, under the session of the control stream. */
export class Transfers {
  readonly #deps: TransferDeps;

  constructor(deps: TransferDeps) {
    this.#deps = deps;
  }

  /** The plan's model, verified; `small` is what came with a plan. */
  async model(plan: RoundPlan, small: SmallModel | undefined, signal?: AbortSignal): Promise<Float32Array> {
    const layout = layoutOf(plan.work.model);
    const came = small?.sha256 === plan.modelSha256 ? small.file : undefined;
    const file = came?.length === plan.modelSizeBytes ? came : await this.#download(plan, layout, signal);
    return this.#deps.models.read(file, { layout, sha256: plan.modelSha256 });
  }

  /** The model's file; a cut download goes on at its offset. */
  async #download(plan: RoundPlan, layout: Layout, signal?: AbortSignal): Promise<Uint8Array> {
    const { run, modelSha256, modelSizeBytes } = plan;
    const limit = 4 * sizeOf(layout) + 2 * 1024 * 1024; // the values and at most 1 MiB of header, rounded up
    if (modelSizeBytes > limit) throw new FlError('invalid-argument', `model: expected at most ${limit} bytes`);
    const known = this.#deps.models.known(modelSha256);
    const file = known?.length === modelSizeBytes ? known : new Uint8Array(modelSizeBytes);
    let offset = 0;
    await this.#persist(signal, async (session) => {
      const request = { run, sha256: modelSha256, offset };
      for await (const chunk of this.#deps.service.download(session, request)) {
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
      const signature = this.#deps.identity.sign(signedBytes('update', header));
      if (header.sizeBytes <= SMALL_BYTES) {
        this.#deps.connection.send({ kind: 'small-update', signed: { header, signature }, data: bytes });
        return; // the receipt answers
      }
      let first = true;
      await this.#persist(undefined, async (session) => {
        const offset = first ? 0 : await this.#deps.service.uploadStatus(session, update);
        first = false;
        const chunks = chunksOf(bytes, offset);
        const reply = await this.#deps.service.upload(session, { header, signature }, offset, chunks);
        if (reply.outcome === 'rejected') this.#deps.notice('update rejected', { ...update, reason: reply.detail });
      });
    } catch (error) {
      this.#deps.notice('upload failed', { ...update, reason: FlError.from(error).message });
    }
  }

  /** Tries again while the fault is the network's and the stream lives. */
  async #persist(signal: AbortSignal | undefined, attempt: (session: Uint8Array) => Promise<void>): Promise<void> {
    for (let failures = 0; ; failures++) {
      if (signal?.aborted) throw new FlError('aborted', 'withdrawn');
      const session = this.#deps.connection.session;
      if (session === undefined) throw new FlError('unavailable', 'not connected');
      try {
        return await attempt(session);
      } catch (error) {
        // A call may be older than the session of now; then whatever it was told means nothing.
        if (FlError.from(error).code !== 'unavailable' && session === this.#deps.connection.session) throw error;
        const delayMs = backoffMs(failures, this.#deps.rng);
        await new Promise<void>((resolve) => this.#deps.connection.after(delayMs, resolve));
      }
    }
  }
}

async function* chunksOf(bytes: Uint8Array, from: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
