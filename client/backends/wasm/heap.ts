/**
 * The memory of tfjs-backend-wasm as our kernels see it: tensors by address, typed views, and scratch space that is kept
 * from one kernel call to the next.
 *
 * Views are taken anew on every access because any allocation may grow, and so detach, the memory.
 */

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import type { DataType, TensorInfo } from '@tensorflow/tfjs-core';
import { FlError } from '../../../shared/errors.js';
import { type HeapFunctions, instantiate } from './instantiate.js';

/** What Emscripten's module object offers beyond the types that the package declares (version 4.22.0, pinned). */
interface EmscriptenModule {
  readonly asm?: { readonly memory?: object };
  readonly HEAPU8: Uint8Array;
  readonly HEAP32: Int32Array;
  readonly HEAPF32: Float32Array;
  _malloc(sizeBytes: number): number;
  _free(address: number): void;
}

/**
 * Addresses are in bytes. Views hold until the next allocation; tensors belong to whoever gets them.
 * @throws FlError 'resource-exhausted' where scratch space finds no room, 'failed-precondition' (at construction) where
 * the package is not the version whose memory we know
 */
export class Heap {
  readonly run: HeapFunctions;
  readonly #backend: BackendWasm;
  readonly #module: EmscriptenModule;
  #arena = 0;
  #arenaBytes = 0;
  #scratchBytes = 0;
  #peakBytes = 0;
  /** Pieces that did not fit into the arena, oldest first. */
  readonly #overflow: { start: number; address: number }[] = [];

  constructor(backend: BackendWasm) {
    this.#backend = backend;
    this.#module = backend.wasm as unknown as EmscriptenModule;
    const memory = this.#module.asm?.memory;
    if (!memory)
      throw new FlError('failed-precondition', 'tfjs-backend-wasm hides its memory: expected version 4.22.0');
    this.run = instantiate(memory);
  }

  address(tensor: TensorInfo): number {
    return this.#backend.getMemoryOffset(tensor.dataId) >>> 0;
  }

  /** A new tensor of unspecified content; whoever gets it from the kernel owns it. */
  output(shape: readonly number[], dtype: DataType = 'float32'): TensorInfo {
    return this.#backend.makeOutput(shape as number[], dtype);
  }

  /** The same data under another shape, as a reference of its own. */
  alias(tensor: TensorInfo, shape: readonly number[]): TensorInfo {
    this.#backend.incRef(tensor.dataId);
    return { dataId: tensor.dataId, shape: shape as number[], dtype: tensor.dtype };
  }

  release(tensor: TensorInfo): void {
    this.#backend.disposeData(tensor.dataId);
  }

  floats(address: number, length: number): Float32Array {
    return this.#module.HEAPF32.subarray(address >>> 2, (address >>> 2) + length);
  }

  ints(address: number, length: number): Int32Array {
    return this.#module.HEAP32.subarray(address >>> 2, (address >>> 2) + length);
  }

  bytes(address: number, length: number): Uint8Array {
    return this.#module.HEAPU8.subarray(address, address + length);
  }

  /** Address of `sizeBytes` of scratch space, aligned to a cache line, until it is freed. Content unspecified. */
  scratch(sizeBytes: number): number {
    const size = alignUp(sizeBytes);
    const start = this.#scratchBytes;
    this.#scratchBytes += size;
    if (this.#scratchBytes <= this.#arenaBytes) return alignUp(this.#arena) + start;
    const address = this.#allocate(size);
    this.#overflow.push({ start, address });
    return alignUp(address);
  }

  /** A point in the use of scratch space to go back to. */
  get scratchMark(): number {
    return this.#scratchBytes;
  }

  /** Frees what was taken since `mark`. At the end (mark 0) the arena grows to the most that was ever asked for. */
  freeScratch(mark = 0): void {
    this.#peakBytes = Math.max(this.#peakBytes, this.#scratchBytes);
    this.#scratchBytes = mark;
    while (this.#overflow.length > 0 && this.#overflow[this.#overflow.length - 1].start >= mark) {
      this.#module._free(this.#overflow.pop()?.address ?? 0);
    }
    if (mark > 0 || this.#peakBytes <= this.#arenaBytes) return;
    if (this.#arena) this.#module._free(this.#arena);
    this.#arenaBytes = this.#peakBytes;
    this.#arena = this.#allocate(this.#arenaBytes);
  }

  /** Room for `sizeBytes` from the next multiple of a cache line on. */
  #allocate(sizeBytes: number): number {
    const address = this.#module._malloc(sizeBytes + LINE_BYTES) >>> 0;
    if (address === 0) throw new FlError('resource-exhausted', `the wasm heap has no room for ${sizeBytes} bytes`);
    return address;
  }
}

const LINE_BYTES = 64;

/** Up to a multiple of a cache line: a vector that straddles two lines takes two loads. */
function alignUp(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}
