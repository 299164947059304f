/** Element-wise functions of one or two tensors of equal shape, four elements at a time. */
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
  type Scope,
  set,
  v128,
} from '../../../../shared/wasm/assembler.js';
import {
  type Computed,
  exponential,
  gelu,
  geluGradient,
  hyperbolicTangent,
  logarithm,
  logistic,
  softplus,
} from './math.js';

type Map = (scope: Scope, inputs: readonly Code[], constants: readonly Code[]) => Computed;

const plain = (value: Code): Computed => ({ code: [], value });

/** Element by element over float32 tensors of equal size: (input.., output, count, constant..), constants as f32. */
export const maps = {
  exp: mapOf(1, 0, (scope, [x]) => exponential(scope, x)),
  log: mapOf(1, 0, (scope, [x]) => logarithm(scope, x)),
  tanh: mapOf(1, 0, (scope, [x]) => hyperbolicTangent(scope, x)),
  sigmoid: mapOf(1, 0, (scope, [x]) => logistic(scope, x)),
  softplus: mapOf(1, 0, (scope, [x]) => softplus(scope, x)),
  gelu: mapOf(1, 0, (scope, [x]) => gelu(scope, x)),
  geluGradient: mapOf(2, 0, (scope, [dy, x]) => geluGradient(scope, dy, x)),
  clip: mapOf(1, 2, (_scope, [x], [low, high]) => plain(f32x4.min(f32x4.max(x, low), high))),
  /** dy where x > 0 */
  reluGradient: mapOf(2, 0, (_scope, [dy, x]) => plain(v128.and(dy, f32x4.gt(x, v128.zero)))),
  /** dy · (1 - y²) */
  tanhGradient: mapOf(2, 0, (_scope, [dy, y]) => plain(f32x4.mul(dy, f32x4.sub(f32x4.const(1), f32x4.mul(y, y))))),
  /** dy · y · (1 - y) */
  sigmoidGradient: mapOf(2, 0, (_scope, [dy, y]) => plain(f32x4.mul(f32x4.mul(dy, y), f32x4.sub(f32x4.const(1), y)))),
  /** a + scale · b */
  addScaled: mapOf(2, 1, (_scope, [a, b], [scale]) => plain(f32x4.add(a, f32x4.mul(b, scale)))),
};

function mapOf(inputs: number, constants: number, map: Map): Func {
  return {
    params: [...Array<'i32'>(inputs + 2).fill('i32'), ...Array<'f32'>(constants).fill('f32')],
    body(scope, ...params) {
      const sources = params.slice(0, inputs);
      const [target, count] = params.slice(inputs);
      const given = params.slice(inputs + 2);
      const values = scope.locals('v128', inputs);
      const splats = scope.locals('v128', constants);
      const computed = map(scope, values.map(get), splats.map(get));
      const step = (load: (source: Local) => Code, store: Code, size: number): readonly Code[] => [
        ...sources.map((source, index) => set(values[index], load(source))),
        ...computed.code,
        store,
        ...[...sources, target].map((pointer) => advance(pointer, i32.const(4 * size))),
      ];
      return [
        ...splats.map((splat, index) => set(splat, f32x4.splat(get(given[index])))),
        loopWhile(i32.geU(get(count), i32.const(4)), [
          ...step((source) => v128.load(get(source)), v128.store(get(target), computed.value), 4),
          set(count, i32.sub(get(count), i32.const(4))),
        ]),
        // The last one to three elements, each computed in all lanes and stored from the first.
        loopWhile(get(count), [
          ...step((source) => v128.loadSplat(get(source)), v128.storeFirst(get(target), computed.value), 1),
          countDown(count),
        ]),
      ];
    },
  };
}
