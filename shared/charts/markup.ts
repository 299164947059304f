/**
 * HTML and SVG as values that cannot be forged: the tag {@link html} escapes whatever is put into it, unless it is
 * itself the outcome of that tag. Names of clients, metrics and artefacts come from strangers, so no other way of
 * making markup exists in this folder. Attribute values are always written in double quotes.
 */

// A symbol, so that no object parsed from JSON can pass itself off as markup.
const MARKUP: unique symbol = Symbol('markup');

/** Finished markup: only {@link html} and {@link trusted} make it. */
export interface Html {
  readonly [MARKUP]: string;
}

/** What may be put into markup. */
export type Value = string | number | Html | null | undefined | false | readonly Value[];

/** Markup with every value escaped; lists are joined, `null`, `undefined` and `false` are left out. */
export function html(literals: TemplateStringsArray, ...values: readonly Value[]): Html {
  let text = literals[0];
  for (let i = 0; i < values.length; i++) text += render(values[i]) + literals[i + 1];
  return { [MARKUP]: text };
}

/** The text of finished markup. */
export function markupText(markup: Html): string {
  return markup[MARKUP];
}

/** Our own constant text (style sheet, script) as markup. Never call it with anything that came from a run. */
export function trusted(text: string): Html {
  return { [MARKUP]: text };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** Safe in element text and in quoted attribute values. */
function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"'`]/g, (char) => ENTITIES[char]);
}

/**
 * Control characters, lone surrogates and the characters that turn the direction of writing become U+FFFD: the first
 * could drive a terminal, the last could make a name read as another. Line breaks and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]|\p{Cs}|[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu, '\ufffd');
}

/** At most `most` characters, the last one an ellipsis when something was cut off. */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  const points = Array.from(text.slice(0, most * 2));
  return points.length <= most ? text : `${points.slice(0, most - 1).join('')}…`;
}

function render(value: Value): string {
  if (value === null || value === undefined || value === false) return '';
  if (Array.isArray(value)) return value.map(render).join('');
  if (typeof value === 'object' && MARKUP in value) return value[MARKUP];
  return escapeHtml(String(value));
}
