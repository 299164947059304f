/** The parts of which our drawings in SVG are made. */

interface TextStyle {
  readonly x: number;
  readonly y: number;
  readonly size?: number;
  readonly weight?: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly colour?: string;
}

/** A text element; `words` may hold any characters. */
export function text(words: string, style: TextStyle): string {
  const { x, y, size = 13, weight = 400, anchor = 'start', colour = '#1f2937' } = style;
  const safe = words.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${colour}">${safe}</text>`;
}

/** To a tenth of a pixel. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
