/**
 * The forward pass of a workload as a graph whose batch is open: two recordings, of a batch of two and of one of three,
 * which must do the same; what differs between them is the batch, and nothing else may.
 */
import tf = require('@tensorflow/tfjs-core');

import { describe, FlError } from '../../shared/errors.js';
import type { Hyper } from '../../shared/run/spec.js';
import type { HostTensors } from '../../shared/tensors/params.js';
import { uploadTensors } from '../training/evaluate.js';
import type { Prediction, TensorMap } from '../workload.js';
import { type Recorded, type RecordedKernel, recordPass } from './record.js';

/** How an open dimension is written. */
export const OPEN = -1;

/** A tensor of the graph. A constant and a parameter have their numbers with them. */
export interface GraphValue {
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
  readonly data?: ArrayLike<number>;
}

/** A kernel of TensorFlow.js, by its name there; inputs by the names that the kernel gives them, or by place in a list. */
export interface GraphNode {
  readonly kernel: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly output: string;
}

/** Nodes in an order in which they can run. Inputs and outputs have the names of the workload. */
export interface Graph {
  readonly inputs: readonly string[];
  /** By the workload's name of an output, the graph's of a value. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly values: ReadonlyMap<string, GraphValue>;
  readonly nodes: readonly GraphNode[];
}

/**
 * The graph of `predict` with these parameters. Runs on the current back end.
 * @throws FlError failed-precondition: the pass is not the same for batches of two sizes, and cannot be exported
 */
export function graphOf(predict: Prediction, shared: HostTensors, hyper: Hyper): Graph {
  const params = uploadTensors(shared);
  try {
    const [two, three] = [2, 3].map((batch) => {
      const inputs = blankInputs(predict, hyper, batch);
      try {
        return recordPass(params, inputs, () => predict.forward(params, inputs, hyper));
      } finally {
        tf.dispose(inputs);
      }
    });
    return merged(two, three, shared);
  } finally {
    tf.dispose(params);
  }
}

/** Zeros in the one, ones in the other: a constant that was read from an input differs, and is refused. */
function blankInputs(predict: Prediction, hyper: Hyper, batch: number): TensorMap {
  const specs = Object.entries(predict.inputs(hyper));
  return Object.fromEntries(
    specs.map(([name, { shape, dtype = 'float32' }]) => [name, tf.fill([batch, ...shape], batch - 2, dtype)]),
  );
}

function merged(two: Recorded, three: Recorded, shared: HostTensors): Graph {
  if (two.kernels.length !== three.kernels.length || two.values.length !== three.values.length) {
    throw notExportable(
      'it runs as many kernels for every batch',
      [two, three].map((r) => r.kernels.length).join(' and '),
    );
  }
  const names = namesOf(two);
  const values = new Map<string, GraphValue>();
  for (const [id, { from, name, dtype, shape, data }] of two.values.entries()) {
    const other = three.values[id];
    if (other.from !== from || other.shape.length !== shape.length) throw notExportable('the same steps', names[id]);
    const open = shape.map((size, axis) => (size === other.shape[axis] ? size : OPEN));
    const given = from === 'param' ? shared[name as string].data : data;
    if (from === 'constant') {
      const isSame = !open.includes(OPEN) && data!.every((value, i) => Object.is(value, other.data![i]));
      if (!isSame) throw notExportable('constants that do not depend on the inputs', `one of shape [${shape}]`);
    }
    values.set(names[id], { shape: open, dtype, ...(given && { data: given }) });
  }
  const nodes = two.kernels.map((kernel, i) => nodeOf(kernel, three.kernels[i], names));
  const outputs = Object.fromEntries(Object.entries(two.outputs).map(([name, id]) => [name, names[id]]));
  const inputs = two.values.flatMap(({ from, name }) => (from === 'input' ? [name as string] : []));
  return { inputs, outputs, values, nodes: needed(nodes, Object.values(outputs)) };
}

/** Inputs and parameters keep their names; if both have one, the parameter's is written `model/NAME`. */
function namesOf({ values, kernels }: Recorded): string[] {
  const inputs = new Set(values.flatMap(({ from, name }) => (from === 'input' ? [name] : [])));
  const kernelOf = new Map(kernels.flatMap(({ kernel, outputs }) => outputs.map((id) => [id, kernel] as const)));
  return values.map(({ from, name }, id) => {
    if (from === 'input') return name as string;
    if (from === 'param') return inputs.has(name) ? `model/${name}` : (name as string);
    return from === 'constant' ? `constant/${id}` : `step/${id}/${kernelOf.get(id)}`;
  });
}

function nodeOf(one: RecordedKernel, other: RecordedKernel, names: readonly string[]): GraphNode {
  const { kernel, inputs, outputs } = one;
  const sameWiring = JSON.stringify([kernel, inputs, outputs]);
  if (sameWiring !== JSON.stringify([other.kernel, other.inputs, other.outputs])) {
    throw notExportable(`${kernel} for every batch`, other.kernel);
  }
  if (outputs.length !== 1) throw notExportable('kernels with one output', kernel);
  const attrs = Object.fromEntries(
    Object.entries(one.attrs).map(([key, value]) => [key, attrOf(kernel, key, value, other.attrs[key])]),
  );
  const from = Object.fromEntries(Object.entries(inputs).map(([key, id]) => [key, names[id]]));
  return { kernel, inputs: from, attrs, output: names[outputs[0]] };
}

/** The shape of a reshape may follow the batch in one dimension, which is then inferred. */
function attrOf(kernel: string, key: string, one: unknown, other: unknown): unknown {
  if (JSON.stringify(one) === JSON.stringify(other)) return one;
  if (kernel === tf.Reshape && key === 'shape') {
    const [a, b] = [one as number[], other as number[]];
    const open = a.map((size, axis) => (size === b[axis] ? size : OPEN));
    if (a.length === b.length && open.filter((size) => size === OPEN).length === 1) return open;
  }
  throw notExportable(`${kernel} with the same ${key} for every batch`, `[${one}] and [${other}]`);
}

/** Without what no output follows from. */
function needed(nodes: readonly GraphNode[], outputs: readonly string[]): GraphNode[] {
  const wanted = new Set(outputs);
  const kept: GraphNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!wanted.has(node.output)) continue;
    for (const name of Object.values(node.inputs)) wanted.add(name);
    kept.push(node);
  }
  return kept.reverse();
}

/** What a workload's author reads when a pass cannot become a graph. */
export function notExportable(expected: string, got: unknown): FlError {
  const said = typeof got === 'string' ? got : describe(got);
  return new FlError(
    'failed-precondition',
    `predict.forward: expected ${expected}, got ${said}; next: change the workload's predict, or use --format safetensors`,
  );
}
