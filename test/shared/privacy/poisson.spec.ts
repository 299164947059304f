import assert from 'node:assert/strict';
import { poissonBatch } from '../../../shared/privacy/mechanisms/poisson.js';
import { rngFromSeed } from '../../../shared/rng.js';

describe('Poisson batches', () => {
  for (const samplingRate of [0.01, 0.3]) {
    it(`vary in size as a binomial of rate ${samplingRate}, and every example comes as often`, () => {
      const rng = rngFromSeed(9);
      const population = 500;
      const batches = 2000; // a million coins
      const counts = new Float64Array(population);
      let squares = 0;
      for (let k = 0; k < batches; k++) {
        const batch = poissonBatch({ population, samplingRate, rng });
        squares += (batch.length - population * samplingRate) ** 2;
        for (const i of batch) counts[i] += 1;
      }
      // size variance n q (1-q); its estimate over k batches has relative error sqrt(2/k) = 3.2 %: five of them
      const variance = population * samplingRate * (1 - samplingRate);
      assert.ok(Math.abs(squares / batches / variance - 1) < 5 * Math.sqrt(2 / batches), `${squares / batches}`);
      // χ² over 500 examples: mean 500, deviation sqrt(1000)
      const expected = batches * samplingRate;
      const chiSquare = counts.reduce((sum, c) => sum + (c - expected) ** 2 / (expected * (1 - samplingRate)), 0);
      assert.ok(Math.abs(chiSquare - 500) < 5 * Math.sqrt(1000), `${chiSquare}`);
    });
  }

  it('are empty or full at the ends', () => {
    const rng = rngFromSeed(1);
    assert.equal(poissonBatch({ population: 50, samplingRate: 0, rng }).length, 0);
    assert.deepEqual([...poissonBatch({ population: 3, samplingRate: 1, rng })], [0, 1, 2]);
    assert.equal(poissonBatch({ population: 0, samplingRate: 0.5, rng }).length, 0);
    assert.throws(() => poissonBatch({ population: 3, samplingRate: 2, rng }), /samplingRate/);
  });
});
