import assert from 'node:assert/strict';
import { privacyEpsilon } from '../../../shared/privacy/accounting/calibrate.js';
import { skellamPmf } from '../../../shared/privacy/accounting/pld-sources.js';
import {
  composeRdp,
  DEFAULT_RDP_ORDERS,
  rdpGaussian,
  rdpLaplace,
  rdpToDelta,
  rdpToEpsilon,
} from '../../../shared/privacy/accounting/rdp.js';
import { rdpSkellam } from '../../../shared/privacy/accounting/rdp-lattice.js';
import { rdpSubsampledGaussian } from '../../../shared/privacy/accounting/rdp-subsampled.js';
import { composedDelta, composedEpsilon } from '../../../shared/privacy/accounting/releases.js';
import { assertRelative, vectors } from './vectors.js';

interface Row {
  noiseMultiplier: number;
  samplingRate: number;
  steps: number;
  delta: number;
  epsilon: number;
  order: number;
  deltaAt2: number;
}
const golden = vectors<{ rdpSeriesBound: Row[]; opacusRdp: Row[] }>('accountants.json');
const OPACUS_ORDERS = DEFAULT_RDP_ORDERS.filter((order) => order !== 11 && order < 64);

describe('rdp of the subsampled Gaussian', () => {
  it('gives the published ε of Opacus', () => {
    // opacus/tests/accountants_test.py: int(90 / 0.04) = 2250 steps
    const run = { noiseMultiplier: 1.5, samplingRate: 0.04, steps: 2250, delta: 1e-5, accountant: 'rdp' as const };
    assertRelative(privacyEpsilon(run), 7.32911117143, 1e-9);
  });

  it('gives the published curve of dp-accounting with its series bound', () => {
    // dp_accounting/rdp/rdp_privacy_accountant_test.py: 50 steps of noise 2.5 at rate 0.01
    const published: [number, number][] = [
      [1.5, 6.70579741e-4],
      [2.5, 1.0854871e-3],
      [5, 2.18075656e-3],
      [50, 2.38460375e-2],
      [100, 1.67416308e2],
    ];
    for (const [order, want] of published) {
      const options = { noiseMultiplier: 2.5, samplingRate: 0.01, order, fractionalOrders: 'series-bound' as const };
      assertRelative(50 * rdpSubsampledGaussian(options), want, 1e-8, `order ${order}`);
    }
    const last = { noiseMultiplier: 2.5, samplingRate: 0.01, order: Number.POSITIVE_INFINITY };
    assert.equal(rdpSubsampledGaussian(last), Number.POSITIVE_INFINITY);
  });

  it('integrates fractional orders exactly', () => {
    // mpmath 1.4.1, 30 digits: ln(1 + ∫ N(x; 0, σ²) ((1 - q + q e^((2x-1)/(2σ²)))^a - 1) dx) / (a - 1)
    const table: [number, number, number, number][] = [
      [0.01, 2.5, 1.5, 1.30014179437608e-5],
      [0.01, 2.5, 2.5, 2.17083611383625e-5],
      [0.04, 1.5, 1.1, 0.000481656740034299],
      [0.2, 2, 3.3, 0.0198579655104334],
      [0.001, 0.8, 4.5, 8.67290451129449e-6],
      [0.001, 3, 1.1, 6.46283890019415e-8],
      [0.05, 0.8, 1.3, 0.00521682371231338],
    ];
    for (const [samplingRate, noiseMultiplier, order, want] of table) {
      assertRelative(rdpSubsampledGaussian({ samplingRate, noiseMultiplier, order }), want, 1e-12);
    }
  });

  it('joins its two formulas: an order next to an integer gives nearly the same', () => {
    for (const [samplingRate, noiseMultiplier] of [
      [0.3, 0.7],
      [0.01, 1.2],
      [1e-4, 5],
    ] as const) {
      const at = (order: number) => rdpSubsampledGaussian({ samplingRate, noiseMultiplier, order });
      assertRelative(at(6 + 1e-9), at(6), 1e-7);
      assertRelative(at(40 + 1e-9), at(40), 1e-7);
    }
  });

  for (const row of golden.opacusRdp) {
    it(`agrees with Opacus 1.6.0 at σ=${row.noiseMultiplier} q=${row.samplingRate} T=${row.steps}`, () => {
      assertRelative(privacyEpsilon({ ...row, accountant: 'rdp', orders: OPACUS_ORDERS }), row.epsilon, 1e-7);
    });
  }

  for (const row of golden.rdpSeriesBound) {
    it(`agrees with dp-accounting 0.6.0 at σ=${row.noiseMultiplier} q=${row.samplingRate} T=${row.steps}`, () => {
      const options = { accountant: 'rdp', fractionalOrders: 'series-bound' } as const;
      assertRelative(privacyEpsilon({ ...row, ...options }), row.epsilon, 1e-9);
      const spends = [{ release: { mechanism: 'gaussian', ...row } as const, count: row.steps }];
      assertRelative(composedDelta(spends, 2, options), row.deltaAt2, 1e-8);
    });
  }

  it('has its edges: no sampling costs nothing, no noise costs everything, full sampling is the Gaussian', () => {
    assert.equal(rdpSubsampledGaussian({ samplingRate: 0, noiseMultiplier: 1, order: 3 }), 0);
    assert.equal(rdpSubsampledGaussian({ samplingRate: 0.1, noiseMultiplier: 0, order: 3 }), Number.POSITIVE_INFINITY);
    assert.equal(rdpSubsampledGaussian({ samplingRate: 1, noiseMultiplier: 2, order: 3 }), 3 / 8);
    assert.throws(() => rdpSubsampledGaussian({ samplingRate: 1.1, noiseMultiplier: 2, order: 3 }), /samplingRate/);
    assert.throws(() => rdpSubsampledGaussian({ samplingRate: 0.1, noiseMultiplier: 2, order: 1 }), /order/);
  });
});

