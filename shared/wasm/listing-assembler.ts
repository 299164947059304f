/**
 * A small assembler from a readable listing to WebAssembly bytes, so that kernels are source in this repository and need
 * no tool at install. It knows flat instructions (the text format's names, one per line), the few opcodes that the kernels
 * use, and modules that import one memory and export functions.
 *
 * ```
 * func name p:i32 q:f32 -> i32      parameters and an optional result
 *   local i:i32 v:v128
 *   loop $again                     block, loop and if carry an optional label; br and br_if name it
 *     local.get $i                  memory instructions take an optional byte offset; those of one lane, offset and lane
 * end                               closes the function
 * ```
 * Encoding: WebAssembly Core Specification 2.0, chapter 5 (binary format), https://www.w3.org/TR/wasm-core-2/.
 */

const TYPES: Record<string, number> = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b };

type Operand = 'none' | 'local' | 'i32' | 'f32' | 'f64' | 'label' | 'block' | 'memory' | 'lane';

/** Opcode bytes and what follows; `fd` opcodes are the SIMD ones (chapter 5.4.8). `memory` and `lane` also fix the alignment. */
const OPCODES: Record<string, readonly [code: readonly number[], operand: Operand, alignLog2?: number]> = {
  block: [[0x02], 'block'],
  loop: [[0x03], 'block'],
  if: [[0x04], 'block'],
  else: [[0x05], 'none'],
  end: [[0x0b], 'none'],
  br: [[0x0c], 'label'],
  br_if: [[0x0d], 'label'],
  'local.get': [[0x20], 'local'],
  'local.set': [[0x21], 'local'],
  'local.tee': [[0x22], 'local'],
  'i32.load': [[0x28], 'memory', 2],
  'i32.store': [[0x36], 'memory', 2],
  'i32.const': [[0x41], 'i32'],
  'f32.const': [[0x43], 'f32'],
  'f64.const': [[0x44], 'f64'],
  'i32.eqz': [[0x45], 'none'],
  'i32.eq': [[0x46], 'none'],
  'i32.lt_u': [[0x49], 'none'],
  'i32.gt_u': [[0x4b], 'none'],
  'i32.le_u': [[0x4d], 'none'],
  'i32.clz': [[0x67], 'none'],
  'i32.add': [[0x6a], 'none'],
  'i32.sub': [[0x6b], 'none'],
  'i32.mul': [[0x6c], 'none'],
  'i32.and': [[0x71], 'none'],
  'i32.shl': [[0x74], 'none'],
  'i32.shr_u': [[0x76], 'none'],
  'f32.neg': [[0x8c], 'none'],
  'v128.load': [[0xfd, 0x00], 'memory', 4],
  'v128.store': [[0xfd, 0x0b], 'memory', 4],
  'i16x8.splat': [[0xfd, 0x10], 'none'],
  'i32x4.splat': [[0xfd, 0x11], 'none'],
  'f32x4.splat': [[0xfd, 0x13], 'none'],
  'f64x2.splat': [[0xfd, 0x14], 'none'],
  'f32x4.ne': [[0xfd, 0x42], 'none'],
  'f32x4.lt': [[0xfd, 0x43], 'none'],
  'v128.and': [[0xfd, 0x4e], 'none'],
  'v128.or': [[0xfd, 0x50], 'none'],
  'v128.xor': [[0xfd, 0x51], 'none'],
  'v128.any_true': [[0xfd, 0x53], 'none'],
  'v128.store64_lane': [[0xfd, 0x5b], 'lane', 3],
  'v128.load64_zero': [[0xfd, 0x5d], 'memory', 3],
  'f32x4.demote_f64x2_zero': [[0xfd, 0x5e], 'none'],
  'f32x4.floor': [[0xfd, 0x68], 'none'],
  'f64x2.floor': [[0xfd, 0x75], 'none'],
  'i16x8.shl': [[0xfd, 0x8b, 0x01], 'none'],
  'i16x8.shr_s': [[0xfd, 0x8c, 0x01], 'none'],
  'i32x4.shr_u': [[0xfd, 0xad, 0x01], 'none'],
  'i32x4.add': [[0xfd, 0xae, 0x01], 'none'],
  'i32x4.sub': [[0xfd, 0xb1, 0x01], 'none'],
  'i32x4.mul': [[0xfd, 0xb5, 0x01], 'none'],
  'f32x4.sub': [[0xfd, 0xe5, 0x01], 'none'],
  'f32x4.mul': [[0xfd, 0xe6, 0x01], 'none'],
  'f32x4.pmin': [[0xfd, 0xea, 0x01], 'none'],
  'f32x4.pmax': [[0xfd, 0xeb, 0x01], 'none'],
  'f64x2.add': [[0xfd, 0xf0, 0x01], 'none'],
  'f64x2.mul': [[0xfd, 0xf2, 0x01], 'none'],
  'f64x2.div': [[0xfd, 0xf3, 0x01], 'none'],
  'i32x4.trunc_sat_f32x4_s': [[0xfd, 0xf8, 0x01], 'none'],
  'f32x4.convert_i32x4_u': [[0xfd, 0xfb, 0x01], 'none'],
  'f64x2.convert_low_i32x4_s': [[0xfd, 0xfe, 0x01], 'none'],
};

