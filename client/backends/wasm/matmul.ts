/**
 * Matrix products on the heap, blocked for the caches (Goto and van de Geijn 2008, https://doi.org/10.1145/1356052.1356053)
 * around the register tiles of matmul-code.ts.
 *
 * The left side is given by *rows*, addresses in a table, so that the windows of a convolution are multiplied where they
 * lie and no im2col matrix is ever written. A product is planned once for its shape and then run for any number of equal
 * shapes (the heads of an attention). Everything is float32; addresses and strides are in bytes.
 */
import type { Heap } from './heap.js';
import { PANEL_COLUMNS, TILE_ROWS } from './matmul-code.js';
import { PANEL_BYTES, type PanelLayout } from './panels.js';

/** Rows of the left side: row r starts at its base + table[r] (an Int32 table on the heap). */
export interface Rows {
  readonly table: number;
  readonly count: number;
}

/** What is summed over: `segments` runs of `length` consecutive floats, whose starts lie `stride` bytes apart. */
export interface Terms {
  readonly segments: number;
  readonly length: number;
  readonly stride: number;
}

/** What happens to the sums as they are stored: a bias (address of one float per column) is added, bounds are applied. */
export interface Epilogue {
  readonly bias?: number;
  readonly low?: number;
  readonly high?: number;
}

/** Row r of the product goes to its base + table[r]. */
export interface Target extends Epilogue {
  readonly table: number;
}

/** Where the operands of one product lie; `right` is the address of the panels, `tail` that of the narrow last one. */
export interface Operands {
  readonly left: number;
  readonly right: number;
  readonly tail: number;
  readonly target: number;
}

export type Product = (operands: Operands) => void;

/** Depth of a block: 320 x 8 floats of B are 10 KiB, a third of a first-level cache. */
const BLOCK_DEPTH = 320;
/** Floats of A in a block: 192 KiB, within a second-level cache. */
const BLOCK_FLOATS = 48 * 1024;

/** A table of `count` equidistant rows, in scratch space. */
export function linearTable(heap: Heap, count: number, stride: number): number {
  const address = heap.scratch(4 * count);
  const table = heap.ints(address, count);
  for (let row = 0; row < count; row++) table[row] = row * stride;
  return address;
}

/** target[r, n] = clamp(bias[n] + sum over the terms of left[r] · right[·, n]). */
export function planRows(heap: Heap, left: Rows, terms: Terms, right: PanelLayout, target: Target): Product {
  const { whole, rest } = right;
  const bias = biasPanels(heap, right.columns, target.bias);
  const biasStride = target.bias === undefined ? 0 : PANEL_BYTES;
  const { low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY } = target;
  const narrow = rest ? heap.scratch(left.count * PANEL_BYTES) : 0;
  const narrowTable = rest ? linearTable(heap, left.count, PANEL_BYTES) : 0;
  const blocks = depthBlocks(terms);
  const full = heap.run.rows[TILE_ROWS - 1];

  /** One block of depth, some rows, one panel. */
  const runBlock = (leftBase: number, index: number, start: number, count: number, panel: PanelAddresses) => {
    const { leftOffset, firstRow, segments, length } = blocks[index];
    const first = index === 0;
    const last = index === blocks.length - 1;
    const run = (kernel: typeof full, row: number, tiles: number) =>
      kernel(
        leftBase + leftOffset,
        left.table + 4 * row,
        tiles,
        panel.target,
        panel.table + 4 * row,
        panel.right + firstRow * panel.rowStride,
        panel.rowStride,
        segments,
        length,
        terms.stride - 4 * length,
        first ? panel.bias : panel.target,
        first ? 0 : -1,
        last ? low : Number.NEGATIVE_INFINITY,
        last ? high : Number.POSITIVE_INFINITY,
      );
    const odd = count % TILE_ROWS;
    if (count > odd) run(full, start, (count - odd) / TILE_ROWS);
    if (odd) run(heap.run.rows[odd - 1], start + count - odd, 1);
  };

  return ({ left: leftBase, right: panels, tail, target: base }) => {
    for (let index = 0; index < blocks.length; index++) {
      const rowsPerBlock = Math.max(TILE_ROWS, Math.floor(BLOCK_FLOATS / blocks[index].depth) & -TILE_ROWS);
      for (let start = 0; start < left.count; start += rowsPerBlock) {
        const count = Math.min(rowsPerBlock, left.count - start);
        for (let n = 0; n < whole; n++) {
          runBlock(leftBase, index, start, count, {
            right: panels + n * right.panelStride,
            rowStride: right.rowStride,
            target: base + n * PANEL_BYTES,
            table: target.table,
            bias: bias + n * biasStride,
          });
        }
        if (rest) {
          runBlock(leftBase, index, start, count, {
            right: tail,
            rowStride: PANEL_BYTES,
            target: narrow,
            table: narrowTable,
            bias: bias + whole * biasStride,
          });
        }
      }
    }
    if (rest) heap.run.unpack(narrow, base + whole * PANEL_BYTES, target.table, left.count, rest);
  };
}

