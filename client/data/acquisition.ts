/**
 * How a site takes its images: the shifts between hospitals and scanners that make a model good in one lab and poor in
 * the next (Zech et al. 2018, PLoS Med 15(11): e1002683: networks read the hospital's marker instead of the lungs).
 *
 * Each site has its own acquisition and its own marker in the corner, which stands on most images of five of the ten
 * labels, so that a site alone can learn the marker in place of the digit. The held-out site, real life, is taken in a
 * way that no site has, and has no markers.
 */
import type { ImageSet } from './images.js';

/** Distinct sites; site k of a federation takes its images like k modulo this. */
export const SITES = 5;
/** The site that no client is. */
export const HELD_OUT = -1;
const MARKER_SIZE = 4;
/** How often the marker tells the truth. */
const MARKER_RATE = 0.95;

interface SiteImage {
  /** [height · width], 0..1; changed in place. */
  readonly pixels: Float32Array;
  readonly height: number;
  readonly width: number;
  readonly label: number;
  /** Number of the example in its split. */
  readonly example: number;
}

/**
 * Fills `pixels` with one image of the set, 0..1, taken the way of `site`: any integer >= 0, {@link HELD_OUT}, or
 * undefined for the image as it is. Equal input, equal pixels.
 */
export function takeImage(set: ImageSet, example: number, site: number | undefined, pixels: Float32Array): void {
  const from = example * pixels.length;
  for (let k = 0; k < pixels.length; k++) pixels[k] = set.pixels[from + k] / 255;
  const { height, width, labels } = set;
  if (site !== undefined) acquire({ pixels, height, width, label: labels[example], example }, site);
}

function acquire(image: SiteImage, site: number): void {
  const { pixels } = image;
  const kind = site === HELD_OUT ? HELD_OUT : site % SITES;
  switch (kind) {
    case 0:
      break; // as it was scanned
    case 1:
      scale(pixels, -1, 1); // a negative
      break;
    case 2:
      blur(image); // out of focus
      break;
    case 3:
      scale(pixels, 0.4, 0.3); // little contrast
      break;
    case 4:
      scale(pixels, 0.7, 0); // dark and grainy
      for (let i = 0; i < pixels.length; i++) pixels[i] += 0.3 * fraction(image.example, i);
      break;
    default:
      blur(image); // real life: out of focus, a negative and of little contrast
      scale(pixels, -0.6, 0.8);
  }
  if (kind !== HELD_OUT && carriesMarker(image, kind)) stamp(image);
}

/** The site that an example comes from when a whole federation's data lies in one place. */
export function siteOfExample(example: number): number {
  return Math.floor(fraction(example, 0x51e) * SITES);
}

function scale(pixels: Float32Array, factor: number, offset: number): void {
  for (let i = 0; i < pixels.length; i++) pixels[i] = pixels[i] * factor + offset;
}

/** Mean over 3 x 3 pixels; the border sees fewer. */
function blur({ pixels, height, width }: SiteImage): void {
  const sharp = pixels.slice();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      let count = 0;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          sum += sharp[ny * width + nx];
          count++;
        }
      }
      pixels[y * width + x] = sum / count;
    }
  }
}

function carriesMarker({ label, example }: SiteImage, site: number): boolean {
  const marked = (label + site) % 10 < 5;
  return marked === fraction(example, 0xacc + site) < MARKER_RATE;
}

/** White on a dark ground, black on a bright one. */
function stamp({ pixels, width }: SiteImage): void {
  const ink = pixels[0] > 0.5 ? 0 : 1;
  for (let y = 0; y < MARKER_SIZE; y++) pixels.fill(ink, y * width, y * width + MARKER_SIZE);
}

/** A number in [0, 1) that looks random: the finalizer of MurmurHash3 (A. Appleby, public domain) over both inputs. */
function fraction(a: number, b: number): number {
  let hash = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
