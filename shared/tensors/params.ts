/**
 * A model as the server sees it: one flat Float32Array and a table that says which slice is which tensor.
 *
 * Everything that crosses the wire, is clipped, masked, summed or written to disk is such a vector, so each of those
 * is one short loop over numbers, and the coordinator needs no tensor library. Tensors lie back to back, without
 * padding, in the order of the manifest (for {@link packTensors}: the insertion order of the record). A scalar has
 * shape [] and size 1.
 */
import { z } from 'zod';
import { invalidArgument } from '../errors.js';
import type { Infer } from '../schema.js';

/** Limits that hold for every model, checked before anything is allocated. */
export const MAX_ELEMENTS = 2 ** 31;
export const MAX_TENSORS = 65_536;
export const MAX_RANK = 16;
const NAME = /^(?!__proto__$|__metadata__$)[A-Za-z0-9_./-]{1,128}$/;

/** Of {@link TensorSpec}. */
export const tensorSpec = z.strictObject({ name: z.string(), shape: z.array(z.int().min(0)).max(MAX_RANK) });

/** A tensor without its values; {@link layoutOf} checks names and sizes. */
export type TensorSpec = Infer<typeof tensorSpec>;

/** `offset` and `size` count float32 elements, not bytes. */
export type LayoutEntry = TensorSpec & { readonly offset: number; readonly size: number };

export type Layout = readonly LayoutEntry[];

/** `values.length` equals `sizeOf(layout)`. */
export type Params = { readonly layout: Layout; readonly values: Float32Array };

/** Named tensors in host memory, row-major. (Names that are integers, '0', '1', come first: so orders JavaScript.) */
export type HostTensors = Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/**
 * The layout of `specs`, in their order.
 * @throws FlError invalid-argument: a bad or duplicate name, a bad shape, or a model over the limits above.
 */
export function layoutOf(specs: readonly TensorSpec[]): Layout {
  if (specs.length > MAX_TENSORS) throw invalidArgument('specs', `at most ${MAX_TENSORS} tensors`, specs.length);
  const seen = new Set<string>();
  const layout: LayoutEntry[] = [];
  let offset = 0;
  for (const { name, shape } of specs) {
    checkTensorName(name);
    if (seen.has(name)) throw invalidArgument('name', 'each tensor name once', name);
    seen.add(name);
    const size = elementCount(name, shape);
    if (offset + size > MAX_ELEMENTS) {
      throw invalidArgument(`shape of ${name}`, `at most ${MAX_ELEMENTS} elements in the model`, offset + size);
    }
    layout.push({ name, shape: [...shape], offset, size });
    offset += size;
  }
  return layout;
}

/** Elements of the whole vector. */
export function sizeOf(layout: Layout): number {
  const last = layout.at(-1);
  return last === undefined ? 0 : last.offset + last.size;
}

/** Copies named tensors into one vector, in insertion order. */
export function packTensors(tensors: HostTensors): Params {
  const entries = Object.entries(tensors);
  const layout = layoutOf(entries.map(([name, { shape }]) => ({ name, shape })));
  const values = new Float32Array(sizeOf(layout));
  for (const { name, offset, size } of layout) {
    const { data } = tensors[name];
    if (data.length !== size) throw invalidArgument(`data of ${name}`, `${size} elements`, data.length);
    values.set(data, offset);
  }
  return { layout, values };
}

/** The update: local − global, element by element, as new Params. Each difference is rounded to float32 once. */
export function subtract(local: Params, global: Params): Params {
  if (!sameLayout(local.layout, global.layout)) {
    throw invalidArgument('local', `the layout of global (${summary(global.layout)})`, summary(local.layout));
  }
  const values = new Float32Array(local.values.length);
  for (let i = 0; i < values.length; i++) values[i] = local.values[i] - global.values[i];
  return { layout: global.layout, values };
}

/** These tensors moved by an update in their order (global + update), in memory of their own. */
export function addUpdate(tensors: HostTensors, update: Float32Array): HostTensors {
  const { layout, values } = packTensors(tensors);
  for (let i = 0; i < values.length; i++) values[i] += update[i];
  return Object.fromEntries(
    layout.map(({ name, shape, offset, size }) => [name, { shape, data: values.subarray(offset, offset + size) }]),
  );
}

/** Same names, shapes and order. */
export function sameLayout(a: Layout, b: Layout): boolean {
  return a === b || (a.length === b.length && a.every((entry, i) => sameSpec(entry, b[i])));
}

/** Index of the first NaN or infinity, or −1. */
export function firstNonFinite(values: Float32Array): number {
  const block = 4096;
  for (let start = 0; start < values.length; start += block) {
    const end = Math.min(start + block, values.length);
    // x − x is 0 for a finite x and NaN otherwise, and NaN survives the sum: no branch inside the loop.
    let poison = 0;
    for (let i = start; i < end; i++) poison += values[i] - values[i];
    if (poison !== 0) for (let i = start; i < end; i++) if (!Number.isFinite(values[i])) return i;
  }
  return -1;
}

/** @throws FlError invalid-argument unless `name` is 1 to 128 of A–Z a–z 0–9 _ . / - (and not a word of JSON or safetensors) */
export function checkTensorName(name: string): void {
  if (!NAME.test(name)) throw invalidArgument('name', '1 to 128 characters of A-Z a-z 0-9 _ . / -', name);
}

/** Elements of a tensor of this shape (a product that stays exact: it stops at the limit). */
export function elementCount(name: string, shape: readonly number[]): number {
  if (shape.length > MAX_RANK)
    throw invalidArgument(`shape of ${name}`, `at most ${MAX_RANK} dimensions`, shape.length);
  let size = 1;
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw invalidArgument(`shape of ${name}`, 'integers of at least 0', `[${shape.join(',')}]`);
    }
    if (dimension > MAX_ELEMENTS || size * dimension > MAX_ELEMENTS) {
      throw invalidArgument(`shape of ${name}`, `at most ${MAX_ELEMENTS} elements`, `[${shape.join(',')}]`);
    }
    size *= dimension;
  }
  return size;
}

function sameSpec(a: TensorSpec, b: TensorSpec): boolean {
  return a.name === b.name && a.shape.length === b.shape.length && a.shape.every((n, axis) => n === b.shape[axis]);
}

function summary(layout: Layout): string {
  return `${layout.length} tensors, ${sizeOf(layout)} elements`;
}
