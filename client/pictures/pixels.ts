/** Images within a drawing: their pixels as a PNG inside the SVG, each pixel a sharp square however large it is shown. */
import { encode } from 'fast-png';
import { type Html, html } from '../../shared/charts/markup.js';

/** An image of any size. */
export interface Pixels {
  /** Columns. */
  readonly width: number;
  /** Row-major bytes, one for each pixel (grey) or three (red, green, blue). */
  readonly data: Uint8ClampedArray;
  readonly channels: 1 | 3;
}

/** `values` [height · width], 0..1 and clipped to it. */
export function grey(values: Float32Array, width: number): Pixels {
  return { width, data: Uint8ClampedArray.from(values, (value) => 255 * value), channels: 1 };
}

/** `count` pixels of the colour that `of` gives for each: red, green and blue, 0..255, rounded and clipped to it. */
export function coloured(count: number, width: number, of: (pixel: number) => readonly number[]): Pixels {
  const data = new Uint8ClampedArray(3 * count);
  for (let pixel = 0; pixel < count; pixel++) data.set(of(pixel).map(Math.round), 3 * pixel);
  return { width, data, channels: 3 };
}

/** The image with its left upper corner at (x, y), stretched to `width`. */
export function image({ width, data, channels }: Pixels, at: { x: number; y: number; width: number }): Html {
  const height = data.length / channels / width;
  const png = encode({ width, height, data, channels, depth: 8 }, { zlib: { level: 9 } });
  return html`<image x="${at.x}" y="${at.y}" width="${at.width}" height="${(at.width * height) / width}" style="image-rendering:pixelated" href="data:image/png;base64,${Buffer.from(png).toString('base64')}"/>`;
}
