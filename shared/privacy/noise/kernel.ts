/**
 * Long vectors of noise by WebAssembly: the same numbers from the same generator as by the plain versions of draw.ts and
 * rounded-gaussian.ts, which do the work where the platform has no SIMD.
 *
 * One memory for each thread, since each reserves gigabytes of address space. Layout: random words, ties, sums and means of
 * one block; room for tables, each the guide followed by the high parts of its thresholds; one vector of noise, last because
 * it may grow.
 */
import type { Rng } from '../../rng.js';
import { compile, createMemory, PAGE_BYTES, type WasmMemory } from '../../wasm/platform.js';
import { BLOCK_WORDS, breakTie, type Draw, plainDraw, type Thresholds } from './draw.js';
import { NOISE_FUNCTIONS, UNROLLED } from './kernel-source.js';

interface Exports {
  draw(
    words: number,
    end: number,
    out: number,
    guide: number,
    shift: number,
    factor: number,
    bias: number,
    ties: number,
  ): number;
  lattice(noise: number, end: number, sums: number, out: number, granularity: number, divisor: number): void;
}

const BLOCK_BYTES = 4 * BLOCK_WORDS;
const WORDS = 0;
const TIES = WORDS + BLOCK_BYTES;
const SUMS = TIES + BLOCK_BYTES;
const MEANS = SUMS + 2 * BLOCK_BYTES;
const TABLES = MEANS + BLOCK_BYTES;
/** Twice the largest table. When a further one finds no room, all are dropped, to come again as they are needed. */
const VECTOR = TABLES + 2 ** 24;

/** Shorter vectors are drawn by the plain version: a table's way into memory would take longer. */
const LEAST_LENGTH = BLOCK_WORDS;

/** By the kernel where there is one and the vector is long, by {@link plainDraw} otherwise. */
export function fastestDraw(table: Thresholds): Draw {
  const plain = plainDraw(table);
  return (out, rng, factor) => {
    const kernel = noiseKernel(out.length);
    if (kernel === undefined) plain(out, rng, factor);
    else kernel.draw(table, out, rng, factor);
  };
}

let kernelOfThread: NoiseKernel | 'unavailable' | undefined;

/** This thread's, if there is one and it pays for vectors of `length`. */
export function noiseKernel(length: number): NoiseKernel | undefined {
  if (length < LEAST_LENGTH) return undefined;
  kernelOfThread ??= createKernel();
  return kernelOfThread === 'unavailable' ? undefined : kernelOfThread;
}

function createKernel(): NoiseKernel | 'unavailable' {
  try {
    const memory = createMemory(VECTOR + BLOCK_BYTES);
    return new NoiseKernel(memory, compile<Exports>(NOISE_FUNCTIONS)(memory));
  } catch {
    return 'unavailable'; // no SIMD on this machine, or no room
  }
}

class NoiseKernel {
  readonly #memory: WasmMemory;
  readonly #code: Exports;
  /** Address of each table that is in memory. */
  readonly #tables = new Map<Thresholds, number>();
  #free = TABLES;

  constructor(memory: WasmMemory, code: Exports) {
    this.#memory = memory;
    this.#code = code;
  }

  /**
   * The vector in memory, which {@link draw} adds to in place; valid until the next one is asked for, or a draw is made into
   * any other vector. Content unspecified.
   */
  vector(length: number): Int32Array {
    const missing = VECTOR + 4 * (length + UNROLLED) - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE_BYTES));
    return new Int32Array(this.#memory.buffer, VECTOR, length);
  }

  /** What `plainDraw(table)` does. */
  draw(table: Thresholds, out: Int32Array, rng: Rng, factor: number): void {
    const inPlace = out.buffer === this.#memory.buffer;
    for (let from = 0; from < out.length; from += BLOCK_WORDS) {
      const part = out.subarray(from, from + BLOCK_WORDS);
      if (inPlace) this.#addBlock(table, part, rng, factor);
      else {
        const copy = new Int32Array(this.#memory.buffer, VECTOR, part.length);
        copy.set(part);
        this.#addBlock(table, copy, rng, factor);
        part.set(copy);
      }
    }
    new Uint8Array(this.#memory.buffer, WORDS, BLOCK_BYTES).fill(0); // they tell the noise
    if (!inPlace) new Uint8Array(this.#memory.buffer, VECTOR, BLOCK_BYTES).fill(0); // and so may a copy
  }

  #addBlock(table: Thresholds, out: Int32Array, rng: Rng, factor: number): void {
    const guide = this.#tables.get(table) ?? this.#place(table);
    const high = guide + 4 * table.guide.length;
    const bias = -Math.imul(factor, high / 4 + table.reach);
    const words = new Uint8Array(this.#memory.buffer, WORDS, 4 * out.length);
    rng.fill(words);
    const shift = 32 - table.guideBits;
    const end = this.#code.draw(WORDS, words.length, out.byteOffset, guide, shift, factor, bias, TIES);
    const entries = new Int32Array(this.#memory.buffer, WORDS, out.length);
    for (const tie of new Int32Array(this.#memory.buffer, TIES, (end - TIES) / 4)) {
      const at = (tie - WORDS) / 4;
      if (at >= out.length) break; // the kernel goes on to a multiple of its step
      const first = (entries[at] - high) / 4;
      out[at] += Math.imul(factor, breakTie(table, first, rng) - first);
    }
  }

  /** Copies a table into memory; its guide leads to addresses there. */
  #place(table: Thresholds): number {
    const sizeBytes = 4 * (table.guide.length + table.high.length);
    if (this.#free + sizeBytes > VECTOR) {
      this.#tables.clear();
      this.#free = TABLES;
    }
    const address = this.#free;
    this.#free += sizeBytes;
    this.#tables.set(table, address);
    const high = address + 4 * table.guide.length;
    const guide = new Int32Array(this.#memory.buffer, address, table.guide.length);
    for (let prefix = 0; prefix < guide.length; prefix++) guide[prefix] = high + 4 * table.guide[prefix];
    new Uint32Array(this.#memory.buffer, high, table.high.length).set(table.high);
    return address;
  }

  /** What `plainMean` of rounded-gaussian.ts does; `noise` is {@link vector}. */
  mean(
    sum: Float64Array,
    noise: Int32Array,
    { granularity, divisor, out }: { granularity: number; divisor: number; out: Float32Array },
  ): void {
    const sums = new Float64Array(this.#memory.buffer, SUMS, BLOCK_WORDS);
    const means = new Float32Array(this.#memory.buffer, MEANS, BLOCK_WORDS);
    for (let from = 0; from < sum.length; from += BLOCK_WORDS) {
      const length = Math.min(BLOCK_WORDS, sum.length - from);
      sums.set(sum.subarray(from, from + length));
      const start = noise.byteOffset + 4 * from;
      this.#code.lattice(start, start + 4 * length, SUMS, MEANS, granularity, divisor);
      out.set(means.subarray(0, length), from);
    }
  }
}
