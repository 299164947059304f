import assert from 'node:assert/strict';
import { makeStrategy, parseStrategy, STRATEGIES, type Strategy } from '../../../server/strategies/index.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { decode, encode } from '../../../shared/tensors/safetensors.js';

const f32 = (...values: number[]) => Float32Array.from(values);

/** Models after each round. */
function run(strategy: Strategy, global: Float32Array, updates: readonly Float32Array[]): Float32Array[] {
  let state = strategy.init(global.length);
  return updates.map((update, i) => {
    [global, state] = strategy.apply(global, update, state, i + 1);
    return global;
  });
}

for (const factory of STRATEGIES) {
  describe(`strategy contract: ${factory.name}`, () => {
    const strategy = makeStrategy(factory);
    const global = f32(1, -2, 0.5, 0);
    const update = f32(0.1, -0.02, 0, 1e-4);

    it('moves every element the way of its update, and none without one', () => {
      const [next] = strategy.apply(global, update, strategy.init(4), 1);
      const moved = [...next].map((value, i) => Math.sign(value - global[i]));
      assert.deepEqual(moved, [1, -1, 0, 1]);
      const [still] = strategy.apply(global, new Float32Array(4), strategy.init(4), 1);
      assert.deepEqual(still, global);
    });

    it('is pure: arguments stay as they were, results share no memory, equal calls agree', () => {
      const state = strategy.init(4);
      const before = structuredClone({ global, update, state });
      const [next, nextState] = strategy.apply(global, update, state, 1);
      assert.deepEqual({ global, update, state }, before);
      assert.deepEqual(strategy.apply(global, update, state, 1), [next, nextState]);
      const vectors = [global, update, next, ...Object.values(state.vectors), ...Object.values(nextState.vectors)];
      assert.equal(new Set(vectors.map(({ buffer }) => buffer)).size, vectors.length);
    });

    it('keeps the keys of its state, so a state saved as a model file goes on to the bit', () => {
      const [next, state] = strategy.apply(global, update, strategy.init(4), 1);
      assert.deepEqual(Object.keys(state.vectors), Object.keys(strategy.init(4).vectors));
      const file = encode(
        packTensors(Object.fromEntries(Object.entries(state.vectors).map(([k, data]) => [k, { shape: [4], data }]))),
      );
      const { params } = decode(file);
      const vectors = Object.fromEntries(
        params.layout.map(({ name, offset, size }) => [name, params.values.subarray(offset, offset + size)]),
      );
      const resumed = { vectors, scalars: JSON.parse(JSON.stringify(state.scalars)) };
      assert.deepEqual(strategy.apply(next, update, resumed, 2), strategy.apply(next, update, state, 2));
    });

    it('takes an empty model and refuses vectors of different lengths', () => {
      assert.deepEqual(strategy.apply(f32(), f32(), strategy.init(0), 1)[0], f32());
      assert.throws(() => strategy.apply(global, f32(1), strategy.init(4), 1), /meanUpdate: expected 4 elements/);
      if (Object.keys(strategy.init(4).vectors).length > 0) {
        assert.throws(
          () => strategy.apply(global, update, strategy.init(3), 1),
          /state .*: expected 4 elements, got 3/,
        );
      }
    });

    it('is found by its name with and without dash, with the defaults of its table', () => {
      for (const name of [factory.name, factory.name.replaceAll('-', ''), factory.name.toUpperCase()]) {
        const parsed = parseStrategy(name);
        assert.equal(parsed.name, factory.name);
        const defaults = Object.entries(factory.params).map(([key, spec]) => [key, spec.default]);
        assert.deepEqual(parsed.params, Object.fromEntries(defaults));
      }
    });
  });
}

describe('strategies by hand', () => {
  it('FedAvg adds lr · update', () => {
    // 1 + 1 · 0.25 = 1.25;  1 + 0.5 · 0.25 = 1.125
    assert.deepEqual(run(parseStrategy('fedavg'), f32(1), [f32(0.25)]), [f32(1.25)]);
    assert.deepEqual(run(parseStrategy('fedavg:lr=0.5'), f32(1), [f32(0.25)]), [f32(1.125)]);
  });

  it('FedAvgM sums updates with decay', () => {
    // m: 1, then 0.5·1 + 1 = 1.5, then 0.5·1.5 + 0 = 0.75;  model: 0 + 1, + 1.5, + 0.75
    const models = run(parseStrategy('fed-avgm:momentum=0.5'), f32(0), [f32(1), f32(1), f32(0)]);
    assert.deepEqual(models, [f32(1), f32(2.5), f32(3.25)]);
  });

  it('FedAdagrad, FedAdam and FedYogi differ in v alone', () => {
    // tau = 0.5, so v starts at 0.25; beta1 = 0, lr = 1, update 2, squared 4.
    const settings = 'lr=1,beta1=0,tau=0.5';
    const v = (strategy: Strategy) => strategy.apply(f32(0), f32(2), strategy.init(1), 1)[1].vectors.second[0];
    assert.equal(v(parseStrategy(`fedadagrad:${settings}`)), 4.25); // 0.25 + 4
    assert.equal(v(parseStrategy(`fedadam:${settings},beta2=0.75`)), 1.1875); // 0.75 · 0.25 + 0.25 · 4
    assert.equal(v(parseStrategy(`fedyogi:${settings},beta2=0.75`)), 1.25); // 0.25 − 0.25 · 4 · sign(0.25 − 4)
    // v = 2 + 0.25 = 2.25 from an update of √2: step √2 / (1.5 + 0.5)
    const [model] = run(parseStrategy(`fedadagrad:${settings}`), f32(0), [f32(Math.SQRT2)]);
    assert.ok(Math.abs(model[0] - Math.SQRT2 / 2) < 1e-7);
  });

  it('FedProx is FedAvg on the server and a term on the clients', () => {
    const prox = parseStrategy('fedprox:mu=0.1');
    assert.deepEqual(prox.clientTerm, { proximalMu: 0.1 });
    assert.deepEqual(run(prox, f32(1), [f32(0.25)]), [f32(1.25)]);
    assert.equal(parseStrategy('fedavg').clientTerm, undefined);
  });
});

