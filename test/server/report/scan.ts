/**
 * A scanner that knows only the markup our pages may consist of: quoted attributes, closed elements, known entities.
 * Anything else throws, so that a test that scans a page has checked that nothing broke out of its place.
 */

export interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

export interface Scan {
  readonly elements: readonly Element[];
  /** Text between elements, entities resolved, style and script left out. */
  readonly text: string;
  readonly style: string;
  readonly script: string;
}

const VOID = new Set(['meta', 'img']);
const ENTITY: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#96': '`' };

/** @throws Error on markup that is not of the kind above */
export function scanHtml(page: string): Scan {
  const elements: Element[] = [];
  const open: string[] = [];
  const raw: Record<string, string> = { style: '', script: '' };
  let text = '';
  let rest = page.replace(/^<!doctype html>/, '');
  while (rest !== '') {
    const inside = open.at(-1) ?? '';
    if (inside in raw) {
      const end = rest.indexOf(`</${inside}>`);
      raw[inside] += rest.slice(0, end);
      rest = rest.slice(end);
    }
    const token = /^<\/([a-z0-9]+)>|^<([a-z0-9]+)((?: [a-zA-Z-]+(?:="[^"<>]*")?)*)(\/?)>|^[^<>]+/.exec(rest);
    if (token === null) throw new Error(`not markup of ours: ${rest.slice(0, 80)}`);
    rest = rest.slice(token[0].length);
    if (token[1] !== undefined) {
      if (open.pop() !== token[1]) throw new Error(`</${token[1]}> closes nothing`);
    } else if (token[2] !== undefined) {
      elements.push({ name: token[2], attributes: attributesOf(token[3]) });
      if (!VOID.has(token[2]) && token[4] === '') open.push(token[2]);
    } else {
      text += resolved(token[0]);
    }
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join(' ')}`);
  return { elements, text, style: raw.style, script: raw.script };
}

function attributesOf(source: string): Map<string, string> {
  const found = source.matchAll(/ ([a-zA-Z-]+)(?:="([^"]*)")?/g);
  return new Map([...found].map(([, name, value]) => [name, resolved(value ?? '')]));
}

function resolved(text: string): string {
  return text.replace(/&([^;]*;)?/g, (whole, entity: string | undefined) => {
    const char = ENTITY[entity?.slice(0, -1) ?? ''];
    if (char === undefined) throw new Error(`a bare & or an unknown entity: ${whole}`);
    return char;
  });
}
