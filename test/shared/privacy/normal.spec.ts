import assert from 'node:assert/strict';
import {
  erfc,
  logAdd,
  logErfc,
  logNormalUpperTail,
  logSubtract,
  normalUpperTail,
} from '../../../shared/privacy/accounting/normal.js';
import { assertRelative } from './vectors.js';

describe('normal distribution', () => {
  // mpmath 1.4.1, 30 digits
  const table: [number, number][] = [
    [0, 1],
    [0.1, 0.8875370839817152],
    [1, 0.15729920705028513],
    [3, 2.2090496998585445e-5],
    [6, 2.1519736712498913e-17],
    [-2, 1.9953222650189528],
  ];
  for (const [z, want] of table) {
    it(`erfc(${z}) agrees with mpmath`, () => assertRelative(erfc(z), want, 1e-14));
  }

  it('keeps the logarithm where the value underflows', () => {
    // mpmath: log(erfc(40)) = -1604.26155665327, log(erfc(1000)) = -1000007.48012072
    assertRelative(logErfc(40), -1604.26155665327, 1e-13);
    assertRelative(logErfc(1000), -1000007.48012072, 1e-13);
    assertRelative(logNormalUpperTail(5), Math.log(normalUpperTail(5)), 1e-14);
  });

  it('adds and subtracts in log space, zero included', () => {
    const zero = Number.NEGATIVE_INFINITY;
    assertRelative(logAdd(Math.log(3), Math.log(4)), Math.log(7), 1e-15);
    assertRelative(logSubtract(Math.log(7), Math.log(4)), Math.log(3), 1e-14);
    assert.equal(logAdd(zero, zero), zero);
    assert.equal(logAdd(zero, 5), 5);
    assert.equal(logSubtract(5, zero), 5);
    assert.equal(logSubtract(5, 5), zero);
    assertRelative(logAdd(2000, 2000), 2000 + Math.LN2, 1e-15);
  });
});
