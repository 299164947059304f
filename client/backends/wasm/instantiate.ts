/**
 * Assembles our SIMD kernels and instantiates them on the heap of tfjs-backend-wasm, so that they work on its tensors in
 * place. One instance per back end, that is, per thread. Takes a few milliseconds.
 */
import { compile } from '../../../shared/wasm/platform.js';
import { gatherRows, pack, padImages, transpose, unpack } from './kernels-src/copy.js';
import { maps } from './kernels-src/map.js';
import { outerTile, rowsTile, TILE_ROWS } from './kernels-src/matmul.js';
import { averagePoolWindow, maxPoolWindow } from './kernels-src/pool.js';
import { columnSums, rowSums, spread } from './kernels-src/reduce.js';

const COPIES = { pack, transpose, unpack, padImages, gatherRows };
const SUMS = { columnSums, rowSums, spread };
const POOLS = { maxPoolWindow, averagePoolWindow };
type Name = keyof typeof COPIES | keyof typeof SUMS | keyof typeof maps | keyof typeof POOLS;

type HeapFunction = (...args: number[]) => void;

/** What the kernels' sources define, by name, on the tensors' memory: addresses and strides in bytes, sizes in elements. */
export interface HeapFunctions extends Readonly<Record<Name, HeapFunction>> {
  /** Index n - 1: the tile of n rows. */
  readonly rows: readonly HeapFunction[];
  readonly outer: readonly HeapFunction[];
}

/**
 * `memory` is the WebAssembly.Memory that holds the tensors; it may grow afterwards.
 * @throws WebAssembly.CompileError where the platform has no SIMD
 */
export function instantiate(memory: object): HeapFunctions {
  const sizes = Array.from({ length: TILE_ROWS }, (_, index) => index + 1);
  const tiles = sizes.flatMap((n) => [
    [`rows${n}`, rowsTile(n)],
    [`outer${n}`, outerTile(n)],
  ]);
  const functions = { ...Object.fromEntries(tiles), ...COPIES, ...SUMS, ...maps, ...POOLS };
  const exports = compile<Record<string, HeapFunction>>(functions)(memory);
  return {
    ...(exports as Record<Name, HeapFunction>),
    rows: sizes.map((n) => exports[`rows${n}`]),
    outer: sizes.map((n) => exports[`outer${n}`]),
  };
}
