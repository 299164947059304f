/**
 * The instructions that move floats: packing of the right-hand side of a product into panels of eight columns, its
 * transposed form, unpacking of a narrow last panel, and zero padding of images. All addresses and strides are in bytes.
 */
import {
  advance,
  type Code,
  countDown,
  f32,
  get,
  i32,
  type Local,
  loopWhile,
  type ModuleBuilder,
  memory,
  set,
  v128,
  when,
} from './assembler.js';

/** `pack`: panel[r, 0..8) = source[r, 0..columns), zero beyond, for r < count. */
export function addPackKernel(module: ModuleBuilder): void {
  module.func('pack', Array(5).fill('i32'), (scope) => {
    const [source, rowStride, target, count, columns] = scope.params;
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
  });
}

/** `packTransposed`: panel[k, j] = source[j, k] for k < count, j < columns, zero for the other j < 8. */
export function addPackTransposedKernel(module: ModuleBuilder): void {
  module.func('packTransposed', Array(5).fill('i32'), (scope) => {
    const [source, rowStride, target, count, columns] = scope.params;
    const [column, from, to, left] = scope.locals('i32', 4);
    const row = scope.locals('v128', 4);
    const [pair0, pair1, pair2, pair3] = scope.locals('v128', 4);
    const quad: readonly Code[] = [
      ...row.map((value, j) => set(value, v128.load(i32.add(get(from), i32.mul(i32.const(j), get(rowStride)))))),
      set(pair0, v128.shuffle32(get(row[0]), get(row[1]), [0, 4, 1, 5])),
      set(pair1, v128.shuffle32(get(row[2]), get(row[3]), [0, 4, 1, 5])),
      set(pair2, v128.shuffle32(get(row[0]), get(row[1]), [2, 6, 3, 7])),
      set(pair3, v128.shuffle32(get(row[2]), get(row[3]), [2, 6, 3, 7])),
      v128.store(get(to), v128.shuffle32(get(pair0), get(pair1), [0, 1, 4, 5]), 0),
      v128.store(get(to), v128.shuffle32(get(pair0), get(pair1), [2, 3, 6, 7]), 32),
      v128.store(get(to), v128.shuffle32(get(pair2), get(pair3), [0, 1, 4, 5]), 64),
      v128.store(get(to), v128.shuffle32(get(pair2), get(pair3), [2, 3, 6, 7]), 96),
      advance(from, i32.const(16)),
      advance(to, i32.const(128)),
      set(left, i32.sub(get(left), i32.const(4))),
    ];
    const single = (lanes: number): readonly Code[] => [
      ...Array.from({ length: lanes }, (_, j) =>
        f32.store(get(to), f32.load(i32.add(get(from), i32.mul(i32.const(j), get(rowStride)))), 4 * j),
      ),
      advance(from, i32.const(4)),
      advance(to, i32.const(32)),
      countDown(left),
    ];
    const start = [
      set(from, i32.add(get(source), i32.mul(get(column), get(rowStride)))),
      set(to, i32.add(get(target), i32.shl(get(column), i32.const(2)))),
      set(left, get(count)),
    ];
    const clear = [
      set(to, get(target)),
      set(left, get(count)),
      loopWhile(get(left), [
        v128.store(get(to), v128.zero, 0),
        v128.store(get(to), v128.zero, 16),
        advance(to, i32.const(32)),
        countDown(left),
      ]),
    ];
    return [
      when(i32.ltU(get(columns), i32.const(8)), clear),
      loopWhile(i32.geU(get(columns), i32.add(get(column), i32.const(4))), [
        start,
        loopWhile(i32.geU(get(left), i32.const(4)), quad),
        loopWhile(get(left), single(4)),
        advance(column, i32.const(4)),
      ]),
      loopWhile(i32.ltU(get(column), get(columns)), [
        start,
        loopWhile(get(left), single(1)),
        advance(column, i32.const(1)),
      ]),
    ];
  });
}

/** `unpack`: C[row, 0..columns) = panel[row, 0..columns): row r of the panel at 32·r, of C at cBase + cTable[r]. */
export function addUnpackKernel(module: ModuleBuilder): void {
  module.func('unpack', Array(5).fill('i32'), (scope) => {
    const [panel, cBase, cTable, count, columns] = scope.params;
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
  });
}

/**
 * `padImages`: copies `rows` rows of `rowBytes` from each of `images` images into larger, zeroed images. The first row of
 * an image lands `lead` bytes into its target; rows lie sourceRow and targetRow bytes apart, images sourceImage and
 * targetImage.
 */
export function addPadKernel(module: ModuleBuilder): void {
  module.func('padImages', Array(10).fill('i32'), (scope) => {
    const [source, target, images, rows, rowBytes, sourceRow, targetRow, sourceImage, targetImage, lead] = scope.params;
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
  });
}

/** `gatherRows`: out[r] = x[index[r]], rows of `rowBytes`. (x, index, out, count, rowBytes) */
export function addGatherKernel(module: ModuleBuilder): void {
  module.func('gatherRows', Array(5).fill('i32'), (scope) => {
    const [x, index, out, count, rowBytes] = scope.params;
    return [
      loopWhile(get(count), [
        memory.copy(get(out), i32.add(get(x), i32.mul(i32.load(get(index)), get(rowBytes))), get(rowBytes)),
        advance(index, i32.const(4)),
        advance(out, get(rowBytes)),
        countDown(count),
      ]),
    ];
  });
}
