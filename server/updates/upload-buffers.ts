/**
 * Updates on their way in: one buffer for each, filled chunk by chunk, so that an upload that was cut goes on at its
 * offset. The buffers together never exceed a cap: an upload that does not fit waits, unread, until there is room, and
 * a cut one that nobody continues makes room first. Nobody keeps a place by being slow (pace.ts) or when its client's part
 * in the round is over.
 */
import { type Clock, systemClock } from '../../shared/clock.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { PendingUpdate } from '../../shared/service.js';
import { atPace, newStop, type Stop } from './pace.js';

const DEFAULT_IN_FLIGHT_BYTES = 1 << 30;

interface Slot {
  readonly key: string;
  readonly bytes: Uint8Array;
  offset: number;
  /** The stream that may write; a newer stream of the same upload takes over. */
  writer: Stop | undefined;
}

/** An upload that waits for room. */
interface Waiting {
  readonly client: string;
  readonly key: string;
  readonly sizeBytes: number;
  go(): void;
  refuse(error: FlError): void;
}

/** The places of uploads that are on their way, one for each client. */
export class UploadBuffers {
  readonly #capBytes: number;
  readonly #slots = new Map<string, Slot>();
  #queue: Waiting[] = [];
  readonly #clock: Clock;
  #heldBytes = 0;

  constructor(capBytes = DEFAULT_IN_FLIGHT_BYTES, clock: Clock = systemClock) {
    this.#capBytes = capBytes;
    this.#clock = clock;
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
   * stream took over, or {@link release}), unavailable (too slow); what the iterable throws passes through, and what came
   * so far is kept.
   */
  async receive(
    client: string,
    update: PendingUpdate & { readonly sizeBytes: number },
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Uint8Array> {
    if (!(Number.isSafeInteger(offset) && offset >= 0)) throw invalidArgument('offset', 'an integer >= 0', offset);
    const writer = newStop();
    const slot = await this.#open(client, update, writer);
    try {
      if (offset > slot.offset) throw invalidArgument('offset', `at most ${slot.offset} (what is here)`, offset);
      slot.offset = offset;
      for await (const chunk of atPace(chunks, { clock: this.#clock, stop: writer })) {
        requireWriter(slot, writer);
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
      requireWriter(slot, writer);
      if (slot.offset < slot.bytes.length) {
        throw invalidArgument('update', `${slot.bytes.length} bytes as declared`, slot.offset);
      }
      if (this.#slots.get(client) === slot) this.forget(client);
      return slot.bytes;
    } finally {
      if (slot.writer === writer) slot.writer = undefined;
      this.#admit();
    }
  }

  /** A client's part in a round of `run` is over: what is held of it, and what waits for room, is not wanted any more. */
  release(client: string, run: string): void {
    const isOver = (held: { readonly key: string }) => held.key.startsWith(`${run}/`);
    const over = new FlError('aborted', `upload: this client's part in the round of run ${run} is over`);
    const waiting = this.#queue.filter((one) => one.client === client && isOver(one));
    this.#queue = this.#queue.filter((one) => !waiting.includes(one));
    for (const { refuse } of waiting) refuse(over);
    const slot = this.#slots.get(client);
    if (slot !== undefined && isOver(slot)) this.forget(client, over);
    this.#admit(); // one that waited behind may fit
  }

  /** Drops what is held of a client, if anything; a stream that still writes ends with `error`. */
  forget(client: string, error = TAKEN_OVER): void {
    const slot = this.#slots.get(client);
    if (slot === undefined) return;
    slot.writer?.give(error);
    slot.writer = undefined;
    this.#slots.delete(client);
    this.#heldBytes -= slot.bytes.length;
    this.#admit();
  }

  /** The place of an upload, with `writer` as the stream that may write. */
  async #open(client: string, update: PendingUpdate & { readonly sizeBytes: number }, writer: Stop): Promise<Slot> {
    const { sizeBytes } = update;
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)) {
      throw invalidArgument('update.sizeBytes', 'an integer >= 0', sizeBytes);
    }
    if (sizeBytes > this.#capBytes) {
      throw new FlError('resource-exhausted', `update: expected at most ${this.#capBytes} bytes, got ${sizeBytes}`);
    }
    const key = keyOf(update);
    const held = this.#take(client, { key, sizeBytes, writer });
    if (held !== undefined) return held;
    this.forget(client);
    if (this.#queue.length === 0 && this.#makeRoom(sizeBytes)) this.#heldBytes += sizeBytes;
    else {
      await new Promise<void>((go, refuse) => this.#queue.push({ client, key, sizeBytes, go, refuse }));
      // Another stream of this client may have waited too, and come in first.
      const first = this.#take(client, { key, sizeBytes, writer });
      if (first !== undefined) {
        this.#heldBytes -= sizeBytes;
        return first;
      }
      this.forget(client);
    }
    const slot: Slot = { key, bytes: new Uint8Array(sizeBytes), offset: 0, writer };
    this.#slots.set(client, slot);
    return slot;
  }

  /** Hands the place that a client's upload has to a newer stream; undefined when there is none. */
  #take(client: string, about: { key: string; sizeBytes: number; writer: Stop }): Slot | undefined {
    const held = this.#slots.get(client);
    if (held?.key !== about.key || held.bytes.length !== about.sizeBytes) return undefined;
    held.writer?.give(TAKEN_OVER);
    held.writer = about.writer;
    return held;
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

const TAKEN_OVER = new FlError('aborted', 'upload: a newer stream of this client took over');

function requireWriter(slot: Slot, writer: Stop): void {
  if (slot.writer !== writer) throw TAKEN_OVER;
}

function keyOf({ run, round, attempt, sha256 }: PendingUpdate): string {
  return `${run}/${round}/${attempt}/${sha256}`;
}
