/**
 * A gallery: grey images in a grid, each with a line of text below it, one word of which may stand out.
 */
import { Canvas, type Colour } from './canvas.js';
import { textWidth } from './font.js';

const INK: Colour = [31, 41, 55];
const ALERT: Colour = [220, 38, 38];
const PAPER: Colour = [255, 255, 255];
const MARGIN = 26;
const GAP = 16;
const CAPTION = 34;

export interface GalleryImage {
  /** [height · width], 0..1 */
  readonly pixels: Float32Array;
  readonly caption: string;
  /** Drawn after the caption, in red. */
  readonly alert?: string;
}

export interface GallerySize {
  /** Of one image, in its own pixels. */
  readonly height: number;
  readonly width: number;
  readonly columns: number;
  /** Whole pixels for each pixel of an image. */
  readonly scale: number;
}

/** With no images the picture holds the title alone. */
export function galleryPicture(title: string, images: readonly GalleryImage[], size: GallerySize): Uint8Array {
  const cellWidth = size.width * size.scale + GAP;
  const cellHeight = size.height * size.scale + CAPTION + GAP;
  const rows = Math.ceil(images.length / size.columns);
  const width = Math.max(size.columns * cellWidth - GAP, textWidth(title, 2)) + 2 * MARGIN;
  const canvas = new Canvas(width, 2 * MARGIN + 30 + rows * cellHeight, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [i, { pixels, caption, alert = '' }] of images.entries()) {
    const left = MARGIN + (i % size.columns) * cellWidth;
    const top = MARGIN + 40 + Math.floor(i / size.columns) * cellHeight;
    canvas.grey(pixels, size.width, left, top, size.scale);
    const line = top + size.height * size.scale + 18;
    canvas.text(caption, left, line, { colour: INK, scale: 2 });
    canvas.text(alert, left + textWidth(`${caption} `, 2) + 2, line, { colour: ALERT, scale: 2 });
  }
  return canvas.png();
}
