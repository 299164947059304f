/**
 * The one way of an update into a run, in pieces over a call of its own or whole in a frame: signature, header, bytes,
 * hash, offer. A header that decides by itself is answered before a byte is read.
 */
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import type { PendingUpdate, SignedUpdateHeader, UploadReply } from '../../shared/service.js';
import { sha256Hex, signedBytes, verifySignature } from '../../shared/signing/identity.js';
import type { UpdateIntake } from './intake.js';
import { UploadBuffers } from './upload-buffers.js';

/** A run that takes updates; `traffic.up` counts their bytes. */
interface Destination {
  readonly updates: Pick<UpdateIntake, 'answerHeader' | 'offer'>;
  readonly traffic: { up: number };
}

/** What a receiver asks of its coordinator. */
interface ReceiverDeps {
  /** For all uploads together, in bytes; absent: 1 GiB. */
  readonly inFlightBytes?: number;
  /** By which an upload is too slow. */
  readonly clock: Clock;
  /** Ed25519. @throws FlError permission-denied: nobody of that name is enrolled */
  publicKeyOf(client: string): Uint8Array;
  /** @throws FlError not-found */
  runOf(id: string, client: string): Destination;
}

/** Receives the updates of all runs; what came of an upload that was cut is kept for the next try. */
export class UpdateReceiver {
  readonly #deps: ReceiverDeps;
  readonly #buffers: UploadBuffers;

  constructor(deps: ReceiverDeps) {
    this.#deps = deps;
    this.#buffers = new UploadBuffers(deps.inFlightBytes, deps.clock);
  }

  /** How many bytes of this update are here. */
  status(client: string, update: PendingUpdate): number {
    return this.#buffers.status(client, update);
  }

  /**
   * An upload from byte `offset` on. Resolves when the update is in the running sum, or rejected.
   * @throws FlError permission-denied (not the client's signature), not-found (no such run), corrupt (not its hash), and
   *   what {@link UploadBuffers.receive} throws
   */
  async receive(
    client: string,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<UploadReply> {
    const run = this.#destinationOf(client, signed);
    const { header } = signed;
    const counted = async function* () {
      for await (const chunk of chunks) {
        run.traffic.up += chunk.length;
        yield chunk;
      }
    };
    return offerTo(run, client, signed, () => this.#buffers.receive(client, header, offset, counted()));
  }

  /** A client's part in a round of `run` is over: whatever of it is on its way is not read on, and its place is free. */
  release(client: string, run: string): void {
    this.#buffers.release(client, run);
  }

  /** The same as {@link receive} for an update that came whole. */
  async receiveWhole(client: string, signed: SignedUpdateHeader, bytes: Uint8Array): Promise<UploadReply> {
    const run = this.#destinationOf(client, signed);
    run.traffic.up += bytes.length;
    return offerTo(run, client, signed, async () => bytes);
  }

  #destinationOf(client: string, { header, signature }: SignedUpdateHeader): Destination {
    if (!verifySignature(this.#deps.publicKeyOf(client), signedBytes('update', header), signature)) {
      throw new FlError('permission-denied', `update header: the signature is not by client "${client}"`);
    }
    return this.#deps.runOf(header.run, client);
  }
}

async function offerTo(
  { updates }: Destination,
  client: string,
  { header }: SignedUpdateHeader,
  read: () => Promise<Uint8Array>,
): Promise<UploadReply> {
  const early = await updates.answerHeader(client, header);
  if (early !== undefined) return early;
  let bytes: Uint8Array;
  try {
    bytes = await read();
  } catch (thrown) {
    // Released: what became of the update meanwhile is its answer, after which the client forgets it.
    const late = FlError.from(thrown).code === 'aborted' ? await updates.answerHeader(client, header) : undefined;
    if (late !== undefined) return late;
    throw thrown;
  }
  const got = sha256Hex(bytes);
  if (got !== header.sha256) throw new FlError('corrupt', `update: expected sha256 ${header.sha256}, got ${got}`);
  return updates.offer(client, header, bytes);
}
