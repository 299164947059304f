/**
 * The kernel's memory and its four operations: an accumulator of ring elements to which vectors and keystreams are added,
 * stochastic rounding, and shares. WebAssembly SIMD where the platform has it, the plain versions of wasm/reference.ts
 * otherwise; both give the same bits.
 *
 * Layout, bytes: [0, 64 KiB) first operand, [64, 128) second, [128, 192) result, then the accumulator. A keystream chunk
 * is copied in and added while it is still in the second-level cache; that copy is why large vectors never move twice.
 */
import { compile, createMemory, PAGE_BYTES, type WasmMemory } from '../wasm/platform.js';
import { CHUNK_BYTES } from './constants.js';
import type { CryptoSuite } from './suite.js';
import * as reference from './wasm/reference.js';
import { SECAGG_FUNCTIONS } from './wasm/source.js';

interface KernelExports {
  add(target: number, source: number, sizeBytes: number): void;
  sub(target: number, source: number, sizeBytes: number): void;
  quantize(
    target: number,
    source: number,
    random: number,
    sizeBytes: number,
    scale: number,
    max: number,
    weight: number,
  ): number;
  shares(coefficients: number, count: number, out: number, first: number, holders: number): void;
}

const FIRST = 0;
const SECOND = CHUNK_BYTES;
const RESULT = 2 * CHUNK_BYTES;
const ACCUMULATOR = 3 * CHUNK_BYTES;
const CHUNK_ELEMENTS = CHUNK_BYTES / 4;
const SHARE_BYTES = 64;

const padTo = (sizeBytes: number, unit: number): number => Math.ceil(sizeBytes / unit) * unit;

/** Compiled once, for all kernels of this thread. */
let compiled: ((memory: WasmMemory) => KernelExports) | 'unavailable' | undefined;

function compileOrNot(): NonNullable<typeof compiled> {
  try {
    return compile<KernelExports>(SECAGG_FUNCTIONS);
  } catch {
    return 'unavailable'; // no SIMD on this machine; the plain versions give the same bits
  }
}

/** A sign of +1 adds, -1 subtracts. */
export type Sign = 1 | -1;

/** One memory and what is done in it. Vectors of another length than the accumulator's throw RangeError. */
export interface Kernel {
  readonly kind: 'wasm' | 'plain';
  /** Sets the accumulator to `length` zeros. */
  reset(length: number): void;
  /** Adds a vector of the accumulator's length, modulo 2^32. */
  add(values: Uint32Array): void;
  /** The same from bytes at any alignment: little-endian 32-bit words, 4 bytes per element of the accumulator. */
  addBytes(bytes: Uint8Array): void;
  /** Adds the keystream of `key`, read as little-endian 32-bit words from chunk `firstChunk` on. */
  addMask(
    suite: CryptoSuite,
    mask: { readonly key: Uint8Array; readonly sign: Sign; readonly firstChunk?: number },
  ): void;
  /** A copy of the accumulator. */
  read(): Uint32Array;
  /** {@link reference.quantize} with `suite`'s keystream of `key` as the random bits. */
  quantize(suite: CryptoSuite, key: Uint8Array, input: Omit<reference.QuantizeInput, 'random'>): Int32Array | undefined;
  /** {@link reference.shares} over 32 lanes: `coefficients` are `threshold` rows of 64 bytes, the result one per holder. */
  shares(coefficients: Uint8Array, holders: number): Uint8Array;
}

/** A kernel of its own memory, for one thread; reuse it, its memory is kept. */
export function createKernel(kind: 'fastest' | 'plain' = 'fastest'): Kernel {
  if (kind === 'plain') return new PlainKernel();
  compiled ??= compileOrNot();
  if (compiled === 'unavailable') return new PlainKernel();
  const memory = createMemory(ACCUMULATOR);
  return new WasmKernel(memory, compiled(memory));
}

class WasmKernel implements Kernel {
  readonly kind = 'wasm';
  readonly #memory: WasmMemory;
  readonly #code: KernelExports;
  #length = 0;

  constructor(memory: WasmMemory, code: KernelExports) {
    this.#memory = memory;
    this.#code = code;
  }

  reset(length: number): void {
    const wanted = padTo(ACCUMULATOR + padTo(4 * length, SHARE_BYTES), PAGE_BYTES) - this.#memory.buffer.byteLength;
    if (wanted > 0) this.#memory.grow(wanted / PAGE_BYTES);
    this.#length = length;
    this.#bytes(ACCUMULATOR, padTo(4 * length, SHARE_BYTES)).fill(0);
  }

