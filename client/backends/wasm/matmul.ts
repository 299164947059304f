/**
 * Matrix products on the heap, blocked for the caches (Goto and van de Geijn 2008, https://doi.org/10.1145/1356052.1356053)
 * around the register tiles of kernels-src/matmul.ts.
 *
 * The left side is given by *rows*, addresses in a table, so that the windows of a convolution are multiplied where they
 * lie and no im2col matrix is ever written. A product is planned once for its shape and then run for any number of equal
 * shapes (the heads of an attention). Everything is float32; addresses and strides are in bytes.
 */
import type { Heap } from './heap.js';
import { PANEL_COLUMNS, TILE_ROWS } from './kernels-src/matmul.js';
import { PANEL_BYTES, type Right } from './panels.js';

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

/** Multiplies operands at these addresses. */
export type Product = (left: number, right: number, target: number) => void;

/** Depth of a block: 320 x 8 floats of B are 10 KiB, a third of a first-level cache. */
const BLOCK_DEPTH = 320;
/** Floats of A in a block: 192 KiB, within a second-level cache. */
const BLOCK_FLOATS = 48 * 1024;
/** With at most this many rows a panel is read once or twice, and copying it first does not pay. */
const PACK_ABOVE_ROWS = 2 * TILE_ROWS;

/** A table of `count` equidistant rows, in scratch space. */
export function linearTable(heap: Heap, count: number, stride: number): number {
  const address = heap.scratch(4 * count);
  const table = heap.ints(address, count);
  for (let row = 0; row < count; row++) table[row] = row * stride;
  return address;
}

/** The panels of the right side: eight columns each, but for a narrow last one, whose product is unpacked at the end. */
function panelsOf(columns: number): { index: number; columns: number }[] {
  return Array.from({ length: Math.ceil(columns / PANEL_COLUMNS) }, (_, index) => ({
    index,
    columns: Math.min(PANEL_COLUMNS, columns - index * PANEL_COLUMNS),
  }));
}

/** target[r, n] = clamp(bias[n] + sum over the terms of left[r] · right[·, n]). */
export function planRows(heap: Heap, left: Rows, terms: Terms, right: Right, target: Target): Product {
  const panels = panelsOf(right.columns);
  const rest = right.columns % PANEL_COLUMNS;
  const bias = biasPanels(heap, right.columns, target.bias);
  const biasStride = target.bias === undefined ? 0 : PANEL_BYTES;
  const { low = Number.NEGATIVE_INFINITY, high = Number.POSITIVE_INFINITY } = target;
  const narrow = rest ? heap.scratch(left.count * PANEL_BYTES) : 0;
  const narrowTable = rest ? linearTable(heap, left.count, PANEL_BYTES) : 0;
  const blocks = depthBlocks(terms);
  const packed = heap.scratch(PANEL_BYTES * Math.max(...blocks.map(({ depth }) => depth)));
  const inPlace = left.count <= PACK_ABOVE_ROWS ? right.rowStride : undefined;

  return (leftBase, rightBase, base) => {
    /** Some rows times one block of one panel. */
    const runBlock = (block: Block, start: number, count: number, panel: { index: number; columns: number }) => {
      const isNarrow = panel.columns < PANEL_COLUMNS;
      const rowStride = inPlace && !isNarrow ? inPlace : PANEL_BYTES;
      let source = packed;
      if (inPlace && !isNarrow) source = rightBase + block.firstRow * inPlace + panel.index * PANEL_BYTES;
      else right.pack(rightBase, panel.index, block.firstRow, block.depth, panel.columns, packed);
      const to = isNarrow ? narrow : base + panel.index * PANEL_BYTES;
      const table = isNarrow ? narrowTable : target.table;
      const run = (kernel: (typeof heap.run.rows)[number], row: number, tiles: number) =>
        kernel(
          leftBase + block.leftOffset,
          left.table + 4 * row,
          tiles,
          to,
          table + 4 * row,
          source,
          rowStride,
          block.segments,
          block.length,
          terms.stride - 4 * block.length,
          block.isFirst ? bias + panel.index * biasStride : to,
          block.isFirst ? 0 : -1,
          block.isLast ? low : Number.NEGATIVE_INFINITY,
          block.isLast ? high : Number.POSITIVE_INFINITY,
        );
      const odd = count % TILE_ROWS;
      if (count > odd) run(heap.run.rows[TILE_ROWS - 1], start, (count - odd) / TILE_ROWS);
      if (odd) run(heap.run.rows[odd - 1], start + count - odd, 1);
    };

    for (const block of blocks) {
      for (let start = 0; start < left.count; start += block.rows) {
        for (const panel of panels) runBlock(block, start, Math.min(block.rows, left.count - start), panel);
      }
    }
    if (rest) heap.run.unpack(narrow, base + 4 * (right.columns - rest), target.table, left.count, rest);
  };
}

