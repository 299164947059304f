/**
 * Kernels of TensorFlow.js in operators of ONNX, opset 17 (https://github.com/onnx/onnx/blob/v1.13.0/docs/Operators.md).
 *
 * TensorFlow.js has channels last and filters as [height, width, in, out]; ONNX has channels first and [out, in, height,
 * width]. Transpositions stand around what cares, and the tensors of the model keep their shapes; runtimes fold them.
 */
import tf = require('@tensorflow/tfjs-core');

import { type Graph, type GraphNode, type GraphValue, notExportable } from './graph.js';
import { type Attribute, TO_THE_END } from './protobuf.js';
import { axesOf, movesOf, pair } from './windows.js';

/** What a row of the table writes with. */
export interface OnnxWriter {
  /** Another node; without `output` it gets a name of its own, which is returned. */
  emit(op: string, inputs: readonly string[], attrs?: Record<string, Attribute>, output?: string): string;
  /** Constants beside those of the graph. */
  ints(values: readonly (number | bigint)[]): string;
  floats(values: readonly number[]): string;
  readonly values: Graph['values'];
}

type Row = (node: GraphNode, writer: OnnxWriter) => void;

const TO_CHANNELS_FIRST = { perm: { ints: [0, 3, 1, 2] } };
const TO_CHANNELS_LAST = { perm: { ints: [0, 2, 3, 1] } };

/** Writes one node. @throws FlError failed-precondition: ONNX has no such kernel, or the table has none */
export function writeOnnxNode(node: GraphNode, writer: OnnxWriter): void {
  const row = Object.hasOwn(ROWS, node.kernel) ? ROWS[node.kernel] : undefined;
  if (row === undefined) throw notExportable('kernels that client/export/onnx-ops.ts has a row for', node.kernel);
  row(node, writer);
}

/** The operator of one name, with all inputs in their order. */
const same =
  (op: string, attrs?: Record<string, Attribute>): Row =>
  ({ inputs, output }, { emit }) =>
    void emit(op, Object.values(inputs), attrs, output);

const reduction =
  (op: string): Row =>
  (node, writer) => {
    const { x } = node.inputs;
    const axes = axesOf(node, writer.values);
    const keepdims = { int: node.attrs.keepDims ? 1 : 0 };
    if (axes.length === 0) return void writer.emit('Identity', [x], {}, node.output);
    if (op === 'ReduceSum') return void writer.emit(op, [x, writer.ints(axes)], { keepdims }, node.output);
    writer.emit(op, [x], { axes: { ints: axes }, keepdims }, node.output);
  };

/** Attributes of a window: its moves, pads as [top, left, bottom, right]. */
function windowAttrs(node: GraphNode, writer: OnnxWriter, size: number[]) {
  const { strides, dilations, pads } = movesOf(node, writer.values, size);
  const [[top, bottom], [left, right]] = pads;
  return {
    strides: { ints: strides },
    dilations: { ints: dilations },
    pads: { ints: [top, left, bottom, right] },
  };
}

/** A convolution: the filter turned, the images turned there and back. */
const convolution =
  (isDepthwise: boolean): Row =>
  (node, writer) => {
    const { x, filter } = node.inputs;
    const [height, width, inputs, outputs] = shapeOf(filter, writer);
    const window = windowAttrs(node, writer, [height, width]);
    const perm = { perm: { ints: isDepthwise ? [2, 3, 0, 1] : [3, 2, 0, 1] } };
    const turned = writer.emit('Transpose', [filter], perm);
    const shape = [inputs * outputs, 1, height, width];
    const weights = isDepthwise ? writer.emit('Reshape', [turned, writer.ints(shape)]) : turned;
    const images = writer.emit('Transpose', [x], TO_CHANNELS_FIRST);
    const attrs = { ...window, group: { int: isDepthwise ? inputs : 1 } };
    writer.emit('Transpose', [writer.emit('Conv', [images, weights], attrs)], TO_CHANNELS_LAST, node.output);
  };

const pool =
  (op: 'MaxPool' | 'AveragePool'): Row =>
  (node, writer) => {
    const size = pair(node.attrs.filterSize);
    const { dilations: _, ...window } = windowAttrs(node, writer, size);
    const images = writer.emit('Transpose', [node.inputs.x], TO_CHANNELS_FIRST);
    const pooled = writer.emit(op, [images], { kernel_shape: { ints: size }, ...window }); // padding is not averaged
    writer.emit('Transpose', [pooled], TO_CHANNELS_LAST, node.output);
  };

