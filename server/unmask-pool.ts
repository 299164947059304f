/**
 * Takes the masks off large sums on threads of its own, each with a range of coordinates: the keystream of a mask can start
 * anywhere, so ranges need nothing of one another and the result is the same to the bit, however many threads there are.
 * Meanwhile the event loop goes on: clients and operators are answered.
 *
 * Threads start when the first large sum comes and are kept; they hold no process alive unless they work. A small sum is
 * done at once, where it is: handing it over would take longer.
 */
import { availableParallelism } from 'node:os';
import { KEY_BYTES } from '../shared/secagg/constants.js';
import { createKernel, type MaskTerm, nodeSuite, RANGE_ELEMENTS, unmaskRange } from '../shared/secagg/index.js';
import { WorkerPool } from '../shared/workers/pool.js';
import type { UnmaskRange } from './unmask-worker.js';

/**
 * Elements times masks from which threads are used: 2^22 keep one thread busy for 5 to 12 ms, which the event loop can
 * spare. Handing over takes about 1 ms, starting a thread 50 to 90 ms, once; two threads gain on one from 2^23 on.
 */
const LEAST_WORK = 2 ** 22;

/** A sum, and the masks in it. */
export interface UnmaskJob {
  /** The sum of masked vectors; not changed. */
  readonly masked: Uint32Array;
  readonly ringBits: number;
  readonly masks: readonly MaskTerm[];
}

/** Unmasks for all runs of a coordinator. */
export class UnmaskPool {
  readonly #threads: number;
  readonly #leastWork: number;
  readonly #pool: WorkerPool<UnmaskRange, Int32Array>;
  #isClosed = false;

  constructor({ threads = availableParallelism(), leastWork = LEAST_WORK } = {}) {
    this.#threads = threads;
    this.#leastWork = leastWork;
    this.#pool = new WorkerPool({
      file: new URL('./unmask-worker.js', import.meta.url),
      threads,
      names: { pool: 'the unmasking pool', thread: 'an unmasking thread' },
    });
  }

  /** The sum without its masks, as signed integers. @throws FlError aborted when closed, internal when a thread dies */
  async unmask({ masked, ringBits, masks }: UnmaskJob): Promise<Int32Array> {
    const isSmall = masked.length * masks.length < this.#leastWork;
    if (isSmall && !this.#isClosed) return unmaskHere({ masked, ringBits, masks });
    const { keys, signs } = packed(masks);
    const ranges = rangesOf(masked.length, this.#threads).map(async ({ first, end }) => {
      const range = { first, masked: masked.slice(first, end), ringBits, keys, signs };
      return { first, integers: await this.#pool.run(range, { transfer: [range.masked.buffer] }) };
    });
    const out = new Int32Array(masked.length);
    for (const { first, integers } of await Promise.all(ranges)) out.set(integers, first);
    return out;
  }

  /** Ends the threads; what is under way rejects. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#pool.close();
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
