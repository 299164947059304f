/** A model as ONNX: parameters with their names and shapes, inputs and outputs with an open first axis, `batch`. */
import { FlError } from '../../shared/errors.js';
import { bytesOf } from '../../shared/tensors/bytes.js';
import { VERSION } from '../../shared/version.js';
import { type Graph, type GraphValue, notExportable, OPEN } from './graph.js';
import { writeOnnxNode } from './onnx-ops.js';
import { plainGraph } from './plain.js';
import { type Element, type Message, modelBytes, node, tensor, valueInfo } from './protobuf.js';

/** What a protobuf may have: https://protobuf.dev/programming-guides/proto-limits. */
const MAX_BYTES = 2 ** 31 - 1;

/** What is said of the model in the file, for people. */
export interface ExportedNames {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of inputs and outputs, by name. */
  readonly about: Readonly<Record<string, string>>;
}

/**
 * The bytes of the file: opset 17, for any runtime.
 * @throws FlError failed-precondition: a kernel that has no operator · invalid-argument: 2 GiB are passed
 */
export function onnxModel(graph: Graph, { name, metadata, about }: ExportedNames): Uint8Array {
  const { values, nodes, inputs, outputs } = plainGraph(graph);
  const initializers: Message[] = [];
  const written: Message[] = [];
  let made = 0;
  const constant = (element: Element, shape: readonly number[], data: ArrayBufferView) => {
    const own = `constant/onnx/${made++}`;
    initializers.push(tensor(own, element, shape, rawOf(data)));
    return own;
  };
  const writer = {
    emit(op: string, from: readonly string[], attrs = {}, output = `onnx/${made++}`) {
      written.push(node(op, { inputs: from, output, attrs }));
      return output;
    },
    ints: (data: readonly (number | bigint)[]) =>
      constant(
        'int64',
        [data.length],
        BigInt64Array.from(data, (value) => BigInt(value)),
      ),
    floats: (data: readonly number[]) =>
      constant('float32', data.length === 1 ? [] : [data.length], Float32Array.from(data)),
    values,
  };
  for (const one of nodes) writeOnnxNode(one, writer);
  for (const [output, value] of Object.entries(outputs)) writer.emit('Identity', [value], {}, output);
  const used = new Set([...nodes.flatMap((one) => Object.values(one.inputs)), ...Object.values(outputs)]);
  for (const [key, value] of values)
    if (used.has(key) && value.data !== undefined) initializers.push(initializer(key, value));
  const valueAt = (key: string) => values.get(key) as GraphValue;
  const infoOf = (key: string, value: GraphValue) => {
    const shape = value.shape.map((size, axis) => (size === OPEN ? (axis === 0 ? 'batch' : `${key}/${axis}`) : size));
    return valueInfo(key, elementOf(value), shape, about[key] ?? '');
  };
  const sizeBytes = initializers.flat().reduce((sum, piece) => sum + piece.length, 0);
  if (sizeBytes > MAX_BYTES) {
    throw new FlError('invalid-argument', `onnx: expected at most ${MAX_BYTES} bytes of tensors, got ${sizeBytes}`);
  }
  return modelBytes({
    ...{ name, metadata, nodes: written, initializers, producerVersion: VERSION },
    inputs: inputs.map((key) => infoOf(key, valueAt(key))),
    outputs: Object.entries(outputs).map(([output, value]) => infoOf(output, valueAt(value))),
  });
}

function initializer(name: string, value: GraphValue): Message {
  const data = value.data as ArrayLike<number>;
  const element = elementOf(value);
  const made = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[element as 'float32' | 'int32' | 'bool'];
  return tensor(name, element, value.shape, rawOf(made.from(data)));
}

function elementOf({ dtype }: GraphValue): Element {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw notExportable('tensors of float32, int32 or bool', dtype);
}

function rawOf(data: ArrayBufferView): Uint8Array {
  return data instanceof Float32Array ? bytesOf(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
