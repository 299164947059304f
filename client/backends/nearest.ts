/** Which pixel nearest-neighbour resizing takes, as TensorFlow.js's plain JavaScript back end has it. */

/** As TensorFlow.js's ResizeNearestNeighbor has them. */
export interface ResizeOptions {
  readonly alignCorners: boolean;
  readonly halfPixelCenters?: boolean;
}

/** Number of the source pixel, in [batch · height · width], of each pixel of [batch, outHeight, outWidth]; into `table`. */
export function nearestPixels(
  source: readonly number[],
  target: readonly number[],
  options: ResizeOptions,
  table: Int32Array,
): void {
  const [batch, height, width] = source;
  const [, outHeight, outWidth] = target;
  const rows = nearest(height, outHeight, options);
  const columns = nearest(width, outWidth, options);
  let pixel = 0;
  for (let n = 0; n < batch; n++) {
    for (const row of rows) {
      const start = (n * height + row) * width;
      for (const column of columns) table[pixel++] = start + column;
    }
  }
}

function nearest(inSize: number, outSize: number, { alignCorners, halfPixelCenters }: ResizeOptions): number[] {
  const scale = alignCorners && outSize > 1 ? (inSize - 1) / (outSize - 1) : inSize / outSize;
  return Array.from({ length: outSize }, (_, index) => {
    const place = scale * (halfPixelCenters ? index + 0.5 : index);
    const source = alignCorners ? Math.round(place) : Math.floor(place);
    return Math.min(inSize - 1, Math.max(0, source));
  });
}
