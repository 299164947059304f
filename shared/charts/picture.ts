/** A drawing that is a file of its own: an SVG with its title, its ground and its style. */
import { type Html, html, trusted } from './markup.js';
import { px } from './scale.js';
import { PICTURE_STYLE } from './style.js';

const MARGIN = 20;
const LINE = 20;
/** Pixels that a character takes at most on average, at the sizes of plain text and of titles. */
const CHARACTER = 8;
const TITLE_CHARACTER = 9.5;

/** Where a text stands and how it looks. */
export interface TextStyle {
  readonly x: number;
  /** Of the baseline. */
  readonly y: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  /** Classes of style.ts: a tone, `strong`, `light`. */
  readonly look?: string;
}

/** The drawing `content`, `width` x `height`, below its title, which is broken into lines where it is longer. */
export function picture(title: string, { width, height }: { width: number; height: number }, content: Html): Html {
  const lines = wrapped(title, width / TITLE_CHARACTER);
  const top = MARGIN + lines.length * LINE + 8;
  const [fullWidth, fullHeight] = [Math.ceil(width + 2 * MARGIN), Math.ceil(top + height + MARGIN)];
  return html`<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="${fullWidth}" height="${fullHeight}" viewBox="0 0 ${fullWidth} ${fullHeight}" font-family="system-ui,sans-serif"><style>${trusted(PICTURE_STYLE)}</style><rect width="100%" height="100%" fill="#fff"/>
${lines.map((line, i) => text(line, { x: MARGIN, y: MARGIN + 12 + i * LINE, look: 'title strong' }))}
<svg x="${MARGIN}" y="${top}" width="${px(width)}" height="${px(height)}" overflow="visible">${content}</svg></svg>
`;
}

/** One line of plain text. */
export function text(words: string, { x, y, anchor = 'start', look = '' }: TextStyle): Html {
  return html`<text class="plain ${look}" x="${px(x)}" y="${px(y)}" text-anchor="${anchor}">${words}</text>`;
}

/** Room for the longest of some plain texts; fonts differ, so it is generous. */
export function widthOf(texts: readonly string[]): number {
  return CHARACTER * Math.max(0, ...texts.map((words) => words.length));
}

/** The words in lines of at most `most` characters, or of one longer word. */
function wrapped(words: string, most: number): string[] {
  const lines: string[] = [];
  for (const word of words.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
