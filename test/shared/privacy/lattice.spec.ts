import assert from 'node:assert/strict';
import { discreteGaussianSumRho } from '../../../shared/privacy/accounting/rdp-lattice.js';
import { composedEpsilon } from '../../../shared/privacy/accounting/releases.js';
import {
  bandedCoefficients,
  bandedSpend,
  correlatedNoise,
  treePrefixNoise,
  treeSpend,
} from '../../../shared/privacy/mechanisms/ftrl.js';
import {
  addCentralNoise,
  decodeSum,
  encodeUpdate,
  type LatticeOptions,
  latticeOf,
  noiseShare,
} from '../../../shared/privacy/mechanisms/lattice.js';
import { discreteGaussianTable } from '../../../shared/privacy/noise/table.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { assertRelative } from './vectors.js';

const BASE: LatticeOptions = {
  place: 'distributed',
  noise: 'discrete-gaussian',
  length: 1000,
  vectorNorm: 2,
  noiseMultiplier: 0.8,
  leastSurvivors: 20,
  mostSurvivors: 30,
};

/** The decoded noisy sum of `survivors` zero updates: nothing but noise. */
function noiseOf(options: LatticeOptions, survivors: number): Float32Array {
  const lattice = latticeOf(options);
  const share = noiseShare(lattice);
  const root = rngFromSeed(77);
  let sum = new Int32Array(lattice.ringLength);
  for (let client = 0; client < survivors; client++) {
    const random = { signs: root.split('signs'), rng: root.split(`client ${client}`), share };
    const message = encodeUpdate(new Float32Array(lattice.length), lattice, random);
    sum = sum.map((value, i) => value + message[i]);
  }
  const opened = lattice.place === 'central' ? addCentralNoise(sum, lattice, share, root.split('server')) : sum;
  return decodeSum(opened, lattice, root.split('signs'));
}

describe('noise on the lattice', () => {
  // Zeros round to zero, so the decoded sum is the noise alone: 100,000 draws, at two noise multipliers, for both noises.
  for (const noise of ['discrete-gaussian', 'skellam'] as const) {
    for (const noiseMultiplier of [0.5, 2]) {
      it(`${noise}: the least survivors carry deviation ${noiseMultiplier} × clipping bound`, () => {
        const options = { ...BASE, noise, noiseMultiplier, length: 100_000 };
        const values = noiseOf(options, BASE.leastSurvivors);
        const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
        // At 16 bits the rounded norm is under 1.3 % above the clipped one at d = 1e5 and its noise with it: read the lattice.
        const lattice = latticeOf(options);
        const want = (noiseMultiplier * lattice.integerNorm * lattice.granularity) ** 2;
        assert.ok(Math.abs(variance / want - 1) < 5 * Math.sqrt(2 / values.length), `${variance} for ${want}`);
        assertRelative(lattice.integerNorm * lattice.granularity, 2, 0.02);
      });
    }
  }

  it('costs no more than its multiplier promises, however much rounding lengthens a long vector', () => {
    for (const length of [1, 9, 1001, 100_001]) {
      const { release } = latticeOf({ ...BASE, place: 'central', length });
      assert.ok(release.mechanism === 'zcdp' && release.rho <= (1 / (2 * 0.8 ** 2)) * (1 + 1e-9), `${length}`);
    }
  });

  it('more survivors bring more noise, collusion is paid for, and one place alone carries all of it', () => {
    const spread = (options: LatticeOptions, survivors: number) => {
      const values = noiseOf({ ...options, length: 20_000 }, survivors);
      return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
    };
    const least = spread(BASE, 20);
    assertRelative(spread(BASE, 30), least * Math.sqrt(30 / 20), 0.05);
    assertRelative(spread({ ...BASE, colludingFraction: 0.5 }, 20), least * Math.SQRT2, 0.05);
    assertRelative(spread({ ...BASE, place: 'central' }, 20), least, 0.05);
    assertRelative(spread({ ...BASE, place: 'local' }, 20), least * Math.sqrt(20), 0.05);
  });

  for (const rotation of [false, true]) {
    it(`sums clipped updates ${rotation ? 'with' : 'without'} rotation, up to rounding and noise`, () => {
      const lattice = latticeOf({ ...BASE, rotation, noiseMultiplier: 0.01, length: 300 });
      const share = noiseShare(lattice);
      const root = rngFromSeed(3);
      let sum = new Int32Array(lattice.ringLength);
      const want = new Float64Array(300);
      for (let client = 0; client < 20; client++) {
        const update = Float32Array.from({ length: 300 }, (_, i) => (i === client ? 1.5 : 0)); // norm 1.5 < 2: not clipped
        update.forEach((x, i) => {
          want[i] += x;
        });
        const message = encodeUpdate(update, lattice, { signs: root.split('s'), rng: root.split(`c${client}`), share });
        sum = sum.map((value, i) => value + message[i]);
      }
      const got = decodeSum(sum, lattice, root.split('s'));
      // noise deviation 0.02 and rounding 1e-4: six deviations
      got.forEach((value, i) => {
        assert.ok(Math.abs(value - (want[i] as number)) < 0.13, `coordinate ${i}: ${value}`);
      });
    });
  }
});

