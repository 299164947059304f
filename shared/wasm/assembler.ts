/**
 * A small WebAssembly assembler: our SIMD kernels are nested TypeScript expressions, turned into a module when they are
 * first needed (a few ms), so that the repository holds readable source and no binary.
 *
 * Covers what the kernels use and no more: one imported memory, locals, structured control, scalar and vector arithmetic.
 * Addresses and offsets are in bytes. Nothing here checks types: the platform does when it compiles the module, and names
 * the function at fault. Binary format: WebAssembly Core Specification 2.0, chapter 5, https://www.w3.org/TR/wasm-core-2/.
 */

/** An expression or statement: its bytes, nested as it was written; flattened once, when the module is encoded. */
export type Code = number | readonly Code[];
/** v128 holds 16 bytes, as lanes of whatever width the instruction says. */
type ValueType = 'i32' | 'f32' | 'f64' | 'v128';

/** A parameter or local of the function under construction. */
export interface Local {
  readonly index: number;
}

/** Declares locals, which start as zero, while a function body is written. */
export interface Scope {
  local(type: ValueType): Local;
  locals(type: ValueType, count: number): Local[];
}

/** A function: its body is written when the module is encoded. */
export interface Func {
  readonly params: readonly ValueType[];
  /** The type of the body's last expression, where that is the function's result. */
  readonly result?: ValueType;
  body(scope: Scope, ...params: Local[]): readonly Code[];
}

const TYPE_BYTE: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };
const VOID_BLOCK = 0x40;
const EQZ = 0x45;
const SELECT = 0x1b;

/** The bytes of a module that imports its memory as `env.memory` and exports the functions by their names. */
export function encodeModule(functions: Readonly<Record<string, Func>>): Uint8Array<ArrayBuffer> {
  const all = Object.values(functions);
  const byName = Object.keys(functions).map((name, index) => ({ name: text(name), index: unsigned(index) }));
  return Uint8Array.from(
    flatten([
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version 1
      [1, sized(vector(all.map(({ params, result }) => [0x60, types(params), types(result ? [result] : [])])))],
      [2, sized(vector([[text('env'), text('memory'), 0x02, 0x00, unsigned(1)]]))],
      [3, sized(vector(all.map((_, index) => unsigned(index))))],
      [7, sized(vector(byName.map(({ name, index }) => [name, 0x00, index])))],
      [10, sized(vector(all.map(encodeBody)))],
      // for messages and profiles
      [0, sized([text('name'), 1, sized(vector(byName.map(({ name, index }) => [index, name])))])],
    ]),
  );
}

function encodeBody({ params, body }: Func): Code {
  const declared: ValueType[] = [];
  const scope: Scope = {
    local: (type) => ({ index: params.length + declared.push(type) - 1 }),
    locals: (type, count) => Array.from({ length: count }, () => scope.local(type)),
  };
  const code = body(scope, ...params.map((_, index) => ({ index })));
  return sized([vector(declared.map((type) => [1, TYPE_BYTE[type]])), code, 0x0b]);
}

const types = (list: readonly ValueType[]): Code => vector(list.map((type) => TYPE_BYTE[type]));

function flatten(code: Code, into: number[] = []): number[] {
  if (typeof code === 'number') into.push(code);
  else for (const part of code) flatten(part, into);
  return into;
}

/** Preceded by its length in bytes. */
function sized(code: Code): Code {
  const bytes = flatten(code);
  return [unsigned(bytes.length), bytes];
}

/** Preceded by its number of items. */
function vector(items: readonly Code[]): Code {
  return [unsigned(items.length), items];
}

const text = (value: string): Code => vector([...new TextEncoder().encode(value)]);

