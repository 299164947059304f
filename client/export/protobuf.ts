/**
 * The few messages of ONNX that a model needs, as bytes: onnx.proto of ONNX 1.13 (IR version 8, opset 17),
 * https://github.com/onnx/onnx/blob/v1.13.0/onnx/onnx.proto, whose field numbers stand below. Nothing is read.
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding. A field is a tag (number · 8 + wire type) and a varint, or
 * a length and that many bytes, or four bytes.
 */

/** The bytes of one message, in pieces that are joined once: numbers of a model are not copied from level to level. */
export type Message = readonly Uint8Array[];

/** ONNX's numbers for element types. */
export const ELEMENT = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;
export type Element = keyof typeof ELEMENT;

/** An open dimension is a text: its name. */
export type Dimension = number | string;

/** INT64_MAX, for "to the end" of an axis. */
export const TO_THE_END = (1n << 63n) - 1n;

/** AttributeProto { name = 1, f = 2, i = 3, s = 4, floats = 7, ints = 8, type = 20 } */
export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

/** NodeProto { input = 1, output = 2, name = 3, op_type = 4, attribute = 5 } */
export function node(
  op: string,
  { inputs, output, attrs = {} }: { inputs: readonly string[]; output: string; attrs?: Record<string, Attribute> },
): Message {
  const attributes = Object.entries(attrs).map(([name, value]) => nested(5, attribute(name, value)));
  return [...inputs.map((name) => text(1, name)), text(2, output), text(3, output), text(4, op), ...attributes.flat()];
}

function attribute(name: string, value: Attribute): Message {
  if ('int' in value) return [text(1, name), integer(3, value.int), integer(20, 2)];
  if ('float' in value) return [text(1, name), float(2, value.float), integer(20, 1)];
  if ('text' in value) return [text(1, name), text(4, value.text), integer(20, 3)];
  return [text(1, name), ...value.ints.map((int) => integer(8, int)), integer(20, 7)];
}

/** TensorProto { dims = 1, data_type = 2, name = 8, raw_data = 9 }; `raw` little-endian. */
export function tensor(name: string, element: Element, shape: readonly number[], raw: Uint8Array): Message {
  return [...shape.map((size) => integer(1, size)), integer(2, ELEMENT[element]), text(8, name), ...bytes(9, raw)];
}

/** ValueInfoProto { name = 1, type = 2 { tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 } } }, doc_string = 3 } */
export function valueInfo(name: string, element: Element, shape: readonly Dimension[], about: string): Message {
  const dims = shape.map((size) => nested(1, [typeof size === 'number' ? integer(1, size) : text(2, size)]));
  const tensorType = [integer(1, ELEMENT[element]), ...nested(2, dims.flat())];
  return [text(1, name), ...nested(2, nested(1, tensorType)), text(3, about)];
}

/** What a file holds. */
export interface Model {
  readonly name: string;
  readonly producerVersion: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly nodes: readonly Message[];
  readonly initializers: readonly Message[];
  readonly inputs: readonly Message[];
  readonly outputs: readonly Message[];
}

/**
 * ModelProto { ir_version = 1, producer_name = 2, producer_version = 3, graph = 7, opset_import = 8, metadata_props = 14 }
 * with GraphProto { node = 1, name = 2, initializer = 5, input = 11, output = 12 }.
 */
export function modelBytes(model: Model): Uint8Array {
  const many = (field: number, messages: readonly Message[]) => messages.flatMap((message) => nested(field, message));
  const graph = [
    ...many(1, model.nodes),
    text(2, model.name),
    ...many(5, model.initializers),
    ...many(11, model.inputs),
    ...many(12, model.outputs),
  ];
  const about = Object.entries(model.metadata).map(([key, value]) => [text(1, key), text(2, value)]);
  const pieces = [
    integer(1, 8),
    text(2, 'starling'),
    text(3, model.producerVersion),
    ...nested(7, graph),
    ...nested(8, [text(1, ''), integer(2, 17)]),
    ...many(14, about),
  ];
  return Buffer.concat(pieces);
}

function varint(value: bigint): number[] {
  const out: number[] = [];
  let left = BigInt.asUintN(64, value); // a negative one has ten bytes
  while (left > 0x7fn) {
    out.push(Number(left & 0x7fn) | 0x80);
    left >>= 7n;
  }
  return [...out, Number(left)];
}

function tag(field: number, wireType: number): number[] {
  return varint(BigInt(field * 8 + wireType));
}

function integer(field: number, value: number | bigint): Uint8Array {
  return Uint8Array.from([...tag(field, 0), ...varint(BigInt(value))]);
}

function float(field: number, value: number): Uint8Array {
  return Uint8Array.from([...tag(field, 5), ...new Uint8Array(Float32Array.of(value).buffer)]);
}

function bytes(field: number, value: Uint8Array): Message {
  return [Uint8Array.from([...tag(field, 2), ...varint(BigInt(value.length))]), value];
}

function text(field: number, value: string): Uint8Array {
  return Buffer.concat(bytes(field, new TextEncoder().encode(value)));
}

function nested(field: number, message: Message): Message {
  const length = message.reduce((sum, piece) => sum + piece.length, 0);
  return [Uint8Array.from([...tag(field, 2), ...varint(BigInt(length))]), ...message];
}
