import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type GaussianRun, privacyEpsilon, privacyNoise } from '../../../shared/privacy/accounting/calibrate.js';
import { composedDelta, composedEpsilon, type Spend } from '../../../shared/privacy/accounting/releases.js';

const noiseMultiplier = fc.double({ min: 0.4, max: 20, noNaN: true });
const samplingRate = fc.double({ min: -4, max: 0, noNaN: true }).map((exponent) => 10 ** exponent);
const steps = fc.integer({ min: 1, max: 1500 });
const delta = fc.double({ min: -9, max: -2, noNaN: true }).map((exponent) => 10 ** exponent);
const run = fc.record({ noiseMultiplier, samplingRate, steps, delta });
/** PLD may round up by its stated relative error, which must not break an order between two of its answers. */
const SLACK = 1 + 4e-4;
const few = { numRuns: 15 };

describe('properties of each accountant', () => {
  for (const accountant of ['rdp', 'pld'] as const) {
    const epsilon = (r: GaussianRun & { noiseMultiplier: number }) =>
      privacyEpsilon({ ...r, accountant, relativeError: 1e-4 });

    it(`${accountant}: ε grows with steps`, () =>
      fc.assert(
        fc.property(run, fc.integer({ min: 1, max: 500 }), (r, more) => {
          assert.ok(epsilon({ ...r, steps: r.steps + more }) * SLACK + 1e-12 >= epsilon(r));
        }),
        few,
      ));

    it(`${accountant}: ε falls with noise`, () =>
      fc.assert(
        fc.property(run, fc.double({ min: 1.01, max: 4, noNaN: true }), (r, factor) => {
          assert.ok(epsilon({ ...r, noiseMultiplier: r.noiseMultiplier * factor }) <= epsilon(r) * SLACK + 1e-12);
        }),
        few,
      ));

    it(`${accountant}: ε falls with δ`, () =>
      fc.assert(
        fc.property(run, fc.double({ min: 1.1, max: 50, noNaN: true }), (r, factor) => {
          assert.ok(epsilon({ ...r, delta: Math.min(0.5, r.delta * factor) }) <= epsilon(r) * SLACK + 1e-12);
        }),
        few,
      ));

    it(`${accountant}: ε grows with the sampling rate`, () =>
      fc.assert(
        fc.property(run, fc.double({ min: 0, max: 1, noNaN: true }), (r, factor) => {
          const rarer = { ...r, samplingRate: r.samplingRate * Math.max(1e-3, factor) };
          assert.ok(epsilon(rarer) <= epsilon(r) * SLACK + 1e-12);
        }),
        few,
      ));

    it(`${accountant}: splitting a run into two spends changes nothing`, () =>
      fc.assert(
        fc.property(run, fc.double({ min: 0, max: 1, noNaN: true }), (r, share) => {
          const release = { mechanism: 'gaussian', ...r } as const;
          const first = Math.floor(r.steps * share);
          const split: Spend[] = [
            { release, count: first },
            { release, count: r.steps - first },
          ];
          const together = composedEpsilon([{ release, count: r.steps }], r.delta, { accountant });
          const apart = composedEpsilon(split, r.delta, { accountant });
          assert.ok(Math.abs(together - apart) <= 1e-9 * together);
        }),
        few,
      ));
  }
});

describe('inversion of each accountant', () => {
  for (const accountant of ['rdp', 'pld'] as const) {
    it(`${accountant}: ε(δ) and δ(ε) are inverse, on the safe side`, () =>
      fc.assert(
        fc.property(run, (r) => {
          const spends: Spend[] = [{ release: { mechanism: 'gaussian', ...r }, count: r.steps }];
          const spent = composedEpsilon(spends, r.delta, { accountant });
          fc.pre(spent > 1e-6);
          const back = composedDelta(spends, spent, { accountant });
          assert.ok(back <= r.delta * 1.01, `δ(ε(δ)) = ${back} above ${r.delta}`);
          assert.ok(back >= r.delta * 0.9, `δ(ε(δ)) = ${back} far below ${r.delta}`);
        }),
        few,
      ));

    it(`${accountant}: the calibrated noise keeps the budget and a thousandth less breaks it`, () =>
      fc.assert(
        fc.property(samplingRate, steps, delta, fc.double({ min: 0.2, max: 20, noNaN: true }), (q, T, d, target) => {
          const r = { samplingRate: q, steps: T, delta: d, accountant };
          const found = privacyNoise({ ...r, epsilon: target });
          assert.ok(privacyEpsilon({ ...r, noiseMultiplier: found }) <= target);
          if (found <= 0.01) return; // δ alone covers the chance of being sampled
          assert.ok(privacyEpsilon({ ...r, noiseMultiplier: found * 0.999 }) > target);
        }),
        { numRuns: 6 },
      ));
  }
});

describe('properties across accountants', () => {
  it('pld is never above rdp', () =>
    fc.assert(
      fc.property(run, (r) => {
        const tight = privacyEpsilon({ ...r, accountant: 'pld' });
        const loose = privacyEpsilon({ ...r, accountant: 'rdp' });
        assert.ok(tight <= loose * SLACK + 1e-12, `pld ${tight}, rdp ${loose}`);
      }),
      { numRuns: 40 },
    ));

  it('analytic is never above rdp and equals the composed grid', () =>
    fc.assert(
      fc.property(run, (r) => {
        const plain = { ...r, samplingRate: 1 };
        const exact = privacyEpsilon({ ...plain, accountant: 'analytic' });
        assert.ok(exact <= privacyEpsilon({ ...plain, accountant: 'rdp' }) + 1e-12);
        // a sampling rate of 1 - 1e-12 takes the grid's path
        const grid = privacyEpsilon({ ...plain, samplingRate: 1 - 1e-12, accountant: 'pld' });
        assert.ok(Math.abs(grid - exact) <= 1e-4 * exact + 1e-9, `grid ${grid}, exact ${exact}`);
      }),
      few,
    ));

  it('composition is subadditive: two runs cost at most the sum of both at half the δ', () =>
    fc.assert(
      fc.property(run, run, (a, b) => {
        const spends = [a, b].map((r) => ({ release: { mechanism: 'gaussian', ...r } as const, count: r.steps }));
        const d = a.delta;
        const both = composedEpsilon(spends, d);
        const apart = spends.reduce((sum, spend) => sum + composedEpsilon([spend], d / 2), 0);
        assert.ok(both <= apart * SLACK + 1e-9);
      }),
      few,
    ));
});
