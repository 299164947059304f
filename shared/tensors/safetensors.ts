/**
 * Model files: safetensors (https://github.com/huggingface/safetensors, README "Format"), tensors of dtype F32.
 *
 *     u64 LE n | n bytes of JSON, padded with spaces | data
 *     {"__metadata__": {text: text}, name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count bytes from the start of the data. As the format demands, tensors must cover the data without overlap or
 * hole and no key may come twice. Ours is stricter in one point: a header has at most 1 MiB (upstream 100 MB). Every
 * number of the header is checked against the file's length before anything of the model's size is allocated.
 */
import { describe, FlError, invalidArgument } from '../errors.js';
import { bytesOf } from './bytes.js';
import { findDuplicateKey } from './duplicate-key.js';
import { checkTensorName, elementCount, type Layout, layoutOf, type Params, sameLayout, sizeOf } from './params.js';

/** Of the JSON header: more is refused before it is read. */
export const MAX_HEADER_BYTES = 1 << 20;
const PREFIX_BYTES = 8;
const METADATA = '__metadata__';

/** Free text beside the tensors, by key. */
export type Metadata = Record<string, string>;

/**
 * The file of `params`: tensors in layout order, data starting on a multiple of 8 bytes. Equal arguments give equal
 * bytes.
 * @throws FlError invalid-argument if the header would pass 1 MiB.
 */
export function encode(params: Params, metadata: Metadata = {}): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  for (const { name, shape, offset, size } of params.layout) {
    header[name] = { dtype: 'F32', shape, data_offsets: [4 * offset, 4 * (offset + size)] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) throw invalidArgument('header', `at most ${MAX_HEADER_BYTES} bytes`, headerBytes);
  const file = new Uint8Array(PREFIX_BYTES + headerBytes + params.values.byteLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.set(json, PREFIX_BYTES);
  file.fill(0x20, PREFIX_BYTES + json.length, PREFIX_BYTES + headerBytes);
  file.set(bytesOf(params.values), PREFIX_BYTES + headerBytes);
  return file;
}

/**
 * Reads a file. Tensors come in the order of their data, or, with `expect`, in that layout's order; then the file must
 * hold exactly those names and shapes.
 * @throws FlError corrupt: not a well-formed file of F32 tensors, or not the expected one. The message names the field.
 */
export function decode(bytes: Uint8Array, options: { expect?: Layout } = {}): { params: Params; metadata: Metadata } {
  const { layout, metadata, dataStart } = decodeHeader(bytes);
  const target = options.expect ?? layout;
  const sources = matching(layout, target);
  const params = { layout: target, values: new Float32Array(sizeOf(target)) };
  const into = bytesOf(params.values);
  for (let i = 0; i < target.length; i++) {
    const from = dataStart + 4 * sources[i].offset;
    into.set(bytes.subarray(from, from + 4 * sources[i].size), 4 * target[i].offset);
  }
  return { params, metadata };
}

/** What {@link decode} learns before it touches the data: layout in data order, metadata, and where the data starts. */
export function decodeHeader(bytes: Uint8Array): { layout: Layout; metadata: Metadata; dataStart: number } {
  const { header, dataStart } = readHeader(bytes);
  const { [METADATA]: rawMetadata, ...tensors } = header;
  const entries = Object.entries(tensors).map(([name, value]) => readEntry(name, value));
  // Data order; an empty tensor shares its offset with the next one and comes before it.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin < covered) throw corrupt(`data_offsets of ${name}`, `no overlap: begin at ${covered}`, begin);
    if (begin > covered) throw corrupt(`data_offsets of ${name}`, `no hole: begin at ${covered}`, begin);
    covered = end;
  }
  const dataBytes = bytes.length - dataStart;
  if (covered > dataBytes) throw corrupt('data', `${covered} bytes`, `${dataBytes} (truncated)`);
  if (covered < dataBytes) throw corrupt('data', `${covered} bytes`, `${dataBytes} (trailing bytes)`);
  return { layout: asCorrupt(() => layoutOf(entries)), metadata: readMetadata(rawMetadata), dataStart };
}

/** A tensor as a header has it, of any dtype; `begin` and `end` count bytes from the start of the file, and lie in it. */
export interface RawTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/**
 * The tensors of a file that other software wrote, which may have names and dtypes that ours has not.
 * @throws FlError corrupt: no safetensors file
 */
