/**
 * Updates on their way in: one buffer for each, filled chunk by chunk, so that an upload that was cut goes on at its
 * offset. The buffers together never exceed a cap: an upload that does not fit waits, unread, until there is room, and
 * a cut one that nobody continues makes room first.
 */
import { FlError, invalidArgument } from '../shared/errors.js';
import type { PendingUpdate } from '../shared/service.js';

export const DEFAULT_IN_FLIGHT_BYTES = 1 << 30;

interface Slot {
  readonly key: string;
  readonly bytes: Uint8Array;
  offset: number;
  /** The stream that may write; a newer stream of the same upload takes over. */
  writer: symbol | undefined;
}

export class Uploads {
  readonly #capBytes: number;
  readonly #slots = new Map<string, Slot>();
  readonly #queue: { sizeBytes: number; go: () => void }[] = [];
  #heldBytes = 0;

  constructor(capBytes = DEFAULT_IN_FLIGHT_BYTES) {
    this.#capBytes = capBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bytes of this update that are here. */
  status(client: string, update: PendingUpdate): number {
    const slot = this.#slots.get(client);
    return slot?.key === keyOf(update) ? slot.offset : 0;
  }

  /**
   * Takes an upload from `offset` on and resolves with all its bytes, which the caller owns from then on.
   * @throws FlError invalid-argument (more or fewer bytes than declared, an offset that is not here), aborted (a newer
   * stream took over); what the iterable throws passes through, and what came so far is kept.
   */
  async receive(
    client: string,
    update: PendingUpdate & { readonly sizeBytes: number },
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Uint8Array> {
    const slot = await this.#open(client, update);
    const writer = Symbol(client);
    slot.writer = writer;
    try {
      if (offset > slot.offset) throw invalidArgument('offset', `at most ${slot.offset} (what is here)`, offset);
      slot.offset = offset;
      for await (const chunk of chunks) {
        if (slot.writer !== writer) throw new FlError('aborted', 'upload: a newer stream of this client took over');
        if (slot.offset + chunk.length > slot.bytes.length) {
          throw invalidArgument(
            'update',
            `${slot.bytes.length} bytes as declared`,
            `at least ${slot.offset + chunk.length}`,
          );
        }
        slot.bytes.set(chunk, slot.offset);
        slot.offset += chunk.length;
      }
      if (slot.offset < slot.bytes.length) {
        throw invalidArgument('update', `${slot.bytes.length} bytes as declared`, slot.offset);
      }
      this.forget(client);
      return slot.bytes;
    } finally {
      if (slot.writer === writer) slot.writer = undefined;
      this.#admit();
    }
  }

  /** Drops what is held of a client, if anything. */
  forget(client: string): void {
    const slot = this.#slots.get(client);
    if (slot === undefined) return;
    this.#slots.delete(client);
    this.#heldBytes -= slot.bytes.length;
    this.#admit();
  }

  async #open(client: string, update: PendingUpdate & { readonly sizeBytes: number }): Promise<Slot> {
    const { sizeBytes } = update;
    if (sizeBytes > this.#capBytes) {
      throw new FlError('resource-exhausted', `update: expected at most ${this.#capBytes} bytes, got ${sizeBytes}`);
    }
    const key = keyOf(update);
    const held = this.#slots.get(client);
    if (held?.key === key && held.bytes.length === sizeBytes) return held;
    this.forget(client);
    if (!this.#makeRoom(sizeBytes)) await new Promise<void>((go) => this.#queue.push({ sizeBytes, go }));
    else this.#heldBytes += sizeBytes;
    const slot: Slot = { key, bytes: new Uint8Array(sizeBytes), offset: 0, writer: undefined };
    this.#slots.set(client, slot);
    return slot;
  }

  /** Whether `sizeBytes` fit now, after dropping cut uploads, oldest first, if they must go. */
  #makeRoom(sizeBytes: number): boolean {
    for (const [client, slot] of this.#slots) {
      if (this.#heldBytes + sizeBytes <= this.#capBytes) break;
      if (slot.writer !== undefined) continue;
      this.#slots.delete(client);
      this.#heldBytes -= slot.bytes.length;
    }
    return this.#heldBytes + sizeBytes <= this.#capBytes;
  }

  #admit(): void {
    while (this.#queue.length > 0 && this.#makeRoom(this.#queue[0].sizeBytes)) {
      const { sizeBytes, go } = this.#queue.shift()!;
      this.#heldBytes += sizeBytes;
      go();
    }
  }
}

function keyOf({ run, round, attempt, sha256 }: PendingUpdate): string {
  return `${run}/${round}/${attempt}/${sha256}`;
}
