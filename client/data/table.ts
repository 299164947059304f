/**
 * A site's own table: a CSV file (RFC 4180) into columns of numbers and categories, or a refusal that names line, column,
 * what was expected and what came. The cells are csv-parse's; what they mean is decided here.
 *
 * Nothing is guessed: a workload names its columns and what each may hold, categories included, so that every lab numbers
 * them alike; and a missing value is refused unless the workload says what stands for it.
 */
import { readFile } from 'node:fs/promises';
import type { CsvError } from 'csv-parse/sync';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type ColumnReading, noteReading } from './readings.js';

/** What a column holds. `missing`: what stands for a missing cell; without it, one is refused. */
export type ColumnSpec =
  | { readonly kind: 'number'; readonly min?: number; readonly max?: number; readonly missing?: number }
  | { readonly kind: 'category'; readonly values: readonly string[]; readonly missing?: string }
  | { readonly kind: 'text' };

/** Float32Array of numbers, Int32Array of positions in `values`, or strings. */
type Cells<Spec extends ColumnSpec> = Spec extends { kind: 'number' }
  ? Float32Array
  : Spec extends { kind: 'category' }
    ? Int32Array
    : string[];

/** `count` rows; of each column its cells, and how many of them were missing and filled in. */
export interface Table<Columns extends Readonly<Record<string, ColumnSpec>>> {
  readonly count: number;
  readonly columns: { readonly [Name in keyof Columns]: Cells<Columns[Name]> };
  readonly missing: { readonly [Name in keyof Columns]: number };
}

export interface TableOptions<Columns extends Readonly<Record<string, ColumnSpec>>> {
  /** By the names of the header; its other columns are not read. */
  readonly columns: Columns;
  /** Between cells; default: a comma. */
  readonly delimiter?: string;
  /** How a missing cell is written, besides an empty one; default: NA, N/A, NaN, null and ?. */
  readonly missingWords?: readonly string[];
}

const MISSING_WORDS = ['NA', 'N/A', 'NaN', 'null', '?'];
/** No locale, no hexadecimal, no Infinity: what every program writes and reads alike. */
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** One row of the file: its cells, and the line of the file that each begins on, counted from 1. */
interface Row {
  readonly cells: readonly string[];
  readonly lines: readonly number[];
}

/**
 * Reads a CSV file in UTF-8 whose first row names the columns. A byte order mark, CRLF, blank lines, quoted cells (with
 * delimiters and line breaks inside) and spaces around a cell are no faults.
 * @throws FlError invalid-argument: `FILE: line L, column "NAME": expected ..., got ...`
 */
export async function readTable<const Columns extends Readonly<Record<string, ColumnSpec>>>(
  path: string,
  options: TableOptions<Columns>,
): Promise<Table<Columns>> {
  const { delimiter = ',', missingWords = MISSING_WORDS } = options;
  const [header, ...rows] = await rowsOf(path, await textOf(path), delimiter);
  if (header === undefined) throw invalidArgument(path, 'a row of column names and rows of data', 'an empty file');
  const positions = positionsOf(path, header, Object.keys(options.columns), delimiter);
  const words = new Set(missingWords.map((word) => word.toLowerCase()));
  const isMissing = (cell: string) => cell === '' || words.has(cell.toLowerCase());
  const columns: Record<string, Float32Array | Int32Array | string[]> = {};
  const missing: Record<string, number> = {};
  for (const [name, spec] of Object.entries(options.columns)) {
    missing[name] = 0;
    const at = positions.get(name)!;
    const values = rows.map(({ cells, lines }) => {
      const cell = cells[at].trim().normalize('NFC');
      const refuse = (expected: string) =>
        invalidArgument(`${path}: line ${lines[at]}, column "${name}"`, expected, cell);
      if (spec.kind === 'text') return cell;
      if (!isMissing(cell))
        return spec.kind === 'number' ? numberIn(cell, spec, refuse) : categoryIn(cell, spec, refuse);
      missing[name] += 1;
      return filled(spec, refuse);
    });
    columns[name] = arrayOf(spec, values);
  }
  noteReading(() => ({
    ...{ path, count: rows.length },
    columns: Object.entries(options.columns).map(([name, spec]) => {
      return { column: name, missing: missing[name], ...foundIn(spec, columns[name]) };
    }),
  }));
  return { count: rows.length, columns, missing } as unknown as Table<Columns>;
}

function foundIn(spec: ColumnSpec, cells: ArrayLike<number | string>): Partial<ColumnReading> {
  if (spec.kind === 'text' || cells.length === 0) return {};
  const values = Array.from(cells, Number);
  if (spec.kind === 'category') {
    const counts = spec.values.map((value, i) => [value, values.filter((one) => one === i).length] as const);
    return { categories: Object.fromEntries(counts) };
  }
  const range = (pick: (a: number, b: number) => number) => values.reduce((a, b) => pick(a, b));
  return { min: range(Math.min), max: range(Math.max) };
}

type Refuse = (expected: string) => FlError;

function numberIn(cell: string, { min, max }: Extract<ColumnSpec, { kind: 'number' }>, refuse: Refuse): number {
  if (!NUMBER.test(cell)) {
    throw refuse(/^[+-]?\d+,\d+$/.test(cell) ? 'a number with a decimal point' : 'a number');
  }
  const value = Number(cell);
  if (!Number.isFinite(Math.fround(value))) throw refuse('a number that 32 bits hold');
  if (min !== undefined && value < min) throw refuse(`at least ${min}`);
  if (max !== undefined && value > max) throw refuse(`at most ${max}`);
  return value;
}

