/**
 * One window of the gradients of pooling, all channels of it. `x` and `dx` point at the window's first pixel (its part
 * inside the image, rows x columns), `y` and `dy` at the output pixel. Strides in bytes.
 */
import {
  advance,
  type Code,
  countDown,
  type Func,
  f32x4,
  get,
  i32,
  type Local,
  loopWhile,
  set,
  v128,
} from '../../../../shared/wasm/assembler.js';

interface Access {
  readonly load: typeof v128.load;
  readonly store: typeof v128.store;
  readonly channels: number;
}

/** Four channels at a time, then singly. */
const ACCESS: readonly Access[] = [
  { load: v128.load, store: v128.store, channels: 4 },
  { load: v128.loadSplat, store: v128.storeFirst, channels: 1 },
];

/** Visits the pixels of the window with the offset of each from its first. */
function eachPixel(
  size: { rows: Local; columns: Local; rowBytes: Local; pixelBytes: Local },
  at: Locals,
  body: readonly Code[],
) {
  const { offset, row, column, rowStart } = at;
  return [
    set(rowStart, i32.const(0)),
    set(row, get(size.rows)),
    loopWhile(get(row), [
      set(offset, get(rowStart)),
      set(column, get(size.columns)),
      loopWhile(get(column), [...body, advance(offset, get(size.pixelBytes)), countDown(column)]),
      advance(rowStart, get(size.rowBytes)),
      countDown(row),
    ]),
  ];
}

type Locals = Record<'offset' | 'row' | 'column' | 'rowStart', Local>;

/** dx += dy at the first pixel, row by row, that holds the maximum y. */
export const maxPoolWindow: Func = {
  params: Array(9).fill('i32'),
  body(scope, x, y, dy, dx, rows, columns, rowBytes, pixelBytes, channels) {
    const [offset, row, column, rowStart] = scope.locals('i32', 4);
    const [maximum, pending, isMaximum] = scope.locals('v128', 3);
    const target = i32.add(get(dx), get(offset));
    const channelGroup = ({ load, store, channels: size }: Access): readonly Code[] => [
      set(maximum, load(get(y))),
      set(pending, load(get(dy))),
      ...eachPixel({ rows, columns, rowBytes, pixelBytes }, { offset, row, column, rowStart }, [
        set(isMaximum, f32x4.eq(load(i32.add(get(x), get(offset))), get(maximum))),
        store(target, f32x4.add(load(target), v128.and(get(pending), get(isMaximum)))),
        set(pending, v128.andNot(get(pending), get(isMaximum))),
      ]),
      ...[x, y, dy, dx].map((pointer) => advance(pointer, i32.const(4 * size))),
      set(channels, i32.sub(get(channels), i32.const(size))),
    ];
    return ACCESS.map((access) => loopWhile(i32.geU(get(channels), i32.const(access.channels)), channelGroup(access)));
  },
};

/** dx += scale · dy at every pixel. */
export const averagePoolWindow: Func = {
  params: [...Array<'i32'>(7).fill('i32'), 'f32'],
  body(scope, dy, dx, rows, columns, rowBytes, pixelBytes, channels, scale) {
    const [offset, row, column, rowStart] = scope.locals('i32', 4);
    const share = scope.local('v128');
    const target = i32.add(get(dx), get(offset));
    const channelGroup = ({ load, store, channels: size }: Access): readonly Code[] => [
      set(share, f32x4.mul(load(get(dy)), f32x4.splat(get(scale)))),
      ...eachPixel({ rows, columns, rowBytes, pixelBytes }, { offset, row, column, rowStart }, [
        store(target, f32x4.add(load(target), get(share))),
      ]),
      ...[dy, dx].map((pointer) => advance(pointer, i32.const(4 * size))),
      set(channels, i32.sub(get(channels), i32.const(size))),
    ];
    return ACCESS.map((access) => loopWhile(i32.geU(get(channels), i32.const(access.channels)), channelGroup(access)));
  },
};
