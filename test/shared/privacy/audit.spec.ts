/** The audit's bounds against published values, exact sums and mechanisms whose privacy is known. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { gaussianEpsilon } from '../../../shared/privacy/accounting/analytic.js';
import {
  binomialUpperTail,
  clopperPearson,
  incompleteBeta,
  inverseIncompleteBeta,
  logBinomialMass,
  logGamma,
} from '../../../shared/privacy/audit/binomial.js';
import {
  type AttackCounts,
  areaUnderCurve,
  attackEpsilon,
  gaussianAttackEpsilon,
  thresholdAttack,
} from '../../../shared/privacy/audit/membership.js';
import { oneRunBound, oneRunEpsilon, oneRunPValue } from '../../../shared/privacy/audit/one-run.js';
import { rngFromSeed } from '../../../shared/rng.js';

function close(actual: number, expected: number, relative: number): void {
  assert.ok(Math.abs(actual - expected) <= relative * Math.abs(expected), `${actual}, expected ${expected}`);
}

describe('the incomplete beta function', () => {
  it('equals exact binomial sums', () => {
    // mpmath 1.3, 40 digits: sum(binomial(n, k) * x**k * (1 - x)**(n - k) for k in range(a, n + 1)), n = a + b - 1
    const exact: [a: number, b: number, x: number, value: number][] = [
      [2, 3, 0.4, 0.5248],
      [1439, 72, 0.95, 0.3233222664418322],
      [500, 500, 0.51, 0.736424391643415],
      [100, 1, 0.97, 0.04755250792540576],
      [1, 4, 1e-6, 3.999994000004e-6],
      [75, 26, 0.5, 2.8181410171027e-7],
    ];
    for (const [a, b, x, value] of exact) {
      close(incompleteBeta(a, b, x), value, 1e-11);
      close(binomialUpperTail(a, a + b - 1, x), value, 1e-11);
    }
    close(incompleteBeta(0.5, 0.5, 0.1), 0.20483276469913345, 1e-13); // mpmath: betainc(0.5, 0.5, 0, 0.1, regularized=True)
  });

  it('is undone by its inverse, and mirrors', () => {
    const size = fc.double({ min: 0.5, max: 3000, noNaN: true });
    const share = fc.double({ min: 1e-3, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(size, size, share, (a, b, share) => {
        close(incompleteBeta(a, b, share) + incompleteBeta(b, a, 1 - share), 1, 1e-9);
        const x = inverseIncompleteBeta(a, b, share);
        if (x < 1 - 1e-6) close(incompleteBeta(a, b, x), share, 1e-6); // nearer to 1 the doubles are too far apart
      }),
      { numRuns: 60 },
    );
  });

  it('has factorials in its Gamma function and masses that add up to one', () => {
    close(logGamma(11), Math.log(3_628_800), 1e-14); // 10!
    close(logGamma(0.5), Math.log(Math.PI) / 2, 1e-14);
    const mass = (trials: number, p: number) =>
      Array.from({ length: trials + 1 }, (_, k) => Math.exp(logBinomialMass(k, trials, p))).reduce((a, b) => a + b);
    for (const p of [0, 0.3, 1]) close(mass(200, p), 1, 1e-11);
    assert.equal(binomialUpperTail(0, 0, 0.5), 1);
  });
});

describe('the Clopper-Pearson interval', () => {
  it("is SciPy's", () => {
    // docs.scipy.org, BinomTestResult.proportion_ci: binomtest(k=7, n=50).proportion_ci(); its root finder stops at 4e-13
    const { low, high } = clopperPearson(7, 50, 0.95);
    close(low, 0.05819170033997342, 1e-11);
    close(high, 0.26739600249700846, 1e-11);
  });

  it('is closed where nothing or everything was a success', () => {
    // low^n = tail, so 0.025^(1/10); and by symmetry
    close(clopperPearson(10, 10, 0.95).low, 0.691502892181239, 1e-13);
    assert.deepEqual(clopperPearson(10, 10, 0.95).high, 1);
    close(clopperPearson(0, 30, 0.95).high, 0.115703308222028, 1e-12);
    assert.deepEqual(clopperPearson(0, 0, 0.95), { low: 0, high: 1 });
  });
});

describe('the bound from one run', () => {
  const seen = { guesses: 100, correct: 75, confidence: 0.95 };

  it("is the paper's", () => {
    // arXiv:2305.08846, Appendix D: p-value 0.553 at ε = ln 3; ε >= 0.702, 0.699, 0.673. Section 7: 2.675 (1,439 of 1,510).
    // Further digits: the formula in mpmath 1.3 at 40 digits.
    close(oneRunPValue({ ...seen, canaries: 100, delta: 0, epsilon: Math.log(3) }), 0.553470823848, 1e-10);
    close(oneRunEpsilon({ ...seen, canaries: 100, delta: 0 }), 0.7022139308, 1e-8);
    close(oneRunEpsilon({ ...seen, canaries: 100, delta: 1e-4 }), 0.699466813, 1e-8);
    close(oneRunEpsilon({ ...seen, canaries: 1000, delta: 1e-4 }), 0.672984664, 1e-8);
    const figure11 = { canaries: 100_000, guesses: 1510, correct: 1439, delta: 1e-5, confidence: 0.95 };
    close(oneRunEpsilon(figure11), 2.675851008, 1e-8);
  });

  it('has a closed form when every guess is right', () => {
    // q^r = 0.05 with q = 1 / (1 + e^-ε), so ε = -ln(0.05^(-1/r) - 1)
    for (const r of [1, 10, 1000]) {
      const epsilon = oneRunEpsilon({ canaries: r, guesses: r, correct: r, delta: 0, confidence: 0.95 });
      assert.ok(Math.abs(epsilon - Math.max(0, -Math.log(0.05 ** (-1 / r) - 1))) < 1e-8, `${r} guesses: ${epsilon}`);
    }
  });

  it('lies above ε with probability 5 % at the most, for randomized response, which is ε-DP and no better', () => {
    for (const epsilon of [0, 0.5, 2]) {
      for (const guesses of [10, 200]) {
        const accuracy = 1 / (1 + Math.exp(-epsilon));
        let chance = 0; // exactly: over all numbers of right guesses
        for (let correct = 0; correct <= guesses; correct++) {
          const bound = oneRunEpsilon({ canaries: guesses, guesses, correct, delta: 0, confidence: 0.95 });
          if (bound > epsilon) chance += Math.exp(logBinomialMass(correct, guesses, accuracy));
        }
        assert.ok(chance <= 0.05, `ε ${epsilon}, ${guesses} guesses: ${chance}`);
        assert.ok(chance > 0.01 || guesses < 100, `not needlessly weak: ${chance}`);
      }
    }
  });

  it('grows with right guesses and shrinks with δ, abstentions and confidence', () => {
    const bound = (change: object) => oneRunEpsilon({ ...seen, canaries: 200, delta: 1e-3, ...change });
    const plain = bound({});
    assert.ok(bound({ correct: 80 }) > plain);
    assert.ok(bound({ delta: 1e-2 }) < plain);
    assert.ok(bound({ canaries: 2000 }) < plain);
    assert.ok(bound({ confidence: 0.99 }) < plain);
    assert.equal(bound({ correct: 50 }), 0);
    assert.equal(oneRunEpsilon({ canaries: 0, guesses: 0, correct: 0, delta: 0, confidence: 0.95 }), 0);
  });

  it('stays below what a Gaussian costs, and refutes a claim of four times its noise', () => {
    const rng = rngFromSeed(7);
    for (const noise of [0.5, 1]) {
      const included = Array.from({ length: 4000 }, () => rng.below(2) === 1);
      const scores = included.map((isIn) => (isIn ? 1 : 0) + noise * rng.normal());
      const { epsilon } = oneRunBound({ scores, included, delta: 1e-5, confidence: 0.95 });
      assert.ok(epsilon <= gaussianEpsilon({ noiseMultiplier: noise, delta: 1e-5 }), `${epsilon}`);
      assert.ok(epsilon > gaussianEpsilon({ noiseMultiplier: 4 * noise, delta: 1e-5 }), `${epsilon}`);
    }
  });

  it('guesses nothing from nothing', () => {
    assert.deepEqual(oneRunBound({ scores: [], included: [], delta: 0, confidence: 0.95 }).epsilon, 0);
    assert.throws(() => oneRunBound({ scores: [1], included: [], delta: 0, confidence: 0.95 }), /expected 1 coins/);
  });
});

describe('membership inference', () => {
  it("has scikit-learn's area under the curve, with ties by half", () => {
    // sklearn.metrics.auc, the example of its documentation: y = 1 1 2 2, scores 0.1 0.4 0.35 0.8, area 0.75
    assert.equal(areaUnderCurve([0.35, 0.8], [0.1, 0.4]), 0.75);
    assert.equal(areaUnderCurve([1, 1], [1, 1]), 0.5);
    assert.equal(areaUnderCurve([2], [1]), 1);
    assert.throws(() => areaUnderCurve([], [1]), /members and others/);
  });

  it('refutes ε by the ends of two Clopper-Pearson intervals', () => {
    // All right in 1,000 trials each: TPR >= 0.025^(1/1000) = 0.99632, FPR <= 0.00368; ln(0.99632 / 0.00368) = 5.6010
    const perfect = { truePositives: 1000, positives: 1000, falsePositives: 0, negatives: 1000 };
    const end = 0.025 ** (1 / 1000);
    close(attackEpsilon(perfect, { delta: 0, confidence: 0.95 }), Math.log(end / (1 - end)), 1e-9);
    // By negatives: the attack says "member" nearly always, and is never wrong when it says "not".
    const timid = { truePositives: 1000, positives: 1000, falsePositives: 800, negatives: 1000 };
    assert.ok(attackEpsilon(timid, { delta: 0, confidence: 0.95 }) > 3);
    const useless = { truePositives: 500, positives: 1000, falsePositives: 500, negatives: 1000 };
    assert.equal(attackEpsilon(useless, { delta: 0, confidence: 0.95 }), 0);
  });

  it('lies above ε with probability 5 % at the most, for randomized response', () => {
    // "Member" is said with probability e^ε / (1 + e^ε) of members and 1 / (1 + e^ε) of others.
    for (const epsilon of [0, 1]) {
      const [trials, tpr] = [40, 1 / (1 + Math.exp(-epsilon))];
      const mass = (k: number, p: number) => Math.exp(logBinomialMass(k, trials, p));
      let chance = 0;
      for (let hits = 0; hits <= trials; hits++) {
        for (let alarms = 0; alarms <= trials; alarms++) {
          const counts = { truePositives: hits, positives: trials, falsePositives: alarms, negatives: trials };
          const bound = attackEpsilon(counts, { delta: 0, confidence: 0.95 });
          if (bound > epsilon) chance += mass(hits, tpr) * mass(alarms, 1 - tpr);
        }
      }
      assert.ok(chance <= 0.05, `ε ${epsilon}: ${chance}`);
    }
  });

  it("comes close to a Gaussian's ε if it may assume one, and stays below", () => {
    const rng = rngFromSeed(5);
    const judge = (counts: AttackCounts) => gaussianAttackEpsilon(counts, { delta: 1e-5, confidence: 0.95 });
    for (const noise of [0.5, 2]) {
      const draw = (mean: number) => Float64Array.from({ length: 4000 }, () => mean + noise * rng.normal());
      const { epsilon } = thresholdAttack(draw(1), draw(0), judge);
      const truth = gaussianEpsilon({ noiseMultiplier: noise, delta: 1e-5 });
      assert.ok(epsilon <= truth && epsilon > 0.6 * truth, `${epsilon} of ${truth}`);
    }
    // TPR = FPR leaves nothing to refute.
    assert.equal(judge({ truePositives: 50, positives: 100, falsePositives: 50, negatives: 100 }), 0);
  });

  it('chooses its threshold on one half of the scores and judges it on the other', () => {
    const members = Array.from({ length: 400 }, (_, i) => 10 + (i % 7));
    const others = Array.from({ length: 400 }, (_, i) => i % 7);
    const judge = (counts: AttackCounts) => attackEpsilon(counts, { delta: 0, confidence: 0.95 });
    const { threshold, epsilon, ...counts } = thresholdAttack(members, others, judge);
    assert.equal(threshold, 10);
    assert.deepEqual(counts, { truePositives: 200, positives: 200, falsePositives: 0, negatives: 200 });
    assert.ok(epsilon > 3.9); // ln(0.025^(1/200) / (1 - 0.025^(1/200))) = 3.98
    assert.equal(thresholdAttack(others, others, judge).epsilon, 0);
  });
});