/**
 * Three rounds from x0 with three updates. FedYogi, FedAdagrad, FedAdam: Flower 1.42.0 (PyPI flwr) with v_t set to tau²
 * before the first round, and FedAdam's eta divided by the bias correction that it adds to the paper's algorithm.
 * FedAvgM: optax 0.2.8, sgd(0.5, momentum=0.9) on the negated update.
 */
const GOLDEN: Record<string, number[][]> = {
  'fed-yogi:lr=0.01,beta1=0.9,beta2=0.99,tau=0.001': [
    [1.0090498756211208, -2.006180339887499, 0.5],
    [1.0205018444406813, -2.002239506623048, 0.49950124378879107],
    [1.0174100976763105, -1.9970026309257747, 0.5005262296003642],
  ],
  'fed-adagrad:lr=0.1,tau=0.001': [
    [1.0990049998750062, -2.095124921972504, 0.5],
    [1.1433281482436084, -2.0076598449871237, 0.4585786437626905],
    [1.0564211132278738, -1.9863090513940458, 0.5280773874733525],
  ],
  'fed-adam:lr=0.01,beta1=0.9,beta2=0.99,tau=0.001': [
    [1.0090502831185222, -2.0061846154905707, 0.5],
    [1.0205450551471213, -2.002239159908947, 0.49949875633620805],
    [1.017446896421373, -1.9969756485565615, 0.5005309488330217],
  ],
  'fed-avgm:lr=0.5,momentum=0.9': [
    [1.05, -2.01, 0.5],
    [1.12, -1.999, 0.4995],
    [1.083, -1.9841, 0.50055],
  ],
};

describe('strategies against other implementations', () => {
  for (const [text, expected] of Object.entries(GOLDEN)) {
    it(`${text} agrees over three rounds`, () => {
      const updates = [f32(0.1, -0.02, 0), f32(0.05, 0.04, -0.001), f32(-0.2, 0.01, 0.003)];
      const models = run(parseStrategy(text), f32(1, -2, 0.5), updates);
      // Stored as float32: half a step (1.2e-7 at 2) a round for the model, less for the state.
      models.forEach((model, round) => {
        model.forEach((value, i) => {
          assert.ok(Math.abs(value - expected[round][i]) < 4e-7, `round ${round + 1}: ${value}, ${expected[round][i]}`);
        });
      });
    });
  }
});

describe('parseStrategy', () => {
  it('reads settings in any order and with spaces', () => {
    assert.deepEqual(parseStrategy(' fed-adam: tau=1e-4, lr = 0.5').params, {
      lr: 0.5,
      beta1: 0.9,
      beta2: 0.99,
      tau: 1e-4,
    });
  });

  it('says what is wrong', () => {
    for (const [text, message] of [
      ['sgd', /strategy: expected one of fed-avg, .*fed-yogi, got "sgd"/],
      ['', /strategy: expected one of/],
      ['fedavg:tau=1', /fed-avg setting: expected one of lr, got "tau"/],
      ['fedavg:__proto__=1', /fed-avg setting: expected one of lr, got "__proto__"/],
      ['fedavg:lr', /fed-avg settings: expected setting=number, separated by commas, got "lr"/],
      ['fedavg:lr=', /fed-avg settings: expected setting=number/],
      ['fedavg:lr=1=2', /fed-avg settings: expected setting=number/],
      ['fedavg:lr=1,lr=2', /fed-avg settings: expected each setting once, got "lr"/],
      ['fedavg:lr=fast', /fed-avg lr: expected a number, got "fast"/],
      ['fedavg:lr=0', /fed-avg lr: expected a finite number above 0, got 0/],
      ['fedavg:lr=Infinity', /fed-avg lr: expected a finite number above 0/],
      ['fedadam:beta1=1', /fed-adam beta1: expected a number in \[0, 1\), got 1/],
      ['fedprox:mu=-1', /fed-prox mu: expected a finite number of at least 0, got -1/],
    ] as const) {
      assert.throws(() => parseStrategy(text), message);
    }
  });
});
