/**
 * Sums over rows and over columns, and their opposites, the spreading of a value over what was summed. Long sums are made
 * of partial sums of {@link CHUNK} terms, so that rounding errors do not grow with the length.
 */
import {
  advance,
  type Code,
  countDown,
  type Func,
  f32,
  f32x4,
  get,
  i32,
  type Local,
  loopWhile,
  set,
  v128,
  when,
} from '../../../../shared/wasm/assembler.js';

const CHUNK = 256;

/** out[c] = scale · sum over r of x[r, c]. */
export const columnSums: Func = {
  params: ['i32', 'i32', 'i32', 'i32', 'f32'],
  body(scope, x, out, rows, columns, scale) {
    const [pointer, left, inChunk, rowBytes] = scope.locals('i32', 4);
    /** Sums `vectors` vectors side by side, or single columns (the value splat over the lanes). */
    const group = (
      vectors: number,
      load: typeof v128.load,
      store: typeof v128.store,
      size: number,
    ): readonly Code[] => {
      const sums = scope.locals('v128', vectors);
      const parts = scope.locals('v128', vectors);
      return [
        ...sums.map((sum) => set(sum, v128.zero)),
        set(pointer, get(x)),
        set(left, get(rows)),
        loopWhile(get(left), [
          set(inChunk, i32.minU(left, i32.const(CHUNK))),
          set(left, i32.sub(get(left), get(inChunk))),
          ...parts.map((part) => set(part, v128.zero)),
          loopWhile(get(inChunk), [
            ...parts.map((part, n) => set(part, f32x4.add(get(part), load(get(pointer), 16 * n)))),
            advance(pointer, get(rowBytes)),
            countDown(inChunk),
          ]),
          ...parts.map((part, n) => set(sums[n], f32x4.add(get(sums[n]), get(part)))),
        ]),
        ...sums.map((sum, n) => store(get(out), f32x4.mul(get(sum), f32x4.splat(get(scale))), 16 * n)),
        advance(x, i32.const(4 * size)),
        advance(out, i32.const(4 * size)),
        set(columns, i32.sub(get(columns), i32.const(size))),
      ];
    };
    return [
      set(rowBytes, i32.shl(get(columns), i32.const(2))),
      loopWhile(i32.geU(get(columns), i32.const(16)), group(4, v128.load, v128.store, 16)),
      loopWhile(i32.geU(get(columns), i32.const(4)), group(1, v128.load, v128.store, 4)),
      loopWhile(get(columns), group(1, v128.loadSplat, v128.storeFirst, 1)),
    ];
  },
};

/** out[r] = scale · sum over c of x[r, c]. */
export const rowSums: Func = {
  params: ['i32', 'i32', 'i32', 'i32', 'f32'],
  body(scope, x, out, rows, length, scale) {
    const [left, inChunk] = scope.locals('i32', 2);
    const parts = scope.locals('v128', 4);
    const sum = scope.local('v128');
    const rest = scope.local('f32');
    const floatsPerTurn = 16;
    const add = (a: Code, b: Code) => f32x4.add(a, b);
    const lanes = [0, 1, 2, 3].map((lane) => f32x4.lane(get(sum), lane));
    return [
      loopWhile(get(rows), [
        set(sum, v128.zero),
        set(rest, f32.const(0)),
        set(left, get(length)),
        loopWhile(i32.geU(get(left), i32.const(floatsPerTurn)), [
          // Whole turns, at most CHUNK of them.
          set(inChunk, i32.shrU(get(left), i32.const(4))),
          set(inChunk, i32.minU(inChunk, i32.const(CHUNK))),
          set(left, i32.sub(get(left), i32.shl(get(inChunk), i32.const(4)))),
          ...parts.map((part) => set(part, v128.zero)),
          loopWhile(get(inChunk), [
            ...parts.map((part, n) => set(part, add(get(part), v128.load(get(x), 16 * n)))),
            advance(x, i32.const(4 * floatsPerTurn)),
            countDown(inChunk),
          ]),
          set(sum, add(get(sum), add(add(get(parts[0]), get(parts[1])), add(get(parts[2]), get(parts[3]))))),
        ]),
        loopWhile(i32.geU(get(left), i32.const(4)), [
          set(sum, add(get(sum), v128.load(get(x)))),
          advance(x, i32.const(16)),
          set(left, i32.sub(get(left), i32.const(4))),
        ]),
        loopWhile(get(left), [
          set(rest, f32.add(get(rest), f32.load(get(x)))),
          advance(x, i32.const(4)),
          countDown(left),
        ]),
        set(rest, f32.add(get(rest), f32.add(f32.add(lanes[0], lanes[1]), f32.add(lanes[2], lanes[3])))),
        f32.store(get(out), f32.mul(get(rest), get(scale))),
        advance(out, i32.const(4)),
        countDown(rows),
      ]),
    ];
  },
};

/** out[o, k, i] = scale · x[o, i] for k < repeats. */
export const spread: Func = {
  params: ['i32', 'i32', 'i32', 'i32', 'i32', 'f32'],
  body(scope, x, out, outer, repeats, inner, scale) {
    const [times, pointer, left] = scope.locals('i32', 3);
    const [value, factor] = scope.locals('v128', 2);
    const fill = [
      set(value, f32x4.mul(v128.loadSplat(get(x)), get(factor))),
      set(left, get(repeats)),
      ...storeRun(out, left, () => get(value), []),
      advance(x, i32.const(4)),
    ];
    const copy = [
      set(times, get(repeats)),
      loopWhile(get(times), [
        set(pointer, get(x)),
        set(left, get(inner)),
        ...storeRun(out, left, (load) => f32x4.mul(load(get(pointer)), get(factor)), [pointer]),
        countDown(times),
      ]),
      set(x, get(pointer)),
    ];
    return [
      set(factor, f32x4.splat(get(scale))),
      loopWhile(get(outer), [when(i32.eq(get(inner), i32.const(1)), fill, copy), countDown(outer)]),
    ];
  },
};

/** Stores `left` values from `target` on, four at a time and then singly, moving `target` and `pointers` along. */
function storeRun(
  target: Local,
  left: Local,
  value: (load: (address: Code) => Code) => Code,
  pointers: readonly Local[],
): readonly Code[] {
  const move = (size: number) => [
    ...[target, ...pointers].map((pointer) => advance(pointer, i32.const(4 * size))),
    set(left, i32.sub(get(left), i32.const(size))),
  ];
  return [
    loopWhile(i32.geU(get(left), i32.const(4)), [v128.store(get(target), value(v128.load)), ...move(4)]),
    loopWhile(get(left), [v128.storeFirst(get(target), value(v128.loadSplat)), ...move(1)]),
  ];
}
