/**
 * Assembles our SIMD kernels and instantiates them on the heap of tfjs-backend-wasm, so that they work on its tensors in
 * place. One instance per back end, that is, per thread. Takes a few milliseconds.
 */
import { ModuleBuilder } from '../../../shared/wasm/assembler.js';
import {
  addGatherKernel,
  addPackKernel,
  addPadKernel,
  addTransposeKernel,
  addUnpackKernel,
} from './kernels-src/copy.js';
import { addMaps, type MapName } from './kernels-src/map.js';
import { addOuterKernel, addRowsKernel, TILE_ROWS } from './kernels-src/matmul.js';
import { addAveragePoolWindow, addMaxPoolWindow } from './kernels-src/pool.js';
import { addColumnSums, addRowSums, addSpread } from './kernels-src/reduce.js';

export type Instruction = (...args: number[]) => void;

type Name = 'pack' | 'transpose' | 'unpack' | 'padImages' | 'gatherRows';
type Reduction = 'columnSums' | 'rowSums' | 'spread' | 'maxPoolWindow' | 'averagePoolWindow';

export interface Instructions extends Readonly<Record<Name | Reduction | MapName, Instruction>> {
  /** Index n - 1: the tile of n rows. */
  readonly rows: readonly Instruction[];
  readonly outer: readonly Instruction[];
}

/** The part of the WebAssembly API used here; Node's types do not declare it. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Record<string, Instruction> };
}

/** `memory` is the WebAssembly.Memory that holds the tensors; it may grow afterwards. */
export function instantiate(memory: object): Instructions {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;
  const { exports } = new Instance(new Module(assemble()), { env: { memory } });
  const sizes = Array.from({ length: TILE_ROWS }, (_, index) => index + 1);
  return {
    ...(exports as Record<Name | Reduction | MapName, Instruction>),
    rows: sizes.map((n) => exports[`rows${n}`]),
    outer: sizes.map((n) => exports[`outer${n}`]),
  };
}

function assemble(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  for (let rows = 1; rows <= TILE_ROWS; rows++) {
    addRowsKernel(module, rows);
    addOuterKernel(module, rows);
  }
  for (const add of [addPackKernel, addTransposeKernel, addUnpackKernel, addPadKernel, addGatherKernel]) add(module);
  for (const add of [addColumnSums, addRowSums, addSpread, addMaps, addMaxPoolWindow, addAveragePoolWindow])
    add(module);
  return module.encode();
}
