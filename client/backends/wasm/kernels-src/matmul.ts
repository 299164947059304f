/**
 * The functions of the matrix products: two register tiles, from which convolution, its two gradients and every
 * transposition of a matrix product are built (see matmul.ts), and the packing of their right-hand side.
 *
 * A tile is 4 rows x 8 columns: 8 accumulators, 2 vectors of B and 4 splats of A are 14 of the 15 vector registers that
 * V8 hands out. V8 hoists every load of a basic block above its arithmetic, so a larger tile or a plain unrolling spills;
 * the loops take two steps per turn with an exit between them, which keeps the steps in separate basic blocks.
 * Measured (2-core x86-64): 45 GFLOP/s, XNNPACK's kernel in tfjs-backend-wasm 29.
 *
 * The order of additions depends on the shapes alone, and plain IEEE multiply and add are used (no relaxed SIMD), so equal
 * inputs give equal bits on every machine. All addresses and strides are in bytes.
 */
import {
  advance,
  block,
  branchIf,
  type Code,
  countDown,
  type Func,
  f32x4,
  get,
  i32,
  type Local,
  loop,
  loopWhile,
  type Scope,
  set,
  v128,
  when,
} from '../../../../shared/wasm/assembler.js';

/** Columns of a tile, and of a packed panel of B: two vectors. */
export const PANEL_COLUMNS = 8;
/** Rows of a full tile. */
export const TILE_ROWS = 4;

interface Tile {
  readonly sums: readonly (readonly [Local, Local])[];
  readonly left: Local;
  readonly right: readonly [Local, Local];
}

function tileOf(scope: Scope, rows: number): Tile {
  return {
    sums: Array.from({ length: rows }, () => [scope.local('v128'), scope.local('v128')] as const),
    left: scope.local('v128'),
    right: [scope.local('v128'), scope.local('v128')],
  };
}

/** sums[row] += splat(A[row]) · B[0..8) */
function accumulate(tile: Tile, leftSplat: (row: number) => Code, right: Local): readonly Code[] {
  return [
    set(tile.right[0], v128.load(get(right), 0)),
    set(tile.right[1], v128.load(get(right), 16)),
    ...tile.sums.map(([low, high], row) => [
      set(tile.left, leftSplat(row)),
      set(low, f32x4.add(get(low), f32x4.mul(get(tile.left), get(tile.right[0])))),
      set(high, f32x4.add(get(high), f32x4.mul(get(tile.left), get(tile.right[1])))),
    ]),
  ];
}

/**
 * `rows{n}`: C[row, 0..8) = clamp(from[row] + sum over segments s and positions k of A[row, s, k] · B[s·length + k]).
 *
 * Row r of A starts at aBase + aTable[r] and consists of `segments` runs of `length` floats with `skip` bytes between the
 * end of one and the start of the next: a row of a matrix is one run, the window of a convolution one run per filter row.
 * `from` is eight floats for all rows (mask 0: zeros or a bias), or C itself (mask -1) to go on summing.
 */