  add(values: Uint32Array): void {
    this.addBytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  addBytes(bytes: Uint8Array): void {
    if (bytes.length !== 4 * this.#length) throw lengthError(this.#length, bytes.length / 4);
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const part = bytes.subarray(at, at + CHUNK_BYTES);
      this.#bytes(FIRST, part.length).set(part);
      this.#code.add(ACCUMULATOR + at, FIRST, padTo(part.length, 64));
    }
  }

  addMask(suite: CryptoSuite, { key, sign, firstChunk }: { key: Uint8Array; sign: Sign; firstChunk?: number }): void {
    const stream = suite.keystream(key, firstChunk);
    const combine = sign === 1 ? this.#code.add : this.#code.sub;
    const window = this.#bytes(FIRST, CHUNK_BYTES);
    const sizeBytes = 4 * this.#length;
    for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
      const partBytes = Math.min(CHUNK_BYTES, sizeBytes - at);
      window.set(stream.next(partBytes));
      combine(ACCUMULATOR + at, FIRST, padTo(partBytes, 64));
    }
  }

  read(): Uint32Array {
    return new Uint32Array(this.#memory.buffer, ACCUMULATOR, this.#length).slice();
  }

  quantize(
    suite: CryptoSuite,
    key: Uint8Array,
    { values, scale, max, weight }: Omit<reference.QuantizeInput, 'random'>,
  ): Int32Array | undefined {
    const out = new Int32Array(values.length);
    const stream = suite.keystream(key);
    const floats = new Float32Array(this.#memory.buffer, SECOND, CHUNK_ELEMENTS);
    const results = new Int32Array(this.#memory.buffer, RESULT, CHUNK_ELEMENTS);
    const random = this.#bytes(FIRST, CHUNK_BYTES);
    for (let at = 0; at < values.length; at += CHUNK_ELEMENTS) {
      const part = values.subarray(at, at + CHUNK_ELEMENTS);
      random.set(stream.next(4 * part.length));
      floats.set(part);
      floats.fill(0, part.length, padTo(part.length, 4)); // the padding lanes are rounded too and must be finite
      const bad = this.#code.quantize(RESULT, SECOND, FIRST, padTo(4 * part.length, 16), scale, max, weight);
      if (bad !== 0) return undefined;
      out.set(results.subarray(0, part.length), at);
    }
    return out;
  }

  shares(coefficients: Uint8Array, holders: number): Uint8Array {
    const out = new Uint8Array(holders * SHARE_BYTES);
    const perCall = CHUNK_BYTES / SHARE_BYTES;
    this.#bytes(FIRST, coefficients.length).set(coefficients);
    for (let done = 0; done < holders; done += perCall) {
      const count = Math.min(perCall, holders - done);
      this.#code.shares(FIRST, coefficients.length / SHARE_BYTES, RESULT, done + 1, count);
      out.set(this.#bytes(RESULT, count * SHARE_BYTES), done * SHARE_BYTES);
    }
    this.#bytes(FIRST, 3 * CHUNK_BYTES).fill(0); // polynomials and shares do not stay in memory
    return out;
  }

  #bytes(at: number, sizeBytes: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, sizeBytes);
  }
}

class PlainKernel implements Kernel {
  readonly kind = 'plain';
  #sum = new Uint32Array(0);

  reset(length: number): void {
    this.#sum = new Uint32Array(length);
  }

  add(values: Uint32Array): void {
    if (values.length !== this.#sum.length) throw lengthError(this.#sum.length, values.length);
    reference.add(this.#sum, values);
  }

  addBytes(bytes: Uint8Array): void {
    this.add(new Uint32Array(new Uint8Array(bytes).buffer));
  }

  addMask(suite: CryptoSuite, { key, sign, firstChunk }: { key: Uint8Array; sign: Sign; firstChunk?: number }): void {
    const mask = words(suite, key, this.#sum.length, firstChunk);
    (sign === 1 ? reference.add : reference.sub)(this.#sum, mask);
  }

  read(): Uint32Array {
    return this.#sum.slice();
  }

  quantize(
    suite: CryptoSuite,
    key: Uint8Array,
    input: Omit<reference.QuantizeInput, 'random'>,
  ): Int32Array | undefined {
    return reference.quantize({ ...input, random: words(suite, key, input.values.length) });
  }

  shares(coefficients: Uint8Array, holders: number): Uint8Array {
    const lanes = new Uint16Array(new Uint8Array(coefficients).buffer);
    return new Uint8Array(reference.shares(lanes, SHARE_BYTES / 2, holders).buffer);
  }
}

/** The first `length` little-endian words of a keystream. */
function words(suite: CryptoSuite, key: Uint8Array, length: number, firstChunk?: number): Uint32Array {
  const bytes = new Uint8Array(4 * length);
  const stream = suite.keystream(key, firstChunk);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    bytes.set(stream.next(Math.min(CHUNK_BYTES, bytes.length - at)), at);
  }
  return new Uint32Array(bytes.buffer);
}

const lengthError = (expected: number, got: number): RangeError =>
  new RangeError(`vector: expected ${expected} elements, got ${got}`);
