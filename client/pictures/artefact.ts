import { type Html, markupText } from '../../shared/charts/markup.js';
import type { Artefact } from '../workload.js';

/** A picture as a file of the run: `name`.svg. */
export function svgArtefact(name: string, title: string, picture: Html): Artefact {
  const bytes = new TextEncoder().encode(markupText(picture));
  return { path: `${name}.svg`, mime: 'image/svg+xml', title, bytes };
}