function categoryIn(cell: string, { values }: Extract<ColumnSpec, { kind: 'category' }>, refuse: Refuse): number {
  const position = values.findIndex((value) => value.normalize('NFC') === cell);
  if (position < 0) throw refuse(`one of ${values.join(', ')}`);
  return position;
}

function filled(spec: Exclude<ColumnSpec, { kind: 'text' }>, refuse: Refuse): number {
  if (spec.missing === undefined) {
    const what = spec.kind === 'number' ? 'a number' : `one of ${spec.values.join(', ')}`;
    throw refuse(`${what} (or \`missing\` in the workload, which says what stands for none)`);
  }
  if (spec.kind === 'number') return spec.missing;
  const position = spec.values.indexOf(spec.missing);
  if (position < 0) throw invalidArgument('missing', `one of ${spec.values.join(', ')}`, spec.missing);
  return position;
}

function arrayOf({ kind }: ColumnSpec, values: readonly (string | number)[]): Float32Array | Int32Array | string[] {
  if (kind === 'number') return Float32Array.from(values as number[]);
  return kind === 'category' ? Int32Array.from(values as number[]) : (values as string[]);
}

/** Where each wanted column stands in the header. */
function positionsOf(path: string, { cells, lines }: Row, wanted: readonly string[], delimiter: string) {
  const names = cells.map((cell) => cell.trim().normalize('NFC'));
  const twice = names.find((name, i) => name !== '' && names.indexOf(name) !== i);
  const at = `${path}: line ${lines[0]}`;
  if (twice !== undefined) throw invalidArgument(at, 'each column name once', twice);
  const other = [';', '\t', ',', '|'].find((one) => one !== delimiter && names.length === 1 && names[0].includes(one));
  if (other !== undefined && !names.includes(wanted[0]?.normalize('NFC'))) {
    throw invalidArgument(`${at}: delimiter`, JSON.stringify(delimiter), other);
  }
  const positions = wanted.map((name) => [name, names.indexOf(name.normalize('NFC'))] as const);
  const [lacking] = positions.find(([, position]) => position < 0) ?? [];
  if (lacking !== undefined) {
    const got = names.join(', ');
    throw new FlError(
      'invalid-argument',
      `${at}: expected a column "${lacking}", got ${got.length > 200 ? `${got.slice(0, 197)}...` : got}`,
    );
  }
  return new Map(positions);
}

/** @throws FlError invalid-argument: no file, or not UTF-8, with the line */
async function textOf(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code === 'EISDIR' ? 'a folder' : cause.code;
    throw new FlError('invalid-argument', `${path}: expected a readable CSV file, got ${got}`, { cause });
  });
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    throw new FlError('invalid-argument', `${path}: expected text in UTF-8, got UTF-16 (save it as "CSV UTF-8")`);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes); // takes the byte order mark away
    return text.replace(/\r\n?/g, '\n'); // inside quotes csv-parse counts CRLF as two lines
  } catch (cause) {
    const before = new TextDecoder().decode(bytes).split('�')[0];
    const line = before.split(/\r\n|\r|\n/).length;
    throw new FlError(
      'invalid-argument',
      `${path}: line ${line}: expected text in UTF-8, got another encoding (save it as "CSV UTF-8")`,
      { cause },
    );
  }
}

/** Rows of equally many cells. */
async function rowsOf(path: string, text: string, delimiter: string): Promise<Row[]> {
  const { CsvError, parse } = await import('csv-parse/sync'); // here: most runs read no table
  const settings = { delimiter, info: true, skip_empty_lines: true, relax_column_count: true } as const;
  let parsed: { record: string[]; info: { lines: number } }[];
  try {
    parsed = parse(text, settings) as unknown as typeof parsed;
  } catch (thrown) {
    if (!(thrown instanceof CsvError)) throw thrown;
    // csv-parse says where the file ends; where a quote was opened is after the last row that is whole.
    const whole = Number(thrown.records) > 0 ? parse(text, { ...settings, to: Number(thrown.records) }) : [];
    throw quotesWrong(path, thrown, ((whole.at(-1) as (typeof parsed)[0] | undefined)?.info.lines ?? 0) + 1);
  }
  const rows = parsed.map(({ record, info }) => rowOf(record, info.lines));
  const width = rows[0]?.cells.length;
  for (const { cells, lines } of rows) {
    if (cells.length !== width) {
      throw invalidArgument(`${path}: line ${lines[0]}`, `${width} cells, as in the first row`, cells.length);
    }
  }
  return rows;
}

/** @param lastLine of the file, on which the row ends */
function rowOf(cells: readonly string[], lastLine: number): Row {
  const breaks = cells.map((cell) => cell.split('\n').length - 1);
  let line = lastLine - breaks.reduce((sum, one) => sum + one, 0);
  const lines = breaks.map((inside) => {
    line += inside;
    return line - inside;
  });
  return { cells, lines };
}

/** @param line on which the row with the quote begins */
function quotesWrong(path: string, error: CsvError, line: number): FlError {
  const isOpen = error.code === 'CSV_QUOTE_NOT_CLOSED';
  const expected = isOpen ? 'a closing quote' : 'quotes around a whole cell, and doubled inside one';
  const got = isOpen ? 'the end of the file' : error.message.replace(/^.*?: | at line \d+/g, '');
  return new FlError('invalid-argument', `${path}: line ${line}: expected ${expected}, got ${got}`, { cause: error });
}