/** LEB128, unsigned. */
function unsigned(value: number): Code {
  const bytes: number[] = [];
  let rest = value >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** LEB128, signed 32 bits. */
function signed(value: number): Code {
  const bytes: number[] = [];
  let rest = value | 0;
  for (; rest < -64 || rest > 63; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest & 0x7f];
}

/** The value of a parameter or local. */
export const get = (local: Local): Code => [0x20, unsigned(local.index)];
/** Statement: the local takes the value. */
export const set = (local: Local, value: Code): Code => [value, 0x21, unsigned(local.index)];
/** local += value (i32). */
export const advance = (local: Local, value: Code): Code => set(local, i32.add(get(local), value));
/** local -= 1 (i32). */
export const countDown = (local: Local): Code => set(local, i32.sub(get(local), i32.const(1)));

/** Runs `then` if `condition` (i32) is not zero, else `otherwise`. */
export const when = (condition: Code, then: readonly Code[], otherwise: readonly Code[] = []): Code => [
  [condition, 0x04, VOID_BLOCK, then],
  otherwise.length > 0 ? [0x05, otherwise] : [],
  0x0b,
];
/** Runs `body` while `condition` holds, testing before the first turn. */
export const loopWhile = (condition: Code, body: readonly Code[]): Code =>
  block([loop([branchIf([condition, EQZ], 1), body, [0x0c, 0]])]);
/** Runs `body` once, and again while `condition` holds. */
export const doWhile = (body: readonly Code[], condition: Code): Code => loop([...body, branchIf(condition, 0)]);
/** Runs `body` once; {@link branchIf} leaves it. */
export const block = (body: readonly Code[]): Code => [0x02, VOID_BLOCK, body, 0x0b];
/** Runs `body`, again as often as a {@link branchIf} says. */
export const loop = (body: readonly Code[]): Code => [0x03, VOID_BLOCK, body, 0x0b];
/** Leaves the `depth`-th enclosing block, or repeats it if that is a loop. */
export const branchIf = (condition: Code, depth: number): Code => [condition, 0x0d, depth];

const unary =
  (opcode: number) =>
  (a: Code): Code => [a, opcode];
const binary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, opcode];
const simd = (opcode: number): Code => [0xfd, unsigned(opcode)];
const simdUnary =
  (opcode: number) =>
  (a: Code): Code => [a, simd(opcode)];
const simdBinary =
  (opcode: number) =>
  (a: Code, b: Code): Code => [a, b, simd(opcode)];
const shift =
  (opcode: number) =>
  (a: Code, bits: number): Code => [a, i32.const(bits), simd(opcode)];
/** Alignment hint of 4 bytes for scalars and vectors alike (tensors are float-aligned), then the constant byte offset. */
const at = (offset: number): Code => [2, unsigned(offset)];

/** 32-bit integers: comparisons give 1 or 0; `U` reads its operands as unsigned; shifts take `b` modulo 32. */
export const i32 = {
  const: (value: number): Code => [0x41, signed(value)],
  load: (address: Code, offset = 0): Code => [address, 0x28, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x36, at(offset)],
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  and: binary(0x71),
  shl: binary(0x74),
  shrU: binary(0x76),
  /** Leading zeros. */
  clz: unary(0x67),
  minU: (a: Local, b: Code): Code => [get(a), b, i32.ltU(get(a), b), SELECT],
  eq: binary(0x46),
  ltU: binary(0x49),
  gtU: binary(0x4b),
  leU: binary(0x4d),
  geU: binary(0x4f),
} as const;

/** Runs of bytes. */
export const memory = {
  /** Zeroes `size` bytes. */
  fill: (target: Code, size: Code): Code => [target, i32.const(0), size, 0xfc, unsigned(11), 0],
  /** Copies `size` bytes, which may overlap. */
  copy: (target: Code, source: Code, size: Code): Code => [target, source, size, 0xfc, unsigned(10), 0, 0],
} as const;

/** One float32. */
export const f32 = {
  const: (value: number): Code => [0x43, [...new Uint8Array(Float32Array.of(value).buffer)]],
  load: (address: Code, offset = 0): Code => [address, 0x2a, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x38, at(offset)],
  add: binary(0x92),
  mul: binary(0x94),
} as const;