describe('lattice of lattice noise', () => {
  it('costs almost what the continuous Gaussian of the same multiplier costs', () => {
    const gaussian = [{ release: { mechanism: 'gaussian', noiseMultiplier: 8 } as const, count: 50 }];
    const continuous = composedEpsilon(gaussian, 1e-5, { accountant: 'rdp' });
    for (const noise of ['discrete-gaussian', 'skellam'] as const) {
      const { release } = latticeOf({ ...BASE, noise, noiseMultiplier: 8 });
      const epsilon = composedEpsilon([{ release, count: 50 }], 1e-5, { accountant: 'rdp' });
      assert.ok(
        epsilon >= continuous * (1 - 1e-9) && epsilon < 1.01 * continuous,
        `${noise}: ${epsilon} for ${continuous}`,
      );
      const local = latticeOf({ ...BASE, noise, noiseMultiplier: 8, place: 'local' }).release;
      assert.ok(composedEpsilon([{ release: local, count: 50 }], 1e-5, { accountant: 'rdp' }) > 1.9 * continuous);
    }
  });

  it('fits itself to the ring and says what does not', () => {
    assert.equal(latticeOf(BASE).valueBits, 16);
    assert.equal(latticeOf({ ...BASE, mostSurvivors: 1_000_000 }).valueBits, 12); // 1e6 × 2^11 < 2^31
    assert.throws(() => latticeOf({ ...BASE, mostSurvivors: 1_000_000, valueBits: 16 }), /2\^31/);
    assert.throws(() => latticeOf({ ...BASE, leastSurvivors: 40 }), /leastSurvivors/);
    assert.throws(() => latticeOf({ ...BASE, colludingFraction: 1 }), /colludingFraction/);
    assert.throws(() => latticeOf({ ...BASE, noiseMultiplier: 0 }), /noiseMultiplier/);
    const lattice = latticeOf(BASE);
    const share = noiseShare(lattice);
    const random = { signs: rngFromSeed(1), rng: rngFromSeed(2), share };
    assert.throws(() => encodeUpdate(new Float32Array(3), lattice, random), /update/);
    assert.throws(() => decodeSum(new Int32Array(3), lattice, rngFromSeed(1)), /sum/);
  });

  it('prices sums of discrete Gaussians as the paper does', () => {
    // one term: no τ, ρ = Δ²/(2 s²) = 9/8; two terms at s = 0.5: τ = 10 e^(-π²/4), d = 4
    assertRelative(discreteGaussianSumRho({ noiseStdDev: 2, terms: 1, dimension: 4, l2: 3 }), 9 / 8, 1e-15);
    const tau = 10 * Math.exp((-Math.PI * Math.PI) / 4);
    const epsilon = Math.min(Math.sqrt(9 / 0.5 + tau * 2), 3 / Math.sqrt(0.5) + 2 * tau);
    assertRelative(
      discreteGaussianSumRho({ noiseStdDev: 0.5, terms: 2, dimension: 4, l2: 3 }),
      epsilon ** 2 / 2,
      1e-12,
    );
    assert.throws(() => discreteGaussianSumRho({ noiseStdDev: 0.4, terms: 2, dimension: 4, l2: 3 }), /noiseStdDev/);
  });
});

