/** Markdown from data: what came from a run or a manifest cannot become markup. */

/** Text inside a line or a cell. */
export function text(value: string): string {
  return value
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]<>|]/g, '\\$&')
    .trim();
}

/** A table. Cells are markdown; the columns of `figures` are aligned to the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  figures: readonly number[] = [],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (figures.includes(column) ? '---:' : '---'));
  return [head, rule, ...rows].map(line).join('\n');
}

/** A block of code, fenced so that nothing in it ends the block. */
export function fenced(code: string, language = ''): string {
  const longest = Math.max(0, ...Array.from(code.matchAll(/`+/g), ([run]) => run.length));
  const fence = '`'.repeat(Math.max(3, longest + 1));
  return `${fence}${language}\n${code.trimEnd()}\n${fence}`;
}