interface Func {
  readonly name: string;
  readonly params: readonly string[]; // value types
  readonly result: string | undefined;
  readonly locals: string[];
  readonly names: Map<string, number>;
  readonly labels: (string | undefined)[]; // open blocks, innermost last; [0] is the function body
  readonly code: number[];
}

/** Assembles a listing into a module importing `env.memory`. @throws SyntaxError naming the line it cannot read */
export function assemble(listing: string): Uint8Array<ArrayBuffer> {
  const functions: Func[] = [];
  let current: Func | undefined;
  for (const [number, text] of listing.split('\n').entries()) {
    const tokens = text.replace(/;;.*/, '').trim().split(/\s+/).filter(Boolean);
    if (tokens.length === 0) continue;
    try {
      if (tokens[0] === 'func') {
        current = openFunction(tokens.slice(1));
        functions.push(current);
      } else if (current === undefined) throw new SyntaxError('instruction outside a function');
      else if (tokens[0] === 'local') declareLocals(current, tokens.slice(1));
      else if (instruction(current, tokens)) current = undefined;
    } catch (error) {
      throw new SyntaxError(`line ${number + 1}: ${text.trim()}`, { cause: error });
    }
  }
  return moduleOf(functions);
}

function openFunction(tokens: readonly string[]): Func {
  const arrow = tokens.indexOf('->');
  const params = (arrow < 0 ? tokens.slice(1) : tokens.slice(1, arrow)).map((token) => token.split(':'));
  return {
    name: tokens[0]!,
    params: params.map(([, type]) => type!),
    result: arrow < 0 ? undefined : tokens[arrow + 1],
    locals: [],
    names: new Map(params.map(([name], i) => [name!, i])),
    labels: [undefined],
    code: [],
  };
}

function declareLocals(func: Func, tokens: readonly string[]): void {
  for (const token of tokens) {
    const [name, type] = token.split(':');
    func.names.set(name!, func.params.length + func.locals.length);
    func.locals.push(type!);
  }
}

/** Appends one instruction; true when it closed the function. */
function instruction(func: Func, [op, argument, lane]: readonly string[]): boolean {
  const entry = OPCODES[op!];
  if (entry === undefined) throw new SyntaxError(`unknown instruction ${op}`);
  const [code, operand, alignLog2 = 0] = entry;
  func.code.push(...code);
  switch (operand) {
    case 'none':
      break;
    case 'local':
      func.code.push(...unsigned(indexOf(func.names.get(argument!.slice(1)))));
      break;
    case 'i32':
      func.code.push(...signed(Number(argument)));
      break;
    case 'f32':
      func.code.push(...new Uint8Array(Float32Array.of(Number(argument)).buffer));
      break;
    case 'f64':
      func.code.push(...new Uint8Array(Float64Array.of(Number(argument)).buffer));
      break;
    case 'label':
      func.code.push(...unsigned(func.labels.length - 1 - indexOf(func.labels.lastIndexOf(argument))));
      break;
    case 'block':
      func.labels.push(argument);
      func.code.push(0x40); // no result
      break;
    case 'memory':
      func.code.push(alignLog2, ...unsigned(Number(argument ?? 0)));
      break;
    case 'lane':
      func.code.push(alignLog2, ...unsigned(Number(argument)), Number(lane));
      break;
  }
  if (op === 'end') func.labels.pop();
  return func.labels.length === 0;
}

function indexOf(found: number | undefined): number {
  if (found === undefined || found < 0) throw new SyntaxError('unknown name');
  return found;
}

function moduleOf(functions: readonly Func[]): Uint8Array<ArrayBuffer> {
  const types = functions.map((f) => [
    0x60,
    ...vector(f.params.map((type) => [TYPES[type]!])),
    ...vector(f.result === undefined ? [] : [[TYPES[f.result]!]]),
  ]);
  const memoryImport = [...text('env'), ...text('memory'), 0x02, 0x00, 0x01];
  const bodies = functions.map((f) => {
    const body = [...vector(f.locals.map((type) => [1, TYPES[type]!])), ...f.code];
    return [...unsigned(body.length), ...body];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // magic, version 1
    ...section(1, vector(types)),
    ...section(2, vector([memoryImport])),
    ...section(3, vector(functions.map((_, i) => unsigned(i)))),
    ...section(7, vector(functions.map((f, i) => [...text(f.name), 0x00, ...unsigned(i)]))),
    ...section(10, vector(bodies)),
  ]);
}

const section = (id: number, content: readonly number[]): number[] => [id, ...unsigned(content.length), ...content];
const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => vector(Array.from(new TextEncoder().encode(value), (byte) => [byte]));

/** LEB128, section 5.2.2. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0; ; rest >>= 7) {
    const low = rest & 0x7f;
    if ((rest >> 6 === 0 && !(low & 0x40)) || (rest >> 6 === -1 && low & 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}
