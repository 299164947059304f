/**
 * A small picture in memory: rectangles, grey images and labels, written as PNG. Colours are [red, green, blue], 0..255.
 */
import { drawText, GLYPH_HEIGHT, textWidth } from './font.js';
import { encodePng } from './png.js';

export type Colour = readonly [number, number, number];

/** What all pictures are drawn with: text, text beside it, and the ground. */
export const INK: Colour = [31, 41, 55];
export const FAINT: Colour = [107, 114, 128];
export const PAPER: Colour = [255, 255, 255];

/** The colour that lies `share`, 0..1, of the way between two. */
export function blend(from: Colour, to: Colour, share: number): Colour {
  return [0, 1, 2].map((i) => Math.round(from[i] + (to[i] - from[i]) * share)) as unknown as Colour;
}

export interface TextStyle {
  readonly colour: Colour;
  /** Whole pixels for each pixel of the font. */
  readonly scale: number;
  /** What x is: the text's left edge, its middle or its right edge. Default: left. */
  readonly align?: 'left' | 'centre' | 'right';
}

export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly #rgb: Uint8Array;

  constructor(width: number, height: number, background: Colour) {
    this.width = width;
    this.height = height;
    this.#rgb = new Uint8Array(width * height * 3);
    this.rect(0, 0, width, height, background);
  }

  /** Outside the picture nothing happens. */
  set(x: number, y: number, colour: Colour): void {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.#rgb.set(colour, (y * this.width + x) * 3);
  }

  rect(left: number, top: number, width: number, height: number, colour: Colour): void {
    for (let y = top; y < top + height; y++) for (let x = left; x < left + width; x++) this.set(x, y, colour);
  }

  /** `pixels` [height · width], 0..1 and clipped to it, each drawn as a square of `scale` pixels. */
  grey(pixels: Float32Array, width: number, left: number, top: number, scale: number): void {
    for (let i = 0; i < pixels.length; i++) {
      const level = Math.round(255 * Math.min(1, Math.max(0, pixels[i])));
      const y = Math.floor(i / width);
      this.rect(left + (i % width) * scale, top + y * scale, scale, scale, [level, level, level]);
    }
  }

  /** `y` is the vertical middle of the capitals. */
  text(text: string, x: number, y: number, { colour, scale, align = 'left' }: TextStyle): void {
    const width = textWidth(text, scale);
    const left = align === 'left' ? x : align === 'right' ? x - width : Math.round(x - width / 2);
    drawText(text, left, Math.round(y - (GLYPH_HEIGHT * scale) / 2), scale, (px, py) => this.set(px, py, colour));
  }

  png(): Uint8Array {
    return encodePng(this.width, this.height, this.#rgb);
  }
}
