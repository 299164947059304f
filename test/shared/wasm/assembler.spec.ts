/** Modules that the assembler makes, run by the platform: encodings at their edges, control, and each lane-wise instruction. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { NOISE_FUNCTIONS } from '../../../shared/privacy/noise/kernel-source.js';
import { SECAGG_FUNCTIONS } from '../../../shared/secagg/wasm/source.js';
import {
  advance,
  block,
  branchIf,
  type Code,
  countDown,
  doWhile,
  encodeModule,
  type Func,
  f32,
  f32x4,
  f64x2,
  get,
  i16x8,
  i32,
  i32x4,
  loop,
  loopWhile,
  memory,
  set,
  v128,
  when,
} from '../../../shared/wasm/assembler.js';
import { compile, createMemory } from '../../../shared/wasm/platform.js';

type Run = (...args: number[]) => number;
const RESULT = 1024;
const space = createMemory(4096);

/** The function of an expression of two i32 parameters. */
const ofTwo = (write: (a: Code, b: Code) => Code): Run => {
  const f: Func = { params: ['i32', 'i32'], result: 'i32', body: (_scope, a, b) => [write(get(a), get(b))] };
  return compile<{ f: Run }>({ f })(space).f;
};

/** Bytes of the vector that `write` makes of the two vectors at 0 and 16. */
function vectorOf(write: (a: Code, b: Code) => Code, ...operands: ArrayBufferView[]): ArrayBuffer {
  new Uint8Array(space.buffer).fill(0xee);
  operands.forEach((operand, i) => {
    const bytes = new Uint8Array(operand.buffer, operand.byteOffset, operand.byteLength);
    new Uint8Array(space.buffer).set(bytes, 16 * i);
  });
  const [a, b] = [0, 16].map((address) => v128.load(i32.const(address)));
  const store: Func = { params: [], body: () => [v128.store(i32.const(RESULT), write(a, b))] };
  compile<{ store: Run }>({ store })(space).store();
  return space.buffer.slice(RESULT, RESULT + 16);
}

