/** A release is drawn once: asked for again it is the same numbers, and one that was charged and lost is drawn no more. */
import assert from 'node:assert/strict';
import { type PrivacySite, privatize, releaseIdOf, releaseOnce } from '../../../client/round/privatize.js';
import { memoryReleases } from '../../../client/store/releases.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { privatePlan } from '../../support/private-plan.js';

/** A site whose account says that it was charged `charged` times before. */
function siteOf({ isCharged = false } = {}) {
  const seen = { drawn: 0, charged: 0 };
  const site: PrivacySite = {
    noiseOf: () => rngFromSeed(++seen.drawn),
    releases: memoryReleases(),
    account: { isCharged: () => isCharged, charge: async () => void seen.charged++ },
  };
  const ask = (attempt = 1) =>
    releaseOnce(privatePlan(1, undefined, { attempt }), site, async (noise) => {
      return { values: Float32Array.of(noise.normal()), weights: [1], metrics: {} };
    });
  return { ask, seen };
}

describe('a release', () => {
  it('is the same numbers for every attempt that asks, drawn once and charged each time that it may leave', async () => {
    const { ask, seen } = siteOf();
    const first = await ask();
    assert.deepEqual([await ask(), await ask(2)], [first, first]);
    assert.deepEqual(seen, { drawn: 1, charged: 3 });
  });

  it('has another name under another clipping bound of the round', () => {
    const names = [undefined, 1, 2].map((clippingBound) =>
      releaseIdOf(privatePlan(1, undefined, clippingBound === undefined ? {} : { clippingBound })),
    );
    assert.equal(new Set(names).size, 3);
  });

  it('of a whole client weighs 1 for each tensor that it holds, and 1 for what the adaptive bound asks', () => {
    const mode = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 40 } as const;
    const metrics = { loss: { sum: [1], count: 9 } };
    for (const [adaptive, held, expected] of [
      [false, 2.5, [1]],
      [false, 0, [0]],
      [true, 2.5, [1, 1]],
      [true, 0, [0, 1]],
    ] as const) {
      const contribution = { values: new Float32Array(3), weights: [held], metrics };
      const out = privatize(privatePlan(1, { ...mode, adaptive }), contribution, rngFromSeed(1));
      assert.deepEqual([out.weights, out.metrics, out.values.length], [expected, {}, adaptive ? 4 : 3]);
    }
  });

  it('that was charged and is not kept any more is drawn no more', async () => {
    const { ask, seen } = siteOf({ isCharged: true });
    await assert.rejects(ask(), /its release was charged and is not kept here any more/);
    assert.deepEqual(seen, { drawn: 0, charged: 0 });
  });
});