describe('conversion to (ε, δ)', () => {
  it('gives the published ε of a constant curve', () => {
    // dp-accounting test_compute_epsilon_delta_pure_dp: divergence 1.1 on orders 2..32
    const orders = Array.from({ length: 31 }, (_, i) => i + 2);
    const found = rdpToEpsilon(
      orders,
      orders.map(() => 1.1),
      1e-5,
    );
    assertRelative(found.epsilon, 1.32783806176, 1e-11);
    assert.equal(found.order, 32);
    assertRelative(
      rdpToDelta(
        orders,
        orders.map(() => 1.1),
        1.32783806176,
      ),
      1e-5,
      1e-9,
    );
  });

  it('gives ε = 1 for the published Gaussian', () => {
    // dp-accounting test_compute_epsilon_delta_gaussian: noise 4.530877117, orders 1.001 .. 99.999
    const orders = Array.from({ length: 98_999 }, (_, i) => (1001 + i) / 1000);
    const found = rdpToEpsilon(
      orders,
      orders.map((order) => rdpGaussian(4.530877117, order)),
      1e-6,
    );
    assertRelative(found.epsilon, 1, 1e-8);
  });

  it('stays under the published bounds for tree aggregation', () => {
    // dp-accounting: 1600 steps, δ = 1e-6; a record sits in ceil(log2(1601)) = 11 nodes
    for (const [noiseMultiplier, bound] of [
      [1.13, 19.74],
      [8.83, 2.04],
    ] as const) {
      const spends = [{ release: { mechanism: 'gaussian', noiseMultiplier } as const, count: 11 }];
      const epsilon = composedEpsilon(spends, 1e-6, { accountant: 'rdp' });
      assert.ok(epsilon < bound && epsilon > 0.85 * bound, `${epsilon} against ${bound}`);
    }
  });

  it('knows nothing, everything and δ = 0', () => {
    assert.equal(rdpToEpsilon([2, 3], [0, 0], 1e-5).epsilon, 0);
    assert.equal(rdpToEpsilon([2, 3], [0, 0], 0).epsilon, 0);
    assert.equal(rdpToEpsilon([2, 3], [1, 2], 0).epsilon, Number.POSITIVE_INFINITY);
    assert.equal(rdpToEpsilon([2, 3], [Infinity, Infinity], 0.1).epsilon, Number.POSITIVE_INFINITY);
    assert.equal(rdpToDelta([2, 3], [Infinity, Infinity], 1), 1);
    assert.throws(() => rdpToEpsilon([2], [1, 2], 0.1), /rdp/);
    assert.throws(() => rdpToEpsilon([2], [1], 1.5), /delta/);
  });

  it('adds curves entry by entry', () => {
    assert.deepEqual(
      composeRdp(
        [
          { rdp: [1, 2], count: 3 },
          { rdp: [10, Infinity], count: 0 },
        ],
        2,
      ),
      [3, 6],
    );
    assert.deepEqual(composeRdp([], 2), [0, 0]);
  });
});

describe('rdp of other noises', () => {
  it('gives Mironov’s Laplace formula its limits', () => {
    assertRelative(rdpLaplace(0.5, 1e6), 2, 1e-5); // pure ε = 1/b
    assert.equal(rdpLaplace(0.5, Infinity), 2);
    // ∫ by hand at order 2, b = 1: ln(2/3 e + 1/3 e^-2)
    assertRelative(rdpLaplace(1, 2), Math.log((2 / 3) * Math.E + Math.exp(-2) / 3), 1e-14);
  });

  it('bounds the exact divergence of shifted Skellam noise, and not by much', () => {
    for (const variance of [9, 100, 2500]) {
      for (const shift of [1, 3]) {
        const reach = Math.ceil(14 * Math.sqrt(variance) + 60);
        const pmf = skellamPmf(variance, reach);
        for (const order of [2, 4, 8]) {
          let sum = 0;
          for (let i = shift; i < pmf.length; i++) {
            const p = pmf[i - shift];
            const q = pmf[i];
            if (p > 1e-250 && q > 1e-250) sum += Math.exp(order * Math.log(p) + (1 - order) * Math.log(q));
          }
          const exact = Math.log(sum) / (order - 1);
          const bound = rdpSkellam({ variance, l1: shift, l2: shift, order });
          assert.ok(bound >= exact * (1 - 1e-9), `variance ${variance}, order ${order}: ${bound} < ${exact}`);
          if (variance === 2500) assert.ok(bound < 1.01 * exact, 'wide noise is nearly Gaussian');
        }
      }
    }
  });
});
