/**
 * A model as TensorFlow.js loads it with `loadGraphModel`: `model.json` with a TensorFlow graph, and `weights.bin`.
 *
 * The format: @tensorflow/tfjs-core 4.22, io/types.ts (ModelJSON, weightsManifest), and for nodes and their attributes
 * tensorflow/core/framework/graph.proto in the JSON of protobuf: int64 as text, bytes in base64.
 */
import tf = require('@tensorflow/tfjs-core');

import { VERSION } from '../../shared/version.js';
import { type Graph, type GraphNode, type GraphValue, notExportable } from './graph.js';
import type { ExportedNames } from './onnx.js';
import { plainGraph } from './plain.js';
import { axesOf, movesOf, pair } from './windows.js';

type Attrs = Record<string, object>;

interface TensorFlowNode {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Attrs;
}

/** Makes a constant, a list of whole numbers unless it is said otherwise, and returns its name. */
type Ints = (values: readonly number[], shape?: readonly number[], dtype?: 'int32' | 'float32') => string;
type Row = (node: GraphNode, ints: Ints, values: Graph['values']) => Omit<TensorFlowNode, 'name'>;

const DTYPES: Readonly<Record<string, string>> = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' };

/**
 * The two files by name. @throws FlError failed-precondition: a kernel that has no operator
 */
export function graphModelFiles(graph: Graph, { name, metadata, about }: ExportedNames): Record<string, Uint8Array> {
  const { values, nodes, inputs, outputs } = plainGraph(graph);
  const written: TensorFlowNode[] = [];
  const weights: { name: string; shape: readonly number[]; dtype: string }[] = [];
  const data: Uint8Array[] = [];
  const constant = (key: string, { shape, dtype, data: numbers = [] }: GraphValue) => {
    written.push({ name: key, op: 'Const', input: [], attr: { dtype: { type: dtypeOf(dtype) } } });
    weights.push({ name: key, shape, dtype });
    const made = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype as 'float32'];
    data.push(new Uint8Array(made.from(numbers).buffer));
  };
  const ints: Ints = (numbers, shape = [numbers.length], dtype = 'int32') => {
    const key = `constant/tfjs/${weights.length}`;
    constant(key, { shape, dtype, data: numbers });
    return key;
  };
  for (const key of inputs) written.push(placeholder(key, values.get(key) as GraphValue));
  const used = new Set([...nodes.flatMap((node) => Object.values(node.inputs)), ...Object.values(outputs)]);
  for (const [key, value] of values) if (used.has(key) && value.data !== undefined) constant(key, value);
  for (const node of nodes) {
    const row = Object.hasOwn(ROWS, node.kernel) ? ROWS[node.kernel] : undefined;
    if (row === undefined) throw notExportable('kernels that client/export/graph-model.ts has a row for', node.kernel);
    const made = row(node, ints, values);
    written.push({ name: node.output, ...made });
  }
  for (const [output, value] of Object.entries(outputs))
    written.push({ name: output, op: 'Identity', input: [value], attr: {} });
  const info = (key: string, value: GraphValue) => ({
    name: `${key}:0`,
    dtype: dtypeOf(value.dtype),
    tensorShape: shapeOf(value),
  });
  const signature = {
    inputs: Object.fromEntries(inputs.map((key) => [key, info(key, values.get(key) as GraphValue)])),
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([output, value]) => [output, info(output, values.get(value) as GraphValue)]),
    ),
  };
  const model = {
    format: 'graph-model',
    generatedBy: `starling ${VERSION}`,
    convertedBy: null,
    signature,
    userDefinedMetadata: { name, ...metadata, about },
    modelTopology: { node: written, library: {}, versions: { producer: 1286 } },
    weightsManifest: [{ paths: ['weights.bin'], weights }],
  };
  return { 'model.json': Buffer.from(JSON.stringify(model)), 'weights.bin': Buffer.concat(data) };
}

function placeholder(name: string, value: GraphValue): TensorFlowNode {
  const attr = { dtype: { type: dtypeOf(value.dtype) }, shape: { shape: shapeOf(value) } };
  return { name, op: 'Placeholder', input: [], attr };
}

function shapeOf({ shape }: GraphValue) {
  return { dim: shape.map((size) => ({ size: `${size}` })) };
}

function dtypeOf(dtype: string): string {
  if (!Object.hasOwn(DTYPES, dtype)) throw notExportable('tensors of float32, int32 or bool', dtype);
  return DTYPES[dtype];
}

const text = (value: string) => ({ s: Buffer.from(value).toString('base64') });
const list = (values: readonly number[]) => ({ list: { i: values.map(String) } });
const flag = (value: unknown) => ({ b: Boolean(value) });

const same =
  (op: string, attrOf: (node: GraphNode) => Attrs = () => ({})): Row =>
  (node) => ({ op, input: Object.values(node.inputs), attr: attrOf(node) });

/** Inputs, then constants of whole numbers that the operator takes as inputs. */
const withInts =
  (
    op: string,
    numbersOf: (attrs: GraphNode['attrs']) => readonly number[][],
    attrOf: (node: GraphNode) => Attrs = () => ({}),
  ): Row =>
  (node, ints) => ({
    op,
    input: [...Object.values(node.inputs), ...numbersOf(node.attrs).map((numbers) => ints(numbers))],
    attr: attrOf(node),
  });

const reduction =
  (op: string): Row =>
  (node, ints, values) => {
    const attr = { keep_dims: flag(node.attrs.keepDims) };
    return { op, input: [node.inputs.x, ints(axesOf(node, values))], attr };
  };

