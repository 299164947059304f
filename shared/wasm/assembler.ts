/**
 * A tiny WebAssembly assembler: our SIMD kernels are written as nested TypeScript expressions and turned into a module
 * when the back end starts (a few ms), so that the repository holds readable source and no binary.
 *
 * Covers what the kernels use and no more: one imported memory, i32/f32/v128 locals, structured control, 32-bit float
 * arithmetic, scalar and four lanes wide. Binary format: WebAssembly Core Specification 2.0, chapter 5.
 */

/** An expression or statement: its bytes, nested as it was written; flattened once, when the module is encoded. */
export type Code = number | readonly Code[];
export type ValueType = 'i32' | 'f32' | 'v128';

/** A parameter or local of the function under construction. */
export interface Local {
  readonly index: number;
  readonly type: ValueType;
}

/** Declares locals while a function body is written. */
export interface Scope {
  readonly params: readonly Local[];
  local(type: ValueType): Local;
  locals(type: ValueType, count: number): Local[];
}

const TYPE_BYTE: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
const VOID_BLOCK = 0x40;
const SELECT = 0x1b;

interface Func {
  readonly name: string;
  readonly params: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly body: readonly Code[];
}

/** Collects functions and encodes them as one module that imports its memory as `env.memory`. */
export class ModuleBuilder {
  readonly #functions: Func[] = [];

  /** Adds an exported function without result; `write` returns its body. */
  func(name: string, params: readonly ValueType[], write: (scope: Scope) => readonly Code[]): void {
    const locals: ValueType[] = [];
    const scope: Scope = {
      params: params.map((type, index) => ({ index, type })),
      local: (type) => ({ index: params.length + locals.push(type) - 1, type }),
      locals: (type, count) => Array.from({ length: count }, () => scope.local(type)),
    };
    const body = write(scope);
    this.#functions.push({ name, params, locals, body });
  }

  /** The module's bytes, for `new WebAssembly.Module`. */
  encode(): Uint8Array<ArrayBuffer> {
    const functions = this.#functions;
    const bodies = functions.map((f) => sized([vector(f.locals.map((t) => [1, TYPE_BYTE[t]])), f.body, 0x0b]));
    return Uint8Array.from(
      flatten([
        [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
        [1, sized(vector(functions.map((f) => [0x60, vector(f.params.map((t) => TYPE_BYTE[t])), 0])))],
        [2, sized(vector([[text('env'), text('memory'), 0x02, 0x00, unsigned(1)]]))],
        [3, sized(vector(functions.map((_, index) => unsigned(index))))],
        [7, sized(vector(functions.map((f, index) => [text(f.name), 0x00, unsigned(index)])))],
        [10, sized(vector(bodies))],
      ]),
    );
  }
}

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

function text(value: string): Code {
  return vector([...new TextEncoder().encode(value)]);
}

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

export const get = (local: Local): Code => [0x20, unsigned(local.index)];
export const set = (local: Local, value: Code): Code => [value, 0x21, unsigned(local.index)];
/** local += value (i32). */
export const advance = (local: Local, value: Code): Code => set(local, i32.add(get(local), value));
/** local -= 1 (i32). */
export const countDown = (local: Local): Code => set(local, i32.sub(get(local), i32.const(1)));

export const when = (condition: Code, then: readonly Code[], otherwise: readonly Code[] = []): Code => [
  [condition, 0x04, VOID_BLOCK, then],
  otherwise.length > 0 ? [0x05, otherwise] : [],
  0x0b,
];
/** Runs `body` while `condition` holds, testing before the first turn. */
export const loopWhile = (condition: Code, body: readonly Code[]): Code =>
  block([loop([branchIf([condition, 0x45], 1), body, [0x0c, 0]])]);
export const block = (body: readonly Code[]): Code => [0x02, VOID_BLOCK, body, 0x0b];
export const loop = (body: readonly Code[]): Code => [0x03, VOID_BLOCK, body, 0x0b];
/** Leaves the `depth`-th enclosing block, or repeats it if that is a loop. */
export const branchIf = (condition: Code, depth: number): Code => [condition, 0x0d, depth];

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
/** Alignment hint of 4 bytes for scalars and vectors alike (tensors are float-aligned), then the constant byte offset. */
const at = (offset: number): Code => [2, unsigned(offset)];

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
  minU: (a: Local, b: Code): Code => [get(a), b, i32.ltU(get(a), b), SELECT],
  eq: binary(0x46),
  ltU: binary(0x49),
  geU: binary(0x4f),
} as const;

export const memory = {
  /** Zeroes `size` bytes. */
  fill: (target: Code, size: Code): Code => [target, i32.const(0), size, 0xfc, unsigned(11), 0],
  copy: (target: Code, source: Code, size: Code): Code => [target, source, size, 0xfc, unsigned(10), 0, 0],
} as const;

export const f32 = {
  const: (value: number): Code => [0x43, [...new Uint8Array(Float32Array.of(value).buffer)]],
  load: (address: Code, offset = 0): Code => [address, 0x2a, at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, 0x38, at(offset)],
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  gt: binary(0x5e),
} as const;

export const v128 = {
  zero: [0xfd, 0x0c, Array<number>(16).fill(0)] as Code,
  load: (address: Code, offset = 0): Code => [address, simd(0x00), at(offset)],
  loadSplat: (address: Code, offset = 0): Code => [address, simd(0x09), at(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x0b), at(offset)],
  /** Stores the first of four 32-bit lanes. */
  storeFirst: (address: Code, value: Code, offset = 0): Code => [address, value, simd(0x5a), at(offset), 0],
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
} as const;

export const i32x4 = {
  const: (value: number): Code => [i32.const(value), simd(0x11)],
  add: simdBinary(0xae),
  sub: simdBinary(0xb1),
  shl: (a: Code, bits: number): Code => [a, i32.const(bits), simd(0xab)],
  shrS: (a: Code, bits: number): Code => [a, i32.const(bits), simd(0xac)],
  shrU: (a: Code, bits: number): Code => [a, i32.const(bits), simd(0xad)],
  /** Towards zero; NaN becomes 0. */
  fromF32x4: simdUnary(0xf8),
} as const;

export const f32x4 = {
  const: (value: number): Code => [f32.const(value), simd(0x13)],
  splat: simdUnary(0x13),
  lane: (a: Code, lane: number): Code => [a, simd(0x1f), lane],
  fromI32x4: simdUnary(0xfa),
  nearest: simdUnary(0x6a),
  abs: simdUnary(0xe0),
  neg: simdUnary(0xe1),
  sqrt: simdUnary(0xe3),
  eq: simdBinary(0x41),
  lt: simdBinary(0x43),
  gt: simdBinary(0x44),
  ge: simdBinary(0x46),
  add: simdBinary(0xe4),
  sub: simdBinary(0xe5),
  mul: simdBinary(0xe6),
  div: simdBinary(0xe7),
  /** b < a ? b : a, one instruction where the exact minimum takes seven; NaN in `a` stays NaN. */
  min: simdBinary(0xea),
  /** a < b ? b : a */
  max: simdBinary(0xeb),
} as const;
