/**
 * The right side of a product as panels of eight columns, the last one padded with zeros: copied so that a panel is read
 * front to back, unless there are so few rows on the left that it is read once or twice and the copy would not pay.
 */
import type { Heap } from './heap.js';
import { PANEL_COLUMNS, TILE_ROWS } from './matmul-code.js';

export const PANEL_BYTES = 4 * PANEL_COLUMNS;

/** Strides in bytes. A narrow last panel is always packed. */
export interface PanelLayout {
  readonly columns: number;
  /** Panels of eight columns, and the columns left over. */
  readonly whole: number;
  readonly rest: number;
  readonly panelStride: number;
  readonly rowStride: number;
}

/** Addresses of the first panel, and of the narrow last one (0 if there is none). */
export interface PanelSource {
  readonly right: number;
  readonly tail: number;
}

const PACK_ABOVE_ROWS = 2 * TILE_ROWS;

/** The right side B[depth, columns], or its transpose [columns, depth] as it is stored. */
export interface Right {
  readonly depth: number;
  readonly columns: number;
  readonly transposed: boolean;
}

/** Plans the panels for products with `rows` rows on the left; `pack` makes them from the matrix at an address. */
export function planPanels(heap: Heap, { depth, columns, transposed }: Right, rows: number) {
  const whole = Math.floor(columns / PANEL_COLUMNS);
  const rest = columns % PANEL_COLUMNS;
  const inPlace = !transposed && rows <= PACK_ABOVE_ROWS;
  const rowBytes = 4 * (transposed ? depth : columns);
  const sourceStride = transposed ? PANEL_COLUMNS * rowBytes : PANEL_BYTES;
  const packed = inPlace ? 0 : whole;
  const panelBytes = depth * PANEL_BYTES;
  const buffer = heap.scratch((packed + Math.sign(rest)) * panelBytes);
  const copy = transposed ? heap.run.packTransposed : heap.run.pack;
  const tail = rest ? buffer + packed * panelBytes : 0;
  const layout: PanelLayout = inPlace
    ? { columns, whole, rest, panelStride: PANEL_BYTES, rowStride: rowBytes }
    : { columns, whole, rest, panelStride: panelBytes, rowStride: PANEL_BYTES };
  const pack = (base: number): PanelSource => {
    for (let n = 0; n < packed; n++)
      copy(base + n * sourceStride, rowBytes, buffer + n * panelBytes, depth, PANEL_COLUMNS);
    if (rest) copy(base + whole * sourceStride, rowBytes, tail, depth, rest);
    return { right: inPlace ? base : buffer, tail };
  };
  return { layout, pack };
}