/** Of windows over [batch, height, width, channels]. */
function windowAttrs(node: GraphNode, values: Graph['values'], size: number[]): Attrs {
  const { strides, dilations, pads } = movesOf(node, values, size);
  return {
    strides: list([1, ...strides, 1]),
    dilations: list([1, ...dilations, 1]),
    padding: text('EXPLICIT'),
    explicit_paddings: list([0, 0, ...pads.flat(), 0, 0]),
    data_format: text('NHWC'),
  };
}

const convolution =
  (op: string): Row =>
  (node, _, values) => {
    const [height, width] = (values.get(node.inputs.filter) as GraphValue).shape;
    return { op, input: [node.inputs.x, node.inputs.filter], attr: windowAttrs(node, values, [height, width]) };
  };

/** The loader takes no padding by numbers here. */
const pool = (op: string) =>
  same(op, ({ attrs, kernel }) => {
    const { pad, dimRoundingMode = 'floor' } = attrs;
    if (typeof pad !== 'string' || dimRoundingMode !== 'floor') {
      throw notExportable(`${kernel} padded 'same' or 'valid'`, JSON.stringify(attrs));
    }
    return {
      strides: list([1, ...pair(attrs.strides), 1]),
      padding: text(pad.toUpperCase()),
      ksize: list([1, ...pair(attrs.filterSize), 1]),
    };
  });

const resize = (op: string) =>
  withInts(
    op,
    ({ size }) => [size as number[]],
    ({ attrs }) => ({
      align_corners: flag(attrs.alignCorners),
      half_pixel_centers: flag(attrs.halfPixelCenters),
    }),
  );

/** Operators of the same name and inputs. */
const SAME_NAME = [
  ...[tf.Relu, tf.Relu6, tf.Sigmoid, tf.Tanh, tf.Elu, tf.Selu, tf.Exp, tf.Log, tf.Sqrt, tf.Rsqrt, tf.Square, tf.Neg],
  ...[tf.Abs, tf.Sign, tf.Sin, tf.Cos, tf.Erf, tf.Softplus, tf.Reciprocal, tf.Floor, tf.Ceil, tf.Identity],
  ...[tf.LogicalNot, tf.LogicalAnd, tf.LogicalOr, tf.Sub, tf.RealDiv, tf.Pow, tf.Maximum, tf.Minimum, tf.AddN],
  ...[tf.SquaredDifference, tf.Equal, tf.Less, tf.LessEqual, tf.Greater, tf.GreaterEqual, tf.Softmax, tf.LogSoftmax],
];

const ROWS: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(SAME_NAME.map((kernel) => [kernel, same(kernel)])),
  [tf.Add]: same('AddV2'),
  [tf.Multiply]: same('Mul'),
  [tf.Select]: same('SelectV2'),
  [tf.LeakyRelu]: same('LeakyRelu', ({ attrs }) => ({ alpha: { f: attrs.alpha } })),
  [tf.Sum]: reduction('Sum'),
  [tf.Mean]: reduction('Mean'),
  [tf.Max]: reduction('Max'),
  [tf.Min]: reduction('Min'),
  [tf.Prod]: reduction('Prod'),
  [tf.Conv2D]: convolution('Conv2D'),
  [tf.DepthwiseConv2dNative]: convolution('DepthwiseConv2dNative'),
  [tf.MaxPool]: pool('MaxPool'),
  [tf.AvgPool]: pool('AvgPool'),
  [tf.ResizeNearestNeighbor]: resize('ResizeNearestNeighbor'),
  [tf.ResizeBilinear]: resize('ResizeBilinear'),
  [tf.BatchMatMul]: same('BatchMatMulV2', ({ attrs }) => ({
    adj_x: flag(attrs.transposeA),
    adj_y: flag(attrs.transposeB),
  })),
  [tf.Reshape]: withInts('Reshape', ({ shape }) => [shape as number[]]),
  [tf.Transpose]: withInts('Transpose', ({ perm }) => [perm as number[]]),
  [tf.Slice]: withInts('Slice', ({ begin, size }) => [begin as number[], size as number[]]),
  [tf.Tile]: withInts('Tile', ({ reps }) => [reps as number[]]),
  [tf.ExpandDims]: ({ inputs, attrs }, ints) => ({
    op: 'ExpandDims',
    input: [inputs.input, ints([attrs.dim as number], [])],
    attr: {},
  }),
  [tf.PadV2]: ({ inputs, attrs }, ints) => {
    const paddings = attrs.paddings as [number, number][];
    const value = ints([(attrs.constantValue as number) ?? 0], [], 'float32');
    return { op: 'PadV2', input: [inputs.x, ints(paddings.flat(), [paddings.length, 2]), value], attr: {} };
  },
  [tf.Concat]: ({ inputs, attrs }, ints) => ({
    op: 'ConcatV2',
    input: [...Object.values(inputs), ints([attrs.axis as number], [])],
    attr: { N: { i: `${Object.keys(inputs).length}` } },
  }),
  [tf.Pack]: same('Pack', ({ inputs, attrs }) => ({
    N: { i: `${Object.keys(inputs).length}` },
    axis: { i: `${attrs.axis}` },
  })),
  [tf.GatherV2]: ({ inputs, attrs }, ints) => ({
    op: 'GatherV2',
    input: [inputs.x, inputs.indices, ints([attrs.axis as number], [])],
    attr: { batch_dims: { i: `${attrs.batchDims ?? 0}` } },
  }),
  [tf.ArgMax]: ({ inputs: { x }, attrs }, ints) => ({
    op: 'ArgMax',
    input: [x, ints([attrs.axis as number], [])],
    attr: {},
  }),
  [tf.Cast]: same('Cast', ({ attrs }) => ({ DstT: { type: dtypeOf(attrs.dtype as string) } })),
};
