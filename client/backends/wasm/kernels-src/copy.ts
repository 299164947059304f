/**
 * The functions that move floats: packing of the right-hand side of a product into panels of eight columns, unpacking
 * of a narrow last panel, transposition, gathering of rows, and zero padding of images. All addresses and strides are in bytes.
 */
import {
  advance,
  type Code,
  countDown,
  type Func,
  f32,
  get,
  i32,
  type Local,
  loopWhile,
  memory,
  set,
  v128,
  when,
} from '../../../../shared/wasm/assembler.js';

/** panel[r, 0..8) = source[r, 0..columns), zero beyond, for r < count. */
export const pack: Func = {
  params: Array(5).fill('i32'),
  body(scope, source, rowStride, target, count, columns) {
    const column = scope.local('i32');
    const here = (base: Local): Code => i32.add(get(base), i32.shl(get(column), i32.const(2)));
    const narrow = [
      v128.store(get(target), v128.zero, 0),
      v128.store(get(target), v128.zero, 16),
      set(column, i32.const(0)),
      loopWhile(i32.ltU(get(column), get(columns)), [
        f32.store(here(target), f32.load(here(source))),
        advance(column, i32.const(1)),
      ]),
    ];
    const full = [0, 16].map((half) => v128.store(get(target), v128.load(get(source), half), half));
    return [
      loopWhile(get(count), [
        when(i32.eq(get(columns), i32.const(8)), full, narrow),
        advance(source, get(rowStride)),
        advance(target, i32.const(32)),
        countDown(count),
      ]),
    ];
  },
};

/**
 * target[c, r] = source[r, c] for r < rows, c < columns, in blocks of four by four: a strip of four rows, then
 * the next. What is left at the edges goes one by one.
 */
export const transpose: Func = {
  params: Array(6).fill('i32'),
  body(scope, source, sourceStride, target, targetStride, rows, columns) {
    const [from, to, left] = scope.locals('i32', 3);
    const lines = scope.locals('v128', 4);
    const pairs = scope.locals('v128', 4);
    /** The element or vector of the strip's n-th row at `from`; the n-th row of the target at `to`. */
    const fromRow = (n: number): Code => i32.add(get(from), i32.mul(i32.const(n), get(sourceStride)));
    const toRow = (n: number): Code => i32.add(get(to), i32.mul(i32.const(n), get(targetStride)));
    const strip = (height: number, blocks: readonly Code[]): readonly Code[] => [
      set(from, get(source)),
      set(to, get(target)),
      set(left, get(columns)),
      ...blocks,
      loopWhile(get(left), [
        ...Array.from({ length: height }, (_, n) => f32.store(get(to), f32.load(fromRow(n)), 4 * n)),
        advance(from, i32.const(4)),
        advance(to, get(targetStride)),
        countDown(left),
      ]),
      advance(source, i32.mul(i32.const(height), get(sourceStride))),
      advance(target, i32.const(4 * height)),
      set(rows, i32.sub(get(rows), i32.const(height))),
    ];
    const mix = (a: Local, b: Local, lanes: Lanes): Code => v128.shuffle32(get(a), get(b), lanes);
    const block = [
      ...lines.map((line, n) => set(line, v128.load(fromRow(n)))),
      set(pairs[0], mix(lines[0], lines[1], [0, 4, 1, 5])),
      set(pairs[1], mix(lines[2], lines[3], [0, 4, 1, 5])),
      set(pairs[2], mix(lines[0], lines[1], [2, 6, 3, 7])),
      set(pairs[3], mix(lines[2], lines[3], [2, 6, 3, 7])),
      v128.store(toRow(0), mix(pairs[0], pairs[1], [0, 1, 4, 5])),
      v128.store(toRow(1), mix(pairs[0], pairs[1], [2, 3, 6, 7])),
      v128.store(toRow(2), mix(pairs[2], pairs[3], [0, 1, 4, 5])),
      v128.store(toRow(3), mix(pairs[2], pairs[3], [2, 3, 6, 7])),
      advance(from, i32.const(16)),
      advance(to, i32.shl(get(targetStride), i32.const(2))),
      set(left, i32.sub(get(left), i32.const(4))),
    ];
    return [
      loopWhile(i32.geU(get(rows), i32.const(4)), strip(4, [loopWhile(i32.geU(get(left), i32.const(4)), block)])),
      loopWhile(get(rows), strip(1, [])),
    ];
  },
};

type Lanes = readonly [number, number, number, number];

/** C[row, 0..columns) = panel[row, 0..columns): row r of the panel at 32·r, of C at cBase + cTable[r]. */
export const unpack: Func = {
  params: Array(5).fill('i32'),
  body(scope, panel, cBase, cTable, count, columns) {
    const [column, target] = [scope.local('i32'), scope.local('i32')];
    const here = (base: Local): Code => i32.add(get(base), i32.shl(get(column), i32.const(2)));
    return [
      loopWhile(get(count), [
        set(target, i32.add(get(cBase), i32.load(get(cTable)))),
        set(column, i32.const(0)),
        loopWhile(i32.ltU(get(column), get(columns)), [
          f32.store(here(target), f32.load(here(panel))),
          advance(column, i32.const(1)),
        ]),
        advance(panel, i32.const(32)),
        advance(cTable, i32.const(4)),
        countDown(count),
      ]),
    ];
  },
};

/**
 * copies `rows` rows of `rowBytes` from each of `images` images into larger, zeroed images. The first row of
 * an image lands `lead` bytes into its target; rows lie sourceRow and targetRow bytes apart, images sourceImage and
 * targetImage.
 */
export const padImages: Func = {
  params: Array(10).fill('i32'),
  body(scope, source, target, images, rows, rowBytes, sourceRow, targetRow, sourceImage, targetImage, lead) {
    const [row, from, to] = scope.locals('i32', 3);
    return [
      memory.fill(get(target), i32.mul(get(images), get(targetImage))),
      loopWhile(get(images), [
        set(from, get(source)),
        set(to, i32.add(get(target), get(lead))),
        set(row, get(rows)),
        loopWhile(get(row), [
          memory.copy(get(to), get(from), get(rowBytes)),
          advance(from, get(sourceRow)),
          advance(to, get(targetRow)),
          countDown(row),
        ]),
        advance(source, get(sourceImage)),
        advance(target, get(targetImage)),
        countDown(images),
      ]),
    ];
  },
};

/** out[r] = x[index[r]], rows of `rowBytes`. */
export const gatherRows: Func = {
  params: Array(5).fill('i32'),
  body(_scope, x, index, out, count, rowBytes) {
    return [
      loopWhile(get(count), [
        memory.copy(get(out), i32.add(get(x), i32.mul(i32.load(get(index)), get(rowBytes))), get(rowBytes)),
        advance(index, i32.const(4)),
        advance(out, get(rowBytes)),
        countDown(count),
      ]),
    ];
  },
};
