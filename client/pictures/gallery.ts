/**
 * A gallery: grey images in a grid, each with a caption below it and, where something is wrong, a second line in red.
 */
import { type Html, html } from '../../shared/charts/markup.js';
import { picture, text, widthOf } from '../../shared/charts/picture.js';
import { grey, image } from './pixels.js';

const GAP = 14;
const LINE = 18;

/** One image and its words. */
export interface GalleryImage {
  /** [height · width], 0..1 */
  readonly pixels: Float32Array;
  readonly caption: string;
  /** Below the caption: in red, or in ink. */
  readonly alert?: string;
  readonly note?: string;
}

/** All images of a gallery have one size. */
export interface GallerySize {
  /** Of one image, in its own pixels. */
  readonly height: number;
  readonly width: number;
  readonly columns: number;
  /** As wide as an image is shown. */
  readonly shownWidth: number;
}

/** With no images the picture holds the title alone. */
export function galleryPicture(title: string, images: readonly GalleryImage[], size: GallerySize): Html {
  const { columns, shownWidth } = size;
  const shownHeight = (shownWidth * size.height) / size.width;
  const texts = images.flatMap(({ caption, alert = '', note = '' }) => [caption, alert, note]);
  const lines = images.some(({ alert, note }) => alert || note) ? 2 : 1;
  const cellWidth = Math.max(shownWidth, widthOf(texts)) + GAP;
  const cellHeight = shownHeight + lines * LINE + GAP;
  const cells = images.map(({ pixels, caption, alert, note = '' }, i) => {
    const x = (i % columns) * cellWidth;
    const y = Math.floor(i / columns) * cellHeight;
    const line = y + shownHeight + LINE - 2;
    const second = text(alert ?? note, { x, y: line + LINE, look: alert === undefined ? '' : 'drop' });
    // A frame, because an image's own ground may be as white as the paper.
    return html`<rect x="${x - 0.5}" y="${y - 0.5}" width="${shownWidth + 1}" height="${shownHeight + 1}" fill="none" stroke="#9ca3af"/>${image(grey(pixels, size.width), { x, y, width: shownWidth })}${text(caption, { x, y: line })}${second}`;
  });
  const height = Math.ceil(images.length / columns) * cellHeight;
  return picture(title, { width: columns * cellWidth - GAP, height }, html`${cells}`);
}