describe('noise correlated over rounds', () => {
  it('a prefix has one node per bit of its step, shared with other prefixes', () => {
    const node = discreteGaussianTable(10);
    const at = (step: number) => treePrefixNoise({ step, length: 100_000, node, rng: rngFromSeed(4) });
    const variance = (values: Int32Array) => values.reduce((sum, x) => sum + x * x, 0) / values.length;
    assert.ok(at(0).every((x) => x === 0));
    for (const [step, nodes] of [
      [1, 1],
      [7, 3],
      [8, 1],
      [13, 3],
    ] as const) {
      // standard error of a variance over 1e5 draws: sqrt(2/1e5) = 0.45 %
      assertRelative(variance(at(step)), 100 * nodes, 0.023, `step ${step}`);
    }
    // 13 = 8 + 4 + 1 and 12 = 8 + 4 differ by one node
    const twelve = at(12);
    assertRelative(variance(at(13).map((x, i) => x - twelve[i])), 100, 0.023);
  });

  it('nodes of one level have noise of their own', () => {
    const node = discreteGaussianTable(10);
    const [one, two, three] = [1, 2, 3].map((step) =>
      treePrefixNoise({ step, length: 100_000, node, rng: rngFromSeed(4) }),
    );
    // 3 = 2 + 1: the node that 3 has more than 2 is another than that of 1, so their difference has twice the variance
    const apart = three.map((x, i) => x - two[i] - one[i]);
    assertRelative(apart.reduce((sum, x) => sum + x * x, 0) / apart.length, 200, 0.023);
  });

  it('a tree costs its depth for one participation, and more for more', () => {
    // 1600 rounds: 11 levels, so ρ = 11 / (2 σ²)
    const spend = treeSpend({ steps: 1600, noiseMultiplier: 8.83, participation: { most: 1, separation: 1 } });
    assert.deepEqual(spend, { release: { mechanism: 'zcdp', rho: 1 / (2 * (8.83 / Math.sqrt(11)) ** 2) }, count: 1 });
    const rho = (most: number, separation: number) => {
      const { release } = treeSpend({ steps: 8, noiseMultiplier: 1, participation: { most, separation } });
      return release.mechanism === 'zcdp' ? release.rho : Number.NaN;
    };
    // twice, at least 4 rounds apart, 4 levels: spans 1, 2, 4 hold one of them, 8 holds both: (2 + 2 + 2 + 4) / 2
    assertRelative(rho(2, 4), 5, 1e-12);
    assert.ok(rho(2, 1) > rho(2, 4) && rho(3, 4) > rho(2, 4));
    // every level, all participations in one node: most² per level is the worst there is
    assertRelative(rho(8, 1), (8 * (1 + 2 + 4 + 8)) / 2, 1e-12);
  });

  it('bands: the coefficients square to the prefix sum, and the noise undoes them', () => {
    const c = bandedCoefficients(6);
    assert.deepEqual([...c.subarray(0, 4)], [1, 0.5, 0.375, 0.3125]); // 1, 1/2, 3/8, 5/16
    for (let n = 0; n < 6; n++) {
      let convolved = 0;
      for (let j = 0; j <= n; j++) convolved += c[j] * c[n - j];
      assertRelative(convolved, 1, 1e-12); // (1-x)^-1/2 squared is 1 + x + x² + ...
    }
    const fresh = [3, -1, 4, 1, -5].map((x) => Float64Array.of(x));
    const made: Float64Array[] = [];
    for (const z of fresh) made.unshift(correlatedNoise(z, made.slice(0, 2), bandedCoefficients(3)));
    const y = made.reverse().map((v) => v[0]);
    // C y = z with C's bands 1, 1/2, 3/8
    y.forEach((value, t) => {
      const z = value + 0.5 * (y[t - 1] ?? 0) + 0.375 * (y[t - 2] ?? 0);
      assertRelative(z, fresh[t][0], 1e-12);
    });
  });

  it('bands: orthogonal columns add up, closer ones are refused', () => {
    const { release } = bandedSpend({ bands: 3, noiseMultiplier: 2, participation: { most: 4, separation: 3 } });
    // squared sensitivity 4 (1 + 1/4 + 9/64); ρ = that / (2 × 4)
    assert.equal(release.mechanism, 'zcdp');
    assertRelative(release.mechanism === 'zcdp' ? release.rho : 0, (4 * (1 + 1 / 4 + 9 / 64)) / 8, 1e-12);
    assert.throws(
      () => bandedSpend({ bands: 3, noiseMultiplier: 2, participation: { most: 4, separation: 2 } }),
      /separation/,
    );
  });
});
