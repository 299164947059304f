/**
 * Takes the masks off large sums on threads of its own, each with a range of coordinates: the keystream of a mask can start
 * anywhere, so ranges need nothing of one another and the result is the same to the bit, however many threads there are.
 * Meanwhile the event loop goes on: clients and operators are answered.
 *
 * Threads start when the first large sum comes and are kept; they hold no process alive unless they work. A small sum is
 * done at once, where it is: handing it over would take longer.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FlError } from '../shared/errors.js';
import { createKernel, type MaskTerm, nodeSuite, RANGE_ELEMENTS, unmaskRange } from '../shared/secagg/index.js';
import { type FromUnmaskWorker, KEY_BYTES, type ToUnmaskWorker } from './unmask-messages.js';

/**
 * Elements times masks from which threads are used: 2^22 keep one thread busy for 5 to 12 ms, which the event loop can
 * spare. Handing over takes about 1 ms, starting a thread 50 to 90 ms, once; two threads gain on one from 2^23 on.
 */
const LEAST_WORK = 2 ** 22;

export interface UnmaskJob {
  /** The sum of masked vectors; not changed. */
  readonly masked: Uint32Array;
  readonly ringBits: number;
  readonly masks: readonly MaskTerm[];
}

interface Pending {
  readonly worker: Worker;
  resolve(integers: Int32Array): void;
  reject(error: FlError): void;
}

export class UnmaskPool {
  readonly #threads: number;
  readonly #leastWork: number;
  readonly #workers: Worker[] = [];
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed = false;

  constructor({ threads = availableParallelism(), leastWork = LEAST_WORK } = {}) {
    this.#threads = threads;
    this.#leastWork = leastWork;
  }

  /** The sum without its masks, as signed integers. @throws FlError aborted when closed, internal when a thread dies */
  async unmask({ masked, ringBits, masks }: UnmaskJob): Promise<Int32Array> {
    if (this.#closed) throw closed();
    if (masked.length * masks.length < this.#leastWork) return unmaskHere({ masked, ringBits, masks });
    const { keys, signs } = packed(masks);
    const ranges = rangesOf(masked.length, this.#threads).map(({ first, end }, i) => {
      const message = { id: ++this.#lastId, first, masked: masked.slice(first, end), ringBits, keys, signs };
      return this.#ask(i, message).then((integers) => ({ first, integers }));
    });
    const out = new Int32Array(masked.length);
    for (const { first, integers } of await Promise.all(ranges)) out.set(integers, first);
    return out;
  }

  /** Ends the threads; what is under way rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#fail(closed());
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }

  #ask(thread: number, message: ToUnmaskWorker): Promise<Int32Array> {
    const worker = this.#workers[thread] ?? this.#start(thread);
    worker.ref();
    return new Promise((resolve, reject) => {
      this.#pending.set(message.id, { worker, resolve, reject });
      worker.postMessage(message, [message.masked.buffer as ArrayBuffer]);
    });
  }

  #start(thread: number): Worker {
    const worker = new Worker(new URL('./unmask-worker.js', import.meta.url));
    this.#workers[thread] = worker;
    worker.on('message', ({ id, integers }: FromUnmaskWorker) => {
      this.#pending.get(id)?.resolve(integers);
      this.#pending.delete(id);
      if (![...this.#pending.values()].some((pending) => pending.worker === worker)) worker.unref();
    });
    worker.on('error', (cause) => {
      if (this.#workers[thread] === worker) delete this.#workers[thread]; // the next sum gets a new one
      this.#fail(new FlError('internal', 'an unmasking thread died', { cause }), worker);
    });
    return worker;
  }

  #fail(error: FlError, of?: Worker): void {
    for (const [id, { worker, reject }] of this.#pending) {
      if (of !== undefined && worker !== of) continue;
      this.#pending.delete(id);
      reject(error);
    }
  }
}

/** Scratch memory of this thread. */
const kernel = createKernel();

/** The same on this thread: what a pool must agree with. */
export function unmaskHere({ masked, ringBits, masks }: UnmaskJob): Int32Array {
  return unmaskRange({ suite: nodeSuite, kernel, ringBits }, { first: 0, masked }, masks);
}

/** At most `count` ranges of about the same size that begin where a keystream can. */
function rangesOf(elements: number, count: number): { first: number; end: number }[] {
  const chunks = Math.ceil(elements / RANGE_ELEMENTS);
  const ranges = Math.min(count, chunks);
  return Array.from({ length: ranges }, (_, i) => ({
    first: Math.floor((i * chunks) / ranges) * RANGE_ELEMENTS,
    end: Math.min(elements, Math.floor(((i + 1) * chunks) / ranges) * RANGE_ELEMENTS),
  }));
}

function packed(masks: readonly MaskTerm[]): { keys: Uint8Array; signs: Int8Array } {
  const keys = new Uint8Array(masks.length * KEY_BYTES);
  masks.forEach(({ key }, i) => {
    keys.set(key, i * KEY_BYTES);
  });
  return { keys, signs: Int8Array.from(masks, ({ sign }) => sign) };
}

const closed = (): FlError => new FlError('aborted', 'the unmasking threads have been closed');
