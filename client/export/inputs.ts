/** Inputs of a forward pass out of a file: CSV with an example in each row, or safetensors with a tensor for each input. */
import { readFile } from 'node:fs/promises';
import { describe, FlError, invalidArgument } from '../../shared/errors.js';
import { tensorsIn } from '../../shared/tensors/safetensors.js';
import type { InputSpec } from '../workload.js';

type Specs = Readonly<Record<string, InputSpec>>;

/** `values` by input, an example after the other. */
export interface InputRows {
  readonly count: number;
  readonly values: Readonly<Record<string, Float32Array>>;
}

/**
 * CSV has a column for each number of an example, of one input after the other, in rows of their shapes, and may begin with
 * a line of names; safetensors has [count, ...shape] in F32, I32 or I64.
 * @throws FlError invalid-argument, naming the file, row and column or the tensor
 */
export async function readInputs(path: string, specs: Specs): Promise<InputRows> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new FlError('invalid-argument', `${path}: expected a readable file, got ${cause.code}`, { cause });
  });
  if (path.endsWith('.safetensors')) return fromSafetensors(path, bytes, specs);
  if (path.endsWith('.csv')) return fromCsv(path, bytes.toString('utf8'), specs);
  throw invalidArgument('data', 'a folder, a .csv or a .safetensors file', path);
}

/** Numbers of one example in an input. */
export function widthOf({ shape }: Pick<InputSpec, 'shape'>): number {
  return shape.reduce((product, size) => product * size, 1);
}

function fromCsv(path: string, text: string, specs: Specs): InputRows {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  while (lines.at(-1)?.trim() === '') lines.pop();
  const cells = lines.map((line) => line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1')));
  const isHeader = cells[0]?.some((cell) => cell !== '' && Number.isNaN(Number(cell)));
  const first = isHeader ? 1 : 0;
  const width = Object.values(specs).reduce((sum, spec) => sum + widthOf(spec), 0);
  const count = cells.length - first;
  const values = Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [name, new Float32Array(count * widthOf(spec))]),
  );
  for (let row = 0; row < count; row++) {
    const line = cells[row + first];
    const where = `${path}, line ${row + first + 1}`;
    if (line.length !== width) {
      const all = Object.entries(specs).map(([name, { shape }]) => `${name} [${shape}]`);
      const own = "a lab's own table is read by its workload: name the folder that it is in";
      throw invalidArgument(
        where,
        `${width} numbers (${all.join(', ')}), as the model takes them; ${own}`,
        line.length,
      );
    }
    let column = 0;
    for (const [name, spec] of Object.entries(specs)) {
      const size = widthOf(spec);
      for (let i = 0; i < size; i++)
        values[name][row * size + i] = numberIn(line[column++], spec, `${where}, column ${column}`);
    }
  }
  return { count, values };
}

function numberIn(cell: string, { dtype }: InputSpec, where: string): number {
  const value = Number(cell);
  const isRight = cell !== '' && Number.isFinite(value) && (dtype !== 'int32' || Number.isInteger(value));
  if (!isRight) throw invalidArgument(where, dtype === 'int32' ? 'a whole number' : 'a number', cell);
  return value;
}

const READERS = {
  F32: (view: DataView, at: number) => view.getFloat32(4 * at, true),
  I32: (view: DataView, at: number) => view.getInt32(4 * at, true),
  I64: (view: DataView, at: number) => Number(view.getBigInt64(8 * at, true)),
};

function fromSafetensors(path: string, bytes: Uint8Array, specs: Specs): InputRows {
  const found = new Map(tensorsIn(bytes).map((tensor) => [tensor.name, tensor]));
  let count: number | undefined;
  const values: Record<string, Float32Array> = {};
  for (const [name, spec] of Object.entries(specs)) {
    const tensor = found.get(name);
    const wanted = `${describe(name)} of shape [${['count', ...spec.shape]}] in F32, I32 or I64`;
    if (tensor === undefined) throw invalidArgument(path, wanted, `tensors ${[...found.keys()].join(', ')}`);
    const { dtype, shape, begin, end } = tensor;
    const isShape =
      shape.length === spec.shape.length + 1 && spec.shape.every((size, axis) => size === shape[axis + 1]);
    if (!isShape || !Object.hasOwn(READERS, dtype)) throw invalidArgument(path, wanted, `${dtype} [${shape}]`);
    const rows = shape[0];
    if (count !== undefined && count !== rows) throw invalidArgument(path, `${count} examples in ${name}`, rows);
    count = rows;
    const size = rows * widthOf(spec);
    const isWhole = end - begin === size * (dtype === 'I64' ? 8 : 4);
    if (!isWhole) throw invalidArgument(`${path}: ${name}`, `bytes for [${shape}]`, end - begin);
    const view = new DataView(bytes.buffer, bytes.byteOffset + begin, end - begin);
    const read = READERS[dtype as keyof typeof READERS];
    values[name] = Float32Array.from({ length: size }, (_, i) => read(view, i));
  }
  return { count: count ?? 0, values };
}