interface Block {
  readonly leftOffset: number;
  readonly firstRow: number;
  readonly segments: number;
  readonly length: number;
  readonly depth: number;
  /** Rows of the left side that are multiplied by a panel before the next panel's turn. */
  readonly rows: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** Cuts the terms into blocks of at most {@link BLOCK_DEPTH}: several whole segments, or parts of one. */
function depthBlocks({ segments, length, stride }: Terms): Block[] {
  const blocks: Block[] = [];
  const group = Math.max(1, Math.floor(BLOCK_DEPTH / length));
  for (let segment = 0; segment < segments; segment += group) {
    const count = Math.min(group, segments - segment);
    for (let start = 0; start < length; start += BLOCK_DEPTH) {
      const part = Math.min(BLOCK_DEPTH, length - start);
      blocks.push({
        leftOffset: segment * stride + 4 * start,
        firstRow: segment * length + start,
        segments: count,
        length: part,
        depth: count * part,
        rows: Math.floor(BLOCK_FLOATS / (count * part)) & -TILE_ROWS,
        isFirst: blocks.length === 0,
        isLast: segment + count === segments && start + part === length,
      });
    }
  }
  return blocks;
}

/** The bias as panels, padded with zeros; a single panel of zeros, for all columns, if there is none. */
function biasPanels(heap: Heap, columns: number, bias?: number): number {
  const length = bias === undefined ? PANEL_COLUMNS : Math.ceil(columns / PANEL_COLUMNS) * PANEL_COLUMNS;
  const address = heap.scratch(4 * length);
  const panels = heap.floats(address, length).fill(0);
  if (bias !== undefined) panels.set(heap.floats(bias, columns));
  return address;
}

/** Rows in a block of the transposed product: their cache lines of A and of a panel of B fit into a first-level cache. */
const OUTER_ROWS = 128;
const OUTER_FLOATS = 128 * 1024;

/**
 * target[i, n] = sum over rows p of left[p, i] · right[p, n] for i in the terms: the product with the transpose of the
 * left side, in which the terms count the rows of the target, [segments · length, columns], stored without gaps.
 */
export function planTransposed(heap: Heap, left: Rows, terms: Terms, right: Right): Product {
  const panels = panelsOf(right.columns);
  const rest = right.columns % PANEL_COLUMNS;
  const rowBytes = 4 * right.columns;
  const height = terms.segments * terms.length;
  const blockRows = Math.max(32, Math.min(OUTER_ROWS, Math.floor(OUTER_FLOATS / height)));
  const zeros = biasPanels(heap, 0);
  const packed = heap.scratch(PANEL_BYTES * Math.min(blockRows, left.count));
  const narrow = rest ? heap.scratch(height * PANEL_BYTES) : 0;
  const targetTable = rest ? linearTable(heap, height, rowBytes) : 0;

  return (leftBase, rightBase, base) => {
    /** Some rows of both sides, one segment, one panel. */
    const runBlock = (start: number, segment: number, panel: { index: number; columns: number }) => {
      const isNarrow = panel.columns < PANEL_COLUMNS;
      const stride = isNarrow ? PANEL_BYTES : rowBytes;
      const to = (isNarrow ? narrow : base + panel.index * PANEL_BYTES) + segment * terms.length * stride;
      const run = (kernel: (typeof heap.run.outer)[number], column: number, tiles: number) =>
        kernel(
          leftBase + segment * terms.stride + 4 * column,
          left.table + 4 * start,
          Math.min(blockRows, left.count - start),
          tiles,
          packed,
          PANEL_BYTES,
          to + column * stride,
          stride,
          start === 0 ? zeros : to + column * stride,
          start === 0 ? 0 : stride,
        );
      const odd = terms.length % TILE_ROWS;
      if (terms.length > odd) run(heap.run.outer[TILE_ROWS - 1], 0, (terms.length - odd) / TILE_ROWS);
      if (odd) run(heap.run.outer[odd - 1], terms.length - odd, 1);
    };

    for (let start = 0; start < left.count; start += blockRows) {
      for (const panel of panels) {
        right.pack(rightBase, panel.index, start, Math.min(blockRows, left.count - start), panel.columns, packed);
        for (let segment = 0; segment < terms.segments; segment++) runBlock(start, segment, panel);
      }
    }
    if (rest) heap.run.unpack(narrow, base + 4 * (right.columns - rest), targetTable, height, rest);
  };
}