describe('the assembler', () => {
  it('encodes an i32 constant of any size, at the edges of one to five bytes', () => {
    const edges = [6, 7, 13, 14, 20, 21, 27, 28, 31].flatMap((bits) => [
      2 ** bits - 1,
      2 ** bits,
      -(2 ** bits),
      -(2 ** bits) - 1,
    ]);
    for (const value of [0, -1, ...edges]) assert.equal(ofTwo(() => i32.const(value))(0, 0), value | 0, `${value}`);
    fc.assert(
      fc.property(fc.integer(), (value) => assert.equal(ofTwo(() => i32.const(value))(0, 0), value)),
      { numRuns: 100, seed: 1 },
    );
  });

  it('encodes offsets, locals and functions beyond one byte', () => {
    const ints = new Int32Array(space.buffer);
    ints[0] = 1;
    ints[31] = 31;
    ints[32] = 32;
    assert.equal(ofTwo((a) => i32.load(a, 124))(0, 0), 31);
    assert.equal(ofTwo((a) => i32.load(a, 128))(0, 0), 32);
    assert.equal(ofTwo((a) => i32.load(a, 124))(4, 0), 32);
    const last: Func = {
      params: ['i32'],
      result: 'i32',
      body(scope, given) {
        const locals = scope.locals('i32', 300);
        return [...locals.map((local, i) => set(local, i32.add(get(given), i32.const(i)))), get(locals[299])];
      },
    };
    const names = Array.from({ length: 200 }, (_, i) => `f${i}`);
    const functions = Object.fromEntries(names.map((name) => [name, last]));
    assert.equal(compile<Record<string, Run>>(functions)(space).f199(1000), 1299);
  });

  it('computes with i32 as JavaScript does with 32 bits', () => {
    const cases: readonly [write: (a: Code, b: Code) => Code, expected: (a: number, b: number) => number][] = [
      [i32.add, (a, b) => a + b],
      [i32.sub, (a, b) => a - b],
      [i32.mul, Math.imul],
      [i32.and, (a, b) => a & b],
      [i32.shl, (a, b) => a << b],
      [i32.shrU, (a, b) => a >>> b],
      [i32.eq, (a, b) => Number(a === b)],
      [i32.ltU, (a, b) => Number(a >>> 0 < b >>> 0)],
      [i32.leU, (a, b) => Number(a >>> 0 <= b >>> 0)],
      [i32.gtU, (a, b) => Number(a >>> 0 > b >>> 0)],
      [i32.geU, (a, b) => Number(a >>> 0 >= b >>> 0)],
      [(a) => i32.clz(a), (a) => Math.clz32(a)],
    ];
    for (const [write, expected] of cases) {
      const run = ofTwo(write);
      for (const a of [0, 1, 5, -1, -7, 0x7fffffff, -0x80000000]) {
        for (const b of [0, 1, 5, -1, 31, 33]) assert.equal(run(a, b), expected(a, b) | 0, `${expected}: ${a}, ${b}`);
      }
    }
    const least: Func = { params: ['i32', 'i32'], result: 'i32', body: (_scope, a, b) => [i32.minU(a, get(b))] };
    assert.equal(compile<{ least: Run }>({ least })(space).least(-1, 3), 3);
  });

  it('repeats, tests before the first turn or after it, leaves early, and chooses', () => {
    const sums: Record<'before' | 'after' | 'early', Func> = {
      before: {
        params: ['i32'],
        result: 'i32',
        body: (scope, n) => sumOf(scope.local('i32'), (turn) => loopWhile(get(n), turn(n))),
      },
      after: {
        params: ['i32'],
        result: 'i32',
        body: (scope, n) => sumOf(scope.local('i32'), (turn) => doWhile(turn(n), get(n))),
      },
      // leaves at 3, through two levels
      early: {
        params: ['i32'],
        result: 'i32',
        body: (scope, n) =>
          sumOf(scope.local('i32'), (turn) =>
            block([loop([branchIf(i32.eq(get(n), i32.const(3)), 1), turn(n), branchIf(get(n), 0)])]),
          ),
      },
    };
    function sumOf(sum: Parameters<typeof get>[0], write: (turn: (n: typeof sum) => Code[]) => Code): Code[] {
      return [write((n) => [advance(sum, get(n)), countDown(n)]), get(sum)];
    }
    const run = compile<Record<keyof typeof sums, Run>>(sums)(space);
    assert.deepEqual([run.before(0), run.before(4)], [0, 10]);
    assert.equal(run.after(1), 1);
    assert.equal(run.after(4), 10);
    assert.equal(run.early(6), 15); // 6 + 5 + 4
    const pick: Func = {
      params: ['i32'],
      result: 'i32',
      body(scope, which) {
        const out = scope.local('i32');
        return [
          when(get(which), [set(out, i32.const(7))], [set(out, i32.const(8))]),
          when(i32.eq(get(which), i32.const(2)), [set(out, i32.const(9))]),
          get(out),
        ];
      },
    };
    assert.deepEqual([0, 1, 2].map(compile<{ pick: (n: number) => number }>({ pick })(space).pick), [8, 7, 9]);
  });

  it('moves bytes', () => {
    const move: Func = {
      params: ['f32'],
      body: (_scope, value) => [
        memory.fill(i32.const(0), i32.const(12)),
        f32.store(i32.const(4), f32.add(get(value), f32.const(0.5))),
        memory.copy(i32.const(16), i32.const(0), i32.const(12)),
      ],
    };
    new Uint8Array(space.buffer).fill(0xff);
    compile<{ move: Run }>({ move })(space).move(1.25);
    assert.deepEqual(new Float32Array(space.buffer, 16, 3), Float32Array.of(0, 1.75, 0));
  });

  it('refuses by name a function whose body is not valid', () => {
    const good: Func = { params: [], body: () => [] };
    const bad: Func = { params: ['f32', 'i32'], result: 'f32', body: (_scope, a, b) => [f32.add(get(a), get(b))] };
    assert.throws(() => compile({ good, bad }), /#1:"bad" failed.*type f32/);
    assert.throws(() => compile({ bad: { params: [], body: (_scope, a) => [get(a)] } }), TypeError);
  });

  it('makes modules of our kernels of a few kilobytes at most', () => {
    for (const functions of [SECAGG_FUNCTIONS, NOISE_FUNCTIONS]) assert.ok(encodeModule(functions).length < 2048);
  });
});

describe('the assembler: vectors', () => {
  const floats = (...values: number[]): Float32Array => Float32Array.from(values);

  it('rounds, compares and converts four floats', () => {
    const x = floats(-1.5, 2.5, 0, 1e10);
    const y = floats(-1, 2.5, Number.NaN, 3);
    const bits = (buffer: ArrayBuffer) => Array.from(new Int32Array(buffer));
    const values = (buffer: ArrayBuffer) => Array.from(new Float32Array(buffer));
    assert.deepEqual(values(vectorOf(f32x4.floor, x)), [-2, 2, 0, 1e10]);
    assert.deepEqual(values(vectorOf(f32x4.nearest, x)), [-2, 2, 0, 1e10]);
    assert.deepEqual(bits(vectorOf(f32x4.lt, x, y)), [-1, 0, 0, 0]);
    assert.deepEqual(bits(vectorOf(f32x4.ne, x, y)), [-1, 0, -1, -1]);
    assert.deepEqual(bits(vectorOf(f32x4.eq, x, y)), [0, -1, 0, 0]);
    assert.deepEqual(bits(vectorOf(i32x4.fromF32x4, floats(-1.5, 2.5, Number.NaN, 1e10))), [-1, 2, 0, 0x7fffffff]);
    assert.deepEqual(values(vectorOf(f32x4.fromI32x4, Int32Array.of(-1, 1, 7, -8))), [-1, 1, 7, -8]);
    assert.deepEqual(values(vectorOf(f32x4.fromU32x4, Int32Array.of(-256, 1, 7, 8))), [2 ** 32 - 256, 1, 7, 8]);
    // NaN in the first operand stays, in the second it gives way
    assert.deepEqual(values(vectorOf(f32x4.min, y, x)), [-1.5, 2.5, Number.NaN, 3]);
    assert.deepEqual(values(vectorOf(f32x4.max, x, y)), [-1, 2.5, 0, 1e10]);
  });

  it('computes with integers in lanes of 16 and 32 bits', () => {
    const a = Int32Array.of(1, -1, 0x7fffffff, 3);
    const b = Int32Array.of(5, 7, 2, -4);
    const ints = (write: (a: Code, b: Code) => Code) => Array.from(new Int32Array(vectorOf(write, a, b)));
    assert.deepEqual(ints(i32x4.add), [6, 6, -0x7fffffff, -1]);
    assert.deepEqual(ints(i32x4.sub), [-4, -8, 0x7ffffffd, 7]);
    assert.deepEqual(ints(i32x4.mul), [5, -7, -2, -12]);
    assert.deepEqual(
      ints((x) => i32x4.shrU(x, 4)),
      [0, 0x0fffffff, 0x07ffffff, 0],
    );
    assert.deepEqual(
      ints((x) => i32x4.shrS(x, 4)),
      [0, -1, 0x07ffffff, 0],
    );
    assert.deepEqual(
      ints((x) => i32x4.shl(x, 4)),
      [16, -16, -16, 48],
    );
    assert.deepEqual(
      ints(() => i32x4.const(-300)),
      [-300, -300, -300, -300],
    );
    const shorts = Int16Array.of(1, -1, 0x4001, -0x8000, 0, 2, 3, 4);
    const halves = (write: (a: Code) => Code) => Array.from(new Int16Array(vectorOf(write, shorts)));
    assert.deepEqual(
      halves((x) => i16x8.shl(x, 1)),
      [2, -2, -0x7ffe, 0, 0, 4, 6, 8],
    );
    assert.deepEqual(
      halves((x) => i16x8.shrS(x, 15)),
      [0, -1, 0, -1, 0, 0, 0, 0],
    );
    assert.deepEqual(
      halves(() => i16x8.const(0x100b)),
      Array(8).fill(0x100b),
    );
  });

  it('computes with two float64, and rounds them to float32', () => {
    const a = Float64Array.of(-1.5, 1e300);
    const b = Float64Array.of(0.1, 3);
    const doubles = (write: (a: Code, b: Code) => Code, x: ArrayBufferView = a) =>
      Array.from(new Float64Array(vectorOf(write, x, b)));
    assert.deepEqual(doubles(f64x2.add), [-1.5 + 0.1, 1e300]);
    assert.deepEqual(doubles(f64x2.mul), [-1.5 * 0.1, 3e300]);
    assert.deepEqual(doubles(f64x2.div), [-1.5 / 0.1, 1e300 / 3]);
    assert.deepEqual(doubles(f64x2.floor), [-2, 1e300]);
    assert.deepEqual(
      doubles(() => f64x2.const(0.1)),
      [0.1, 0.1],
    );
    assert.deepEqual(doubles(f64x2.fromLowI32x4, Int32Array.of(-3, 4, 5, 6)), [-3, 4]);
    const singles = new Float32Array(vectorOf(f32x4.fromF64x2, Float64Array.of(0.1, -7)));
    assert.deepEqual(Array.from(singles), [Math.fround(0.1), -7, 0, 0]);
  });

  it('loads, stores, chooses and asks by bits', () => {
    const a = Int32Array.of(1, 2, 3, 4);
    const b = Int32Array.of(5, 6, 7, 8);
    const ints = (write: (a: Code, b: Code) => Code) => Array.from(new Int32Array(vectorOf(write, a, b)));
    assert.deepEqual(
      ints(() => v128.loadLow(i32.const(0), 4)),
      [2, 3, 0, 0],
    );
    assert.deepEqual(
      ints(() => v128.loadSplat(i32.const(0), 8)),
      [3, 3, 3, 3],
    );
    assert.deepEqual(
      ints((x, y) => v128.shuffle32(x, y, [7, 0, 4, 3])),
      [8, 1, 5, 4],
    );
    assert.deepEqual(
      ints((x, y) => v128.select(x, y, i32x4.const(3))),
      [5, 6, 7, 8 & ~3],
    );
    assert.deepEqual(ints(v128.andNot), [0, 0, 0, 4]);
    const low: Func = {
      params: [],
      result: 'i32',
      body: () => [v128.storeLow(i32.const(64), v128.load(i32.const(0)), 4), v128.anyTrue(v128.load(i32.const(64)))],
    };
    new Int32Array(space.buffer).fill(0).set(a);
    assert.equal(compile<{ low: Run }>({ low })(space).low(), 1);
    assert.deepEqual(new Int32Array(space.buffer, 64, 4), Int32Array.of(0, 1, 2, 0));
    assert.equal(ofTwo(() => v128.anyTrue(v128.zero))(0, 0), 0);
  });
});
