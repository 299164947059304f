/**
 * The right side of a product, read as panels of eight columns. A piece of a panel is copied to where it can be read front
 * to back just before it is multiplied, so that it is still in the first-level cache and no copy of the whole is made.
 */
import type { Heap } from './heap.js';
import { PANEL_COLUMNS } from './kernels-src/matmul.js';

/** Bytes from one row of a packed panel to the next. */
export const PANEL_BYTES = 4 * PANEL_COLUMNS;

/** A right side B[depth, columns], at whatever addresses. */
export interface Right {
  readonly columns: number;
  /** Bytes from one row to the next if the rows may also be read where they lie. */
  readonly rowStride?: number;
  /** Copies rows firstRow .. firstRow + count of eight columns, or of the `columns` that are left, to `target`. */
  pack(base: number, panel: number, firstRow: number, count: number, columns: number, target: number): void;
}

/** A matrix B[depth, columns] stored row by row. */
export function plainRight(heap: Heap, columns: number): Right {
  const rowStride = 4 * columns;
  return {
    columns,
    rowStride,
    pack: (base, panel, firstRow, count, width, target) =>
      heap.run.pack(base + firstRow * rowStride + panel * PANEL_BYTES, rowStride, target, count, width),
  };
}

/** A matrix B[depth, columns] stored column by column, that is, as its transpose. */
export function transposedRight(heap: Heap, depth: number, columns: number): Right {
  const columnStride = 4 * depth;
  return {
    columns,
    pack(base, panel, firstRow, count, width, target) {
      const source = base + panel * PANEL_COLUMNS * columnStride + 4 * firstRow;
      packTransposed(heap, source, columnStride, count, width, target);
    },
  };
}

/** panel[k, j] = source[j, k] for k < count, j < width, zero for the other j < 8. */
export function packTransposed(
  heap: Heap,
  source: number,
  stride: number,
  count: number,
  width: number,
  target: number,
): void {
  if (width < PANEL_COLUMNS) heap.floats(target, count * PANEL_COLUMNS).fill(0);
  heap.run.transpose(source, stride, target, PANEL_BYTES, width, count);
}
