/** A release is drawn once: asked for again it is the same numbers, and one that was charged and lost is drawn no more. */
import assert from 'node:assert/strict';
import { type PrivacySite, releaseIdOf, releaseOnce } from '../../../client/round/privatize.js';
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

  it('that was charged and is not kept any more is drawn no more', async () => {
    const { ask, seen } = siteOf({ isCharged: true });
    await assert.rejects(ask(), /its release was charged and is not kept here any more/);
    assert.deepEqual(seen, { drawn: 0, charged: 0 });
  });
});
