/**
 * A gallery: grey images in a grid, each with a caption below it and, where something is wrong, a second line in red.
 */
import { Canvas, type Colour, INK, PAPER } from './canvas.js';
import { textWidth } from './font.js';

const ALERT: Colour = [220, 38, 38];
const FRAME: Colour = [156, 163, 175];
const MARGIN = 26;
const GAP = 16;
const LINE = 22;

export interface GalleryImage {
  /** [height · width], 0..1 */
  readonly pixels: Float32Array;
  readonly caption: string;
  /** Below the caption: in red, or in ink. */
  readonly alert?: string;
  readonly note?: string;
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
  const texts = images.flatMap(({ caption, ...below }) =>
    [caption, secondLine(below).text].map((text) => textWidth(text, 2)),
  );
  const lines = images.some((image) => secondLine(image).text !== '') ? 2 : 1;
  const cellWidth = Math.max(size.width * size.scale, ...texts) + GAP;
  const cellHeight = size.height * size.scale + 12 + lines * LINE + GAP;
  const rows = Math.ceil(images.length / size.columns);
  const width = Math.max(size.columns * cellWidth - GAP, textWidth(title, 2)) + 2 * MARGIN;
  const canvas = new Canvas(width, 2 * MARGIN + 30 + rows * cellHeight, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [i, { pixels, caption, ...below }] of images.entries()) {
    const left = MARGIN + (i % size.columns) * cellWidth;
    const top = MARGIN + 40 + Math.floor(i / size.columns) * cellHeight;
    // A frame, because an image's own ground may be as white as the paper.
    canvas.rect(left - 1, top - 1, size.width * size.scale + 2, size.height * size.scale + 2, FRAME);
    canvas.grey(pixels, size.width, left, top, size.scale);
    const line = top + size.height * size.scale + 18;
    canvas.text(caption, left, line, { colour: INK, scale: 2 });
    const { text, colour } = secondLine(below);
    canvas.text(text, left, line + LINE, { colour, scale: 2 });
  }
  return canvas.png();
}

function secondLine({ alert, note = '' }: Pick<GalleryImage, 'alert' | 'note'>): { text: string; colour: Colour } {
  return alert === undefined ? { text: note, colour: INK } : { text: alert, colour: ALERT };
}