const resize =
  (mode: 'nearest' | 'linear'): Row =>
  ({ inputs: { images }, attrs, output }, writer) => {
    if (attrs.alignCorners || (attrs.halfPixelCenters && mode === 'nearest')) {
      throw notExportable(`a resize by ${mode} without alignCorners and halfPixelCenters`, JSON.stringify(attrs));
    }
    const shape = shapeOf(images, writer);
    const scales = (attrs.size as number[]).map((size, axis) => size / shape[axis + 1]);
    const turned = writer.emit('Transpose', [images], TO_CHANNELS_FIRST);
    const resized = writer.emit('Resize', [turned, '', writer.floats([1, 1, ...scales])], {
      mode: { text: mode },
      coordinate_transformation_mode: { text: attrs.halfPixelCenters ? 'half_pixel' : 'asymmetric' },
      ...(mode === 'nearest' && { nearest_mode: { text: 'floor' } }),
    });
    writer.emit('Transpose', [resized], TO_CHANNELS_LAST, output);
  };

/** The last two axes of `name` swapped, if they are to be. */
function swapped(name: string, isSwapped: unknown, writer: OnnxWriter): string {
  if (!isSwapped) return name;
  const axes = shapeOf(name, writer).map((_, axis) => axis);
  const rank = axes.length;
  return writer.emit('Transpose', [name], { perm: { ints: [...axes.slice(0, -2), rank - 1, rank - 2] } });
}

function shapeOf(name: string, { values }: OnnxWriter): readonly number[] {
  return (values.get(name) as GraphValue).shape;
}

const UNARY = {
  ...{ [tf.Relu]: 'Relu', [tf.Sigmoid]: 'Sigmoid', [tf.Tanh]: 'Tanh', [tf.Elu]: 'Elu', [tf.Selu]: 'Selu' },
  ...{ [tf.Exp]: 'Exp', [tf.Log]: 'Log', [tf.Sqrt]: 'Sqrt', [tf.Neg]: 'Neg', [tf.Abs]: 'Abs', [tf.Sign]: 'Sign' },
  ...{ [tf.Sin]: 'Sin', [tf.Cos]: 'Cos', [tf.Erf]: 'Erf', [tf.Softplus]: 'Softplus', [tf.Reciprocal]: 'Reciprocal' },
  ...{ [tf.Floor]: 'Floor', [tf.Ceil]: 'Ceil', [tf.Identity]: 'Identity', [tf.LogicalNot]: 'Not' },
};
const BINARY = {
  ...{ [tf.Add]: 'Add', [tf.Sub]: 'Sub', [tf.Multiply]: 'Mul', [tf.RealDiv]: 'Div', [tf.Pow]: 'Pow' },
  ...{ [tf.Maximum]: 'Max', [tf.Minimum]: 'Min', [tf.AddN]: 'Sum', [tf.LogicalAnd]: 'And', [tf.LogicalOr]: 'Or' },
  ...{ [tf.Equal]: 'Equal', [tf.Less]: 'Less', [tf.LessEqual]: 'LessOrEqual', [tf.Select]: 'Where' },
  ...{ [tf.Greater]: 'Greater', [tf.GreaterEqual]: 'GreaterOrEqual' },
};

