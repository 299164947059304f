/**
 * A model to start from, out of a safetensors file that this program or another wrote: its tensors under our names, in our
 * shapes and order. PyTorch keeps what a layer multiplies with the other way round: Linear as [out, in] where we have
 * [in, out], Conv2d as [out, in, height, width] where we have [height, width, in, out]; a transposition says so by name.
 */
import { z } from 'zod';
import { describe, FlError } from '../errors.js';
import type { Infer } from '../schema.js';
import { bytesOf } from './bytes.js';
import { firstNonFinite, type Layout, type LayoutEntry, type Params, sizeOf } from './params.js';
import { type RawTensor, tensorsIn } from './safetensors.js';

/**
 * By our name of a tensor, the file's; `transpose` lists the file's axes in our order, as PyTorch's `permute` does. A tensor
 * that is not named has the same name in both.
 */
export const tensorNames = z.record(
  z.string(),
  z.union([z.string(), z.strictObject({ from: z.string(), transpose: z.array(z.int().min(0)).optional() })]),
);

/** Of {@link tensorNames}. */
export type TensorNames = Infer<typeof tensorNames>;

/** A file, and how its tensors are called. */
export interface StartFile {
  /** For messages: its path. */
  readonly source: string;
  readonly bytes: Uint8Array;
  /** Absent: as ours, and the file must hold no others. Given: what it does not name is left in the file. */
  readonly names?: TensorNames;
}

/** More differences than these are counted. */
const MAX_SENTENCES = 12;

/**
 * The model of this layout that the file holds.
 * @throws FlError invalid-argument with a sentence for each tensor that differs; corrupt: no safetensors file
 */
export function startModel({ source, bytes, names }: StartFile, layout: Layout): Params {
  const inFile = new Map(tensorsIn(bytes).map((tensor) => [tensor.name, tensor]));
  const values = new Float32Array(sizeOf(layout));
  const wrong: string[] = [];
  const taken = new Set<string>();
  for (const entry of layout) {
    const { from, transpose } = sourceOf(entry.name, names);
    taken.add(from);
    const target = values.subarray(entry.offset, entry.offset + entry.size);
    const fault = fill(target, { entry, from, transpose }, { tensor: inFile.get(from), bytes });
    if (fault !== undefined) wrong.push(`${entry.name}: ${fault}`);
  }
  const ours = new Set(layout.map(({ name }) => name));
  for (const name of Object.keys(names ?? {}))
    if (!ours.has(name)) wrong.push(`${describe(name)}: no tensor of the workload has this name`);
  for (const name of names === undefined ? inFile.keys() : []) {
    if (!taken.has(name)) wrong.push(`${describe(name)}: the file holds it, the workload has no tensor of this name`);
  }
  if (wrong.length === 0) return { layout, values };
  const more = wrong.length > MAX_SENTENCES ? `; and ${wrong.length - MAX_SENTENCES} more` : '';
  const said = wrong.slice(0, MAX_SENTENCES).join('; ');
  throw new FlError('invalid-argument', `initial-model: ${source} is not this workload's model: ${said}${more}`);
}

type From = { readonly from: string; readonly transpose?: readonly number[] };

function sourceOf(name: string, names: TensorNames | undefined): From {
  const given = names !== undefined && Object.hasOwn(names, name) ? names[name] : name;
  return typeof given === 'string' ? { from: given } : given;
}

/** Why the tensor does not fit; undefined: it is in `target`. */
function fill(
  target: Float32Array,
  { entry, from, transpose }: { readonly entry: LayoutEntry } & From,
  { tensor, bytes }: { readonly tensor: RawTensor | undefined; readonly bytes: Uint8Array },
): string | undefined {
  const { name, shape, size } = entry;
  const called = from === name ? '' : ` (${describe(from)} in the file)`;
  if (tensor === undefined) return `expected a tensor of shape [${shape}]${called}, got none of that name`;
  if (tensor.dtype !== 'F32') return `expected dtype F32, got ${describe(tensor.dtype)}${called}; save it as float32`;
  const axes = transpose ?? shape.map((_, axis) => axis);
  const isPermutation = [...axes].sort((a, b) => a - b).every((axis, i) => axis === i);
  if (transpose !== undefined && (!isPermutation || axes.length !== tensor.shape.length)) {
    return `transpose: expected each axis of [${tensor.shape}] once, from 0, got [${transpose}]${called}`;
  }
  const turned = transpose === undefined ? tensor.shape : axes.map((axis) => tensor.shape[axis]);
  if (turned.length !== shape.length || turned.some((n, axis) => n !== shape[axis])) {
    return `expected shape [${shape}], got [${turned}]${called}${hintOn(tensor.shape, shape, transpose)}`;
  }
  if (tensor.end - tensor.begin !== 4 * size) {
    return `expected ${4 * size} bytes, got ${tensor.end - tensor.begin}${called}`;
  }
  const data = new Float32Array(size);
  bytesOf(data).set(bytes.subarray(tensor.begin, tensor.end));
  const bad = firstNonFinite(data);
  if (bad >= 0) return `expected finite numbers, got ${data[bad]} at element ${bad}${called}`;
  permute(data, tensor.shape, axes, target);
  return undefined;
}

/** The two layers whose shapes are commonly the other way round. */
function hintOn(theirs: readonly number[], ours: readonly number[], given: readonly number[] | undefined): string {
  const turns = { 2: [1, 0], 4: [2, 3, 1, 0] } as Readonly<Record<number, readonly number[]>>;
  const axes = turns[theirs.length];
  if (given !== undefined || axes === undefined || ours.length !== theirs.length) return '';
  if (axes.some((axis, i) => theirs[axis] !== ours[i])) return '';
  return `; initial-model-names with transpose: [${axes}] turns it`;
}

/** `out[i, j, ...]` is the element of `data`, of `shape`, whose index along axis `axes[0]` is i, along `axes[1]` is j, and so on. */
export function permute(
  data: Float32Array,
  shape: readonly number[],
  axes: readonly number[],
  out: Float32Array,
): void {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const sizes = axes.map((axis) => shape[axis]);
  const steps = axes.map((axis) => strides[axis]);
  const index = axes.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from];
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < sizes[axis]) break;
      from -= steps[axis] * sizes[axis];
      index[axis] = 0;
    }
  }
}
