/** The part of the platform's WebAssembly that the kernels use; TypeScript declares it with the DOM only. */
import { encodeModule, type Func } from './assembler.js';

/** Bytes by which a memory is measured and grows. */
export const PAGE_BYTES = 65_536;

/** A WebAssembly.Memory; growing it detaches `buffer` and every view of it. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface WebAssemblyApi {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Memory: new (limits: { initial: number }) => WasmMemory;
  Instance: new (module: object, imports: { env: { memory: object } }) => { exports: unknown };
}

const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };

/** Zeros. @throws RangeError where the platform has no room, TypeError where it has no WebAssembly */
export function createMemory(sizeBytes: number): WasmMemory {
  return new WebAssembly.Memory({ initial: Math.ceil(sizeBytes / PAGE_BYTES) });
}

/**
 * Compiles the functions; what it returns instantiates them on a memory, any number of times. `Exports` declares the
 * functions for TypeScript, which cannot see into their bodies.
 * @throws WebAssembly.CompileError naming a function that is not valid, or where the platform has no SIMD; TypeError where
 * it has no WebAssembly
 */
export function compile<Exports>(
  functions: Readonly<Record<keyof Exports & string, Func>>,
): (memory: object) => Exports {
  const module = new WebAssembly.Module(encodeModule(functions));
  return (memory) => new WebAssembly.Instance(module, { env: { memory } }).exports as Exports;
}