export const rowsTile = (rows: number): Func => ({
  params: [...Array<'i32'>(12).fill('i32'), 'f32', 'f32'],
  body(scope, aBase, aTable, tiles, cBase, cTable, bStart, bStride, segments, length, skip, from, mask, low, high) {
    const tile = tileOf(scope, rows);
    const left = scope.locals('i32', rows);
    const [right, runEnd, oddEnd, segment, target] = scope.locals('i32', 5);
    const [floor, ceiling] = [scope.local('v128'), scope.local('v128')];
    const step = (offset: number) => accumulate(tile, (row) => v128.loadSplat(get(left[row]), offset), right);
    const run = [
      set(runEnd, i32.add(get(right), i32.mul(get(bStride), get(length)))),
      // Address of the last step if the run is odd, else 0: where the loop below leaves between its two steps.
      set(oddEnd, i32.mul(i32.and(get(length), i32.const(1)), i32.sub(get(runEnd), get(bStride)))),
      block([
        loop([
          step(0),
          branchIf(i32.eq(get(right), get(oddEnd)), 1),
          advance(right, get(bStride)),
          step(4),
          advance(right, get(bStride)),
          ...left.map((pointer) => advance(pointer, i32.const(8))),
          branchIf(i32.ltU(get(right), get(runEnd)), 0),
        ]),
      ]),
      when(get(oddEnd), [advance(right, get(bStride)), ...left.map((pointer) => advance(pointer, i32.const(4)))]),
      ...left.map((pointer) => advance(pointer, get(skip))),
      countDown(segment),
    ];
    const rowOf = (table: Local, row: number) => i32.load(get(table), 4 * row);
    return [
      set(floor, f32x4.splat(get(low))),
      set(ceiling, f32x4.splat(get(high))),
      loopWhile(get(tiles), [
        ...left.map((pointer, row) => set(pointer, i32.add(get(aBase), rowOf(aTable, row)))),
        ...tile.sums.flatMap((pair, row) => [
          set(target, i32.add(get(from), i32.and(get(mask), rowOf(cTable, row)))),
          ...pair.map((sum, half) => set(sum, v128.load(get(target), 16 * half))),
        ]),
        set(right, get(bStart)),
        set(segment, get(segments)),
        loopWhile(get(segment), run),
        ...tile.sums.flatMap((pair, row) => [
          set(target, i32.add(get(cBase), rowOf(cTable, row))),
          ...pair.map((sum, half) =>
            v128.store(get(target), f32x4.min(f32x4.max(get(sum), get(floor)), get(ceiling)), 16 * half),
          ),
        ]),
        advance(aTable, i32.const(4 * rows)),
        advance(cTable, i32.const(4 * rows)),
        countDown(tiles),
      ]),
    ];
  },
});

/**
 * `outer{n}`: C[i, 0..8) = from[i] + sum over p < count of A[p, i] · B[p, 0..8): the product with the transpose of A.
 *
 * Row p of A starts at aBase + aTable[p]; tile t takes columns n·t .. n·t + n of A and as many rows of C.
 */
export const outerTile = (rows: number): Func => ({
  params: Array(10).fill('i32'),
  body(scope, aBase, aTable, count, tiles, bStart, bStride, cStart, cStride, fromStart, fromStride) {
    const tile = tileOf(scope, rows);
    const [right, row, rowEnd, oddEnd, left] = scope.locals('i32', 5);
    const step = (tableOffset: number): readonly Code[] => [
      set(left, i32.add(get(aBase), i32.load(get(row), tableOffset))),
      ...accumulate(tile, (column) => v128.loadSplat(get(left), 4 * column), right),
    ];
    return [
      set(rowEnd, i32.add(get(aTable), i32.shl(get(count), i32.const(2)))),
      set(oddEnd, i32.mul(i32.and(get(count), i32.const(1)), i32.sub(get(rowEnd), i32.const(4)))),
      loopWhile(get(tiles), [
        ...tile.sums.flatMap((pair) => [
          ...pair.map((sum, half) => set(sum, v128.load(get(fromStart), 16 * half))),
          advance(fromStart, get(fromStride)),
        ]),
        set(right, get(bStart)),
        set(row, get(aTable)),
        block([
          loop([
            step(0),
            branchIf(i32.eq(get(row), get(oddEnd)), 1),
            advance(right, get(bStride)),
            step(4),
            advance(right, get(bStride)),
            advance(row, i32.const(8)),
            branchIf(i32.ltU(get(row), get(rowEnd)), 0),
          ]),
        ]),
        ...tile.sums.flatMap((pair) => [
          ...pair.map((sum, half) => v128.store(get(cStart), get(sum), 16 * half)),
          advance(cStart, get(cStride)),
        ]),
        advance(aBase, i32.const(4 * rows)),
        countDown(tiles),
      ]),
    ];
  },
});
