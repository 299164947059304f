/**
 * What the workload made for people to look at, held inside the page: pictures, video and sound as data URLs of a
 * fixed list of types, text as text. Anything else, or too large, is a link to the file beside the page.
 */

import { type Html, html, printable, shorten } from '../../shared/charts/markup.js';
import { formatBytes } from './format.js';

/** An artefact whose content is held in the page. */
export interface InlineArtefact {
  /** As in report.json: below artefacts/. */
  readonly path: string;
  readonly mime: string;
  readonly title: string;
  readonly bytes: Uint8Array;
}

/** An artefact as report.json names it. */
export interface ListedArtefact {
  readonly path: string;
  readonly mime: string;
  readonly title: string;
}

/** Larger files are not read into the page. */
export const MAX_INLINE_BYTES = 16 * 1024 * 1024;
/** All of them together. */
export const MAX_INLINE_TOTAL_BYTES = 48 * 1024 * 1024;
const MAX_TEXT_CHARS = 20_000;

const IMAGES: readonly string[] = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/svg+xml'];
const VIDEOS: readonly string[] = ['video/mp4', 'video/webm'];
const SOUNDS: readonly string[] = ['audio/wav', 'audio/mpeg', 'audio/ogg'];
const TEXT = /^(text\/[a-z0-9.+-]+|application\/(json|yaml|x-ndjson))(;.*)?$/;

/** Null when there are none. Listed ones without bytes are named, with a link. */
export function artefactsSection(listed: readonly ListedArtefact[], inline: readonly InlineArtefact[]): Html | null {
  const bytesOf = new Map(inline.map((artefact) => [artefact.path, artefact.bytes]));
  const missing = inline.filter(({ path }) => !listed.some((one) => one.path === path));
  const all = [...listed, ...missing];
  if (all.length === 0) return null;
  let left = MAX_INLINE_TOTAL_BYTES;
  return html`<section><h2>Artefacts</h2><div class="artefacts">${all.map((artefact) => {
    const bytes = bytesOf.get(artefact.path) ?? null;
    const fits = bytes !== null && bytes.length <= Math.min(left, MAX_INLINE_BYTES);
    if (fits) left -= bytes.length;
    return figure(artefact, fits ? bytes : null);
  })}</div></section>`;
}

function figure(artefact: ListedArtefact, bytes: Uint8Array | null): Html {
  const title = shorten(artefact.title, 200);
  const content =
    bytes === null ? html`<p class="none">Not held in this page.</p>` : shown(artefact.mime, title, bytes);
  const size = bytes === null ? '' : `, ${formatBytes(bytes.length)}`;
  return html`<figure${!isPicture(artefact.mime) && html` class="large"`}><figcaption><b>${title}</b> <span>${file(artefact.path)}${size}</span></figcaption>${content}</figure>`;
}

function shown(mime: string, title: string, bytes: Uint8Array): Html {
  if (IMAGES.includes(mime)) return html`<img src="${dataUrl(mime, bytes)}" alt="${title}">`;
  if (VIDEOS.includes(mime)) return html`<video controls src="${dataUrl(mime, bytes)}" aria-label="${title}"></video>`;
  if (SOUNDS.includes(mime)) return html`<audio controls src="${dataUrl(mime, bytes)}" aria-label="${title}"></audio>`;
  if (!TEXT.test(mime)) return html`<p class="none">${shorten(mime, 80)} cannot be shown here.</p>`;
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_TEXT_CHARS * 4));
  return html`<pre tabindex="0">${shorten(text, MAX_TEXT_CHARS)}</pre>`;
}

/** A link only into the folder beside the page; any other path stays text. */
function file(path: string): Html {
  const name = shorten(path, 120);
  const steps = path.split('/');
  if (steps[0] !== 'artefacts' || steps.some((step) => step === '' || step === '.' || step === '..'))
    return html`${name}`;
  return html`<a href="${steps.map((step) => encodeURIComponent(printable(step))).join('/')}">${name}</a>`;
}

function isPicture(mime: string): boolean {
  return IMAGES.includes(mime) || VIDEOS.includes(mime);
}

/** `mime` is one of our own lists. */
function dataUrl(mime: string, bytes: Uint8Array): string {
  return `data:${mime};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}`;
}
