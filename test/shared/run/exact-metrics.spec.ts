/** Metrics in digits: sums that are the sums, whatever the bounds; and what an older client changes about that. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { exactMetrics, fromDigits, toDigits } from '../../../shared/run/exact-metrics.js';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import { EVALUATION_CAP, flattenMetrics, unflattenMetrics } from '../../../shared/run/secagg-params.js';
import type { MaskedMetric } from '../../../shared/run/spec.js';

const DECLARED: readonly MaskedMetric[] = [
  { name: 'loss', size: 1, max: 16 },
  { name: 'pixels', size: 3, max: 1e12 },
];
const ALL = [...DECLARED, ...exactMetrics('test', DECLARED)];
/** 24 bits a value, as an evaluation of up to 256 clients has. */
const STEPS = 2 ** 23 - 1;

const added = (vectors: readonly (readonly number[])[]) =>
  vectors[0].map((_, i) => vectors.reduce((sum, v) => sum + v[i], 0));

describe('metrics in digits', () => {
  it('are written in balanced digits, least first, after who speaks and who has too much', () => {
    // Digits of 3 bits, -4 to 3; two of them are 6 bits, of which 2 (0.4 of them, down) are behind the point: units of 1/4.
    // 2.75 is 11 quarters = 1 * 8 + 3; a count of 1 is 4 quarters = 1 * 8 - 4.
    const metrics = [
      { name: 'm', size: 1, max: 1 },
      { name: 'starling/exact', size: 2 + 2 * 2, max: 1 },
    ];
    // a grid this coarse has no digits: 4 bits are the least
    assert.deepEqual(toDigits(metrics, { m: { sum: [2.75], count: 1 } }, 7), [0, 0, 0, 0, 0, 0]);
    // digits of 4 bits, -8 to 7; two are 8 bits, 3 behind the point: 2.75 is 22 eighths = 1 * 16 + 6, 1 is 8 = 1 * 16 - 8
    const digits = toDigits(metrics, { m: { sum: [2.75], count: 1 } }, 15);
    assert.deepEqual(digits, [1, 0, 6, 1, -8, 1]);
    const sums = fromDigits(metrics, digits, { steps: 15, clients: 1 });
    assert.deepEqual(sums?.metrics, { m: { sum: [2.75], count: 1 } });
  });

  it('add up to the sum of doubles, over any clients, at bounds that are far too small and far too large', () => {
    const value = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((x) => Math.round(x * 1024) / 1024);
    const one = fc.record({
      loss: fc.record({ sum: fc.tuple(value), count: fc.nat(1e6) }),
      pixels: fc.record({ sum: fc.tuple(value, value, value), count: fc.nat(1e6) }),
    });
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 20 }), (clients) => {
        const sums = added(clients.map((metrics) => toDigits(ALL, metrics, STEPS)));
        const { metrics } = fromDigits(ALL, sums, { steps: STEPS, clients: clients.length })!;
        for (const name of ['loss', 'pixels'] as const) {
          assert.deepEqual(metrics[name].sum, added(clients.map((client) => client[name].sum)));
          assert.equal(metrics[name].count, added(clients.map((client) => [client[name].count]))[0]);
        }
        for (const sum of sums) assert.ok(Math.abs(sum) <= clients.length * STEPS);
      }),
    );
  });

  it('say that a number does not fit, and what is not seen', () => {
    const far: SumMetrics = { loss: { sum: [1e300], count: 1 } };
    const near: SumMetrics = { loss: { sum: [2 ** -60], count: 1 } };
    const sums = added([toDigits(ALL, far, STEPS), toDigits(ALL, near, STEPS)]);
    const found = fromDigits(ALL, sums, { steps: STEPS, clients: 2 })!;
    assert.equal(found.tooLarge, 1);
    assert.equal(found.errors.loss, 2 ** -50); // two clients, half a unit of 2^-50 each
    assert.deepEqual(fromDigits(ALL, toDigits(ALL, near, STEPS), { steps: STEPS, clients: 1 })?.metrics.loss.sum, [0]);
  });

  it('are left for the grid when one client is older, and the grid has a resolution', () => {
    const setup = {
      metrics: ALL,
      countCap: EVALUATION_CAP,
      quantize: {
        ...{ valueRange: 1, quantizeBits: 24, weightCap: 1 },
        metricBounds: ALL.flatMap(({ size, max }) => [
          ...Array<number>(size).fill(max * EVALUATION_CAP),
          EVALUATION_CAP,
        ]),
      },
    };
    const measured: SumMetrics = { loss: { sum: [100], count: 50 }, pixels: { sum: [1, 2, 3], count: 50 } };
    const whole = flattenMetrics(setup, measured);
    // an older client knows no such name: zeros
    const older = whole.map((value, i) => (i < 1 + 1 + 3 + 1 ? value : 0));
    const both = unflattenMetrics(setup, added([whole, whole]), 2);
    assert.deepEqual(both.metrics, { loss: { sum: [200], count: 100 }, pixels: { sum: [2, 4, 6], count: 100 } });
    const mixed = unflattenMetrics(setup, added([whole, older]), 2);
    assert.equal(mixed.errors.loss, (2 * 16 * EVALUATION_CAP) / STEPS);
    assert.ok(mixed.errors.pixels > 1e6 && both.errors.pixels < 1e-9);
  });

  it('are not declared where a specification has no room', () => {
    assert.deepEqual(exactMetrics('test', [{ name: 'large', size: 65_536, max: 1 }]), []);
    const many = Array.from({ length: 64 }, (_, i) => ({ name: `m${i}`, size: 1, max: 1 }));
    assert.deepEqual(exactMetrics('test', many), []);
    assert.deepEqual(exactMetrics('train', []), []);
  });
});