const ROWS: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(Object.entries({ ...UNARY, ...BINARY }).map(([kernel, op]) => [kernel, same(op)])),
  [tf.Sum]: reduction('ReduceSum'),
  [tf.Mean]: reduction('ReduceMean'),
  [tf.Max]: reduction('ReduceMax'),
  [tf.Min]: reduction('ReduceMin'),
  [tf.Prod]: reduction('ReduceProd'),
  [tf.Conv2D]: convolution(false),
  [tf.DepthwiseConv2dNative]: convolution(true),
  [tf.MaxPool]: pool('MaxPool'),
  [tf.AvgPool]: pool('AveragePool'),
  [tf.ResizeNearestNeighbor]: resize('nearest'),
  [tf.ResizeBilinear]: resize('linear'),
  [tf.Rsqrt]: ({ inputs: { x }, output }, { emit }) => void emit('Reciprocal', [emit('Sqrt', [x])], {}, output),
  [tf.Square]: ({ inputs: { x }, output }, { emit }) => void emit('Mul', [x, x], {}, output),
  [tf.SquaredDifference]({ inputs: { a, b }, output }, { emit }) {
    const difference = emit('Sub', [a, b]);
    emit('Mul', [difference, difference], {}, output);
  },
  [tf.Relu6]: ({ inputs: { x }, output }, { emit, floats }) => {
    emit('Min', [emit('Relu', [x]), floats([6])], {}, output);
  },
  [tf.LeakyRelu]: ({ inputs: { x }, attrs, output }, { emit }) =>
    void emit('LeakyRelu', [x], { alpha: { float: attrs.alpha as number } }, output),
  [tf.Softmax]: ({ inputs: { logits }, attrs, output }, { emit }) =>
    void emit('Softmax', [logits], { axis: { int: (attrs.dim as number) ?? -1 } }, output),
  [tf.LogSoftmax]: ({ inputs: { logits }, attrs, output }, { emit }) =>
    void emit('LogSoftmax', [logits], { axis: { int: (attrs.axis as number) ?? -1 } }, output),
  [tf.BatchMatMul]({ inputs: { a, b }, attrs, output }, writer) {
    const factors = [swapped(a, attrs.transposeA, writer), swapped(b, attrs.transposeB, writer)];
    writer.emit('MatMul', factors, {}, output);
  },
  [tf.Reshape]: ({ inputs: { x }, attrs, output }, { emit, ints }) =>
    void emit('Reshape', [x, ints(attrs.shape as number[])], {}, output),
  [tf.ExpandDims]({ inputs: { input }, attrs, output }, { emit, ints }) {
    emit('Unsqueeze', [input, ints([attrs.dim as number])], {}, output);
  },
  [tf.Transpose]: ({ inputs: { x }, attrs, output }, { emit }) =>
    void emit('Transpose', [x], { perm: { ints: attrs.perm as number[] } }, output),
  [tf.Concat]: ({ inputs, attrs, output }, { emit }) =>
    void emit('Concat', Object.values(inputs), { axis: { int: attrs.axis as number } }, output),
  [tf.Pack]({ inputs, attrs, output }, { emit, ints }) {
    const axis = attrs.axis as number;
    const rows = Object.values(inputs).map((name) => emit('Unsqueeze', [name, ints([axis])]));
    emit('Concat', rows, { axis: { int: axis } }, output);
  },
  [tf.Slice]({ inputs: { x }, attrs, output }, { emit, ints }) {
    const [begin, size] = [attrs.begin as number[], attrs.size as number[]];
    const ends = begin.map((from, axis) => (size[axis] < 0 ? TO_THE_END : from + size[axis]));
    emit('Slice', [x, ints(begin), ints(ends), ints(begin.map((_, axis) => axis))], {}, output);
  },
  [tf.Tile]: ({ inputs: { x }, attrs, output }, { emit, ints }) =>
    void emit('Tile', [x, ints(attrs.reps as number[])], {}, output),
  [tf.PadV2]({ inputs: { x }, attrs, output }, { emit, ints, floats }) {
    const paddings = attrs.paddings as [number, number][];
    const pads = [...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)];
    emit('Pad', [x, ints(pads), floats([(attrs.constantValue as number) ?? 0])], {}, output);
  },
  [tf.GatherV2]({ inputs: { x, indices }, attrs, output }, { emit }) {
    if (attrs.batchDims) throw notExportable('a gather without batchDims', attrs.batchDims);
    emit('Gather', [x, indices], { axis: { int: attrs.axis as number } }, output);
  },
  [tf.ArgMax]({ inputs: { x }, attrs, output }, { emit }) {
    const found = emit('ArgMax', [x], { axis: { int: attrs.axis as number }, keepdims: { int: 0 } });
    emit('Cast', [found], { to: { int: 6 } }, output);
  },
  [tf.Cast]({ inputs: { x }, attrs, output }, { emit }) {
    const to = { float32: 1, int32: 6, bool: 9 }[attrs.dtype as string];
    if (to === undefined) throw notExportable('a cast to float32, int32 or bool', attrs.dtype);
    emit('Cast', [x], { to: { int: to } }, output);
  },
};