interface PanelAddresses {
  readonly right: number;
  readonly rowStride: number;
  readonly target: number;
  readonly table: number;
  readonly bias: number;
}

/** The bias as panels, padded with zeros; a single panel of zeros, for all columns, if there is none. */
function biasPanels(heap: Heap, columns: number, bias?: number): number {
  const length = bias === undefined ? PANEL_COLUMNS : Math.ceil(columns / PANEL_COLUMNS) * PANEL_COLUMNS;
  const address = heap.scratch(4 * length);
  const panels = heap.floats(address, length).fill(0);
  if (bias !== undefined) panels.set(heap.floats(bias, columns));
  return address;
}

/** Cuts the terms into blocks of at most {@link BLOCK_DEPTH}: several whole segments, or parts of one. */
function depthBlocks({ segments, length, stride }: Terms) {
  const blocks: { leftOffset: number; firstRow: number; segments: number; length: number; depth: number }[] = [];
  const group = Math.max(1, Math.floor(BLOCK_DEPTH / length));
  for (let segment = 0; segment < segments; segment += group) {
    const count = Math.min(group, segments - segment);
    for (let start = 0; start < length; start += BLOCK_DEPTH) {
      const part = Math.min(BLOCK_DEPTH, length - start);
      const leftOffset = segment * stride + 4 * start;
      blocks.push({
        leftOffset,
        firstRow: segment * length + start,
        segments: count,
        length: part,
        depth: count * part,
      });
    }
  }
  return blocks;
}

/** Rows in a block of the transposed product, and columns of A in one: 256 x 192 floats are 192 KiB. */
const OUTER_ROWS = 256;
const OUTER_COLUMNS = 192;

/**
 * target[i, n] = sum over rows p of left[p, i] · right[p, n] for i in the terms: the product with the transpose of the
 * left side, in which the terms count the rows of the target, [segments · length, columns], stored without gaps.
 */
export function planTransposed(heap: Heap, left: Rows, terms: Terms, right: PanelLayout): Product {
  const { whole, rest } = right;
  const rowBytes = 4 * right.columns;
  const height = terms.segments * terms.length;
  const zeros = biasPanels(heap, 0);
  const narrow = rest ? heap.scratch(height * PANEL_BYTES) : 0;
  const targetTable = rest ? linearTable(heap, height, rowBytes) : 0;
  const full = heap.run.outer[TILE_ROWS - 1];

  /** Some rows of left and right, some columns of left, one panel: `target` is where the first of the columns goes. */
  const runBlock = (leftBase: number, start: number, columns: number, right: number, rowStride: number, panel: Out) => {
    const count = Math.min(OUTER_ROWS, left.count - start);
    const run = (kernel: typeof full, column: number, tiles: number) => {
      const target = panel.target + column * panel.stride;
      kernel(
        leftBase + 4 * column,
        left.table + 4 * start,
        count,
        tiles,
        right + start * rowStride,
        rowStride,
        target,
        panel.stride,
        start === 0 ? zeros : target,
        start === 0 ? 0 : panel.stride,
      );
    };
    const odd = columns % TILE_ROWS;
    if (columns > odd) run(full, 0, (columns - odd) / TILE_ROWS);
    if (odd) run(heap.run.outer[odd - 1], columns - odd, 1);
  };

  return ({ left: leftBase, right: panels, tail, target }) => {
    for (let start = 0; start < left.count; start += OUTER_ROWS) {
      for (let segment = 0; segment < terms.segments; segment++) {
        for (let column = 0; column < terms.length; column += OUTER_COLUMNS) {
          const columns = Math.min(OUTER_COLUMNS, terms.length - column);
          const row = segment * terms.length + column;
          const from = leftBase + segment * terms.stride + 4 * column;
          for (let n = 0; n < whole; n++) {
            const out = { target: target + row * rowBytes + n * PANEL_BYTES, stride: rowBytes };
            runBlock(from, start, columns, panels + n * right.panelStride, right.rowStride, out);
          }
          const out = { target: narrow + row * PANEL_BYTES, stride: PANEL_BYTES };
          if (rest) runBlock(from, start, columns, tail, PANEL_BYTES, out);
        }
      }
    }
    if (rest) heap.run.unpack(narrow, target + whole * PANEL_BYTES, targetTable, height, rest);
  };
}

interface Out {
  readonly target: number;
  readonly stride: number;
}