/** 16 bytes, whatever their lanes. */
export const v128 = {
  zero: [0xfd, 0x0c, Array<number>(16).fill(0)],
  load: (address: Code, offset = 0): Code => [address, simd(0x00), at(offset)],
  /** One 32-bit value in all four lanes. */
  loadSplat: (address: Code, offset = 0): Code => [address, simd(0x09), at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x0b), at(offset)],
  /** Stores the first of four 32-bit lanes. */
  storeFirst: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x5a), at(offset), 0],
  /** The low 64 bits from memory, zeros above; and the low 64 bits to memory. */
  loadLow: (address: Code, offset = 0): Code => [address, simd(0x5d), at(offset)],
  storeLow: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x5b), at(offset), 0],
  /** Four 32-bit lanes chosen by index from the eight of `a` then `b`. */
  shuffle32: (a: Code, b: Code, lanes: readonly [number, number, number, number]): Code => [
    [a, b, simd(0x0d)],
    lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte)),
  ],
  and: simdBinary(0x4e),
  /** a & ~b */
  andNot: simdBinary(0x4f),
  or: simdBinary(0x50),
  xor: simdBinary(0x51),
  /** Bits of `a` where the mask is one, of `b` where it is zero. */
  select: (a: Code, b: Code, mask: Code): Code => [a, b, mask, simd(0x52)],
  /** 1 (i32) if some bit is one, else 0. */
  anyTrue: simdUnary(0x53),
} as const;

/** Eight integers of 16 bits. */
export const i16x8 = {
  const: (value: number): Code => [i32.const(value), simd(0x10)],
  shl: shift(0x8b),
  shrS: shift(0x8c),
} as const;

/** Four integers of 32 bits. */
export const i32x4 = {
  const: (value: number): Code => i32x4.splat(i32.const(value)),
  splat: simdUnary(0x11),
  add: simdBinary(0xae),
  sub: simdBinary(0xb1),
  mul: simdBinary(0xb5),
  shl: shift(0xab),
  shrS: shift(0xac),
  shrU: shift(0xad),
  /** Towards zero, saturated; NaN becomes 0. */
  fromF32x4: simdUnary(0xf8),
} as const;

/** Four float32; comparisons give all ones or all zeros in each lane. */
export const f32x4 = {
  const: (value: number): Code => f32x4.splat(f32.const(value)),
  splat: simdUnary(0x13),
  lane: (a: Code, lane: number): Code => [a, simd(0x1f), lane],
  fromI32x4: simdUnary(0xfa),
  fromU32x4: simdUnary(0xfb),
  /** The two numbers rounded to float32 as the low lanes, zeros above. */
  fromF64x2: simdUnary(0x5e),
  floor: simdUnary(0x68),
  nearest: simdUnary(0x6a),
  abs: simdUnary(0xe0),
  neg: simdUnary(0xe1),
  eq: simdBinary(0x41),
  ne: simdBinary(0x42),
  lt: simdBinary(0x43),
  gt: simdBinary(0x44),
  add: simdBinary(0xe4),
  sub: simdBinary(0xe5),
  mul: simdBinary(0xe6),
  div: simdBinary(0xe7),
  /** b < a ? b : a, one instruction where the exact minimum takes seven; NaN in `a` stays NaN. */
  min: simdBinary(0xea),
  /** a < b ? b : a */
  max: simdBinary(0xeb),
} as const;

/** Two float64. */
export const f64x2 = {
  const: (value: number): Code => f64x2.splat([0x44, [...new Uint8Array(Float64Array.of(value).buffer)]]),
  splat: simdUnary(0x14),
  /** The two low 32-bit integers, signed. */
  fromLowI32x4: simdUnary(0xfe),
  floor: simdUnary(0x75),
  add: simdBinary(0xf0),
  mul: simdBinary(0xf2),
  div: simdBinary(0xf3),
} as const;