export function tensorsIn(bytes: Uint8Array): RawTensor[] {
  const { header, dataStart } = readHeader(bytes);
  const { [METADATA]: _, ...tensors } = header;
  return Object.entries(tensors).map(([name, value]) => {
    const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
    const field = describe(name);
    if (typeof dtype !== 'string') throw corrupt(`dtype of ${field}`, 'a text', dtype);
    if (!isNumbers(shape)) throw corrupt(`shape of ${field}`, 'a list of numbers', shape);
    const [begin, end] = isNumbers(offsets) ? offsets.map((offset) => offset + dataStart) : [];
    const isInside = Number.isSafeInteger(begin) && begin >= dataStart && begin <= end && end <= bytes.length;
    if (!isInside) throw corrupt(`data_offsets of ${field}`, 'two places in the file', offsets);
    return { name, dtype, shape, begin, end };
  });
}

function readHeader(bytes: Uint8Array): { header: Record<string, unknown>; dataStart: number } {
  if (bytes.length < PREFIX_BYTES) throw corrupt('file', `at least ${PREFIX_BYTES} bytes`, bytes.length);
  const size = new DataView(bytes.buffer, bytes.byteOffset, PREFIX_BYTES).getBigUint64(0, true);
  if (size > BigInt(MAX_HEADER_BYTES)) throw corrupt('header length', `at most ${MAX_HEADER_BYTES}`, size);
  const dataStart = PREFIX_BYTES + Number(size);
  if (dataStart > bytes.length) throw corrupt('header', `${size} bytes`, `${bytes.length - PREFIX_BYTES} (truncated)`);
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(PREFIX_BYTES, dataStart));
    header = JSON.parse(text);
  } catch (cause) {
    throw new FlError('corrupt', `header: expected JSON in UTF-8 (${(cause as Error).message})`, { cause });
  }
  if (!text.startsWith('{')) throw corrupt('header', "'{' as its first byte", text.slice(0, 1));
  const twice = findDuplicateKey(text);
  if (twice !== undefined) throw corrupt('header', 'each key once', twice);
  return { header: header as Record<string, unknown>, dataStart };
}

function readEntry(name: string, value: unknown) {
  asCorrupt(() => checkTensorName(name)); // first, since every other message repeats the name
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (dtype !== 'F32') throw corrupt(`dtype of ${name}`, 'F32', dtype);
  if (!isNumbers(shape)) throw corrupt(`shape of ${name}`, 'a list of numbers', shape);
  if (!isNumbers(offsets) || offsets.length !== 2 || !offsets.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw corrupt(`data_offsets of ${name}`, 'two integers of at least 0', offsets);
  }
  const [begin, end] = offsets;
  const sizeBytes = 4 * asCorrupt(() => elementCount(name, shape));
  if (end - begin !== sizeBytes) {
    throw corrupt(`data_offsets of ${name}`, `${sizeBytes} bytes for shape [${shape.join(',')}]`, end - begin);
  }
  return { name, shape, begin, end };
}

function readMetadata(value: unknown): Metadata {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(METADATA, 'an object', value);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw corrupt(`${METADATA}.${key}`, 'a text', text);
  }
  return value as Metadata;
}

/** The entries of `layout` in the order of `expect`, or a refusal that names the first difference. */
function matching(layout: Layout, expect: Layout): Layout {
  if (sameLayout(layout, expect)) return layout;
  const byName = new Map(layout.map((entry) => [entry.name, entry]));
  const ordered = expect.map(({ name, shape }) => {
    const entry = byName.get(name);
    if (entry === undefined) throw corrupt('tensors', `${name} among them`, 'none of that name');
    if (entry.shape.length !== shape.length || entry.shape.some((n, axis) => n !== shape[axis])) {
      throw corrupt(`shape of ${name}`, `[${shape.join(',')}]`, `[${entry.shape.join(',')}]`);
    }
    return entry;
  });
  if (layout.length > expect.length) {
    const known = new Set(expect.map(({ name }) => name));
    throw corrupt('tensors', `${expect.length} tensors`, `also ${layout.find(({ name }) => !known.has(name))?.name}`);
  }
  return ordered;
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => typeof n === 'number');
}

function corrupt(field: string, expected: string, got: unknown): FlError {
  return new FlError('corrupt', invalidArgument(field, expected, got).message);
}

/** In a file a bad name or shape is corruption, not wrong use. */
function asCorrupt<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    throw new FlError('corrupt', (cause as Error).message, { cause });
  }
}
