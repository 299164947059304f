/** The audit of client-level privacy finds what is broken: less noise, noise drawn once, no clipping; and not what is whole. */
import assert from 'node:assert/strict';
import type { Mechanism } from '../../../client/audit/clients.js';
import { selectBackend } from '../../../client/backends/index.js';
import { cnn } from '../../../client/workloads/cnn/index.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { decodePrivately, encodePrivately, latticeFor } from '../../../shared/run/client-level-privacy.js';
import { auditClientLevel } from '../../../simulations/audit/clients.js';
import { refutedOf } from '../../../simulations/audit/report.js';

const OPTIONS = {
  ...{ workload: 'cnn', modes: [], noiseMultiplier: 2, samplingRate: 1, steps: 1, rounds: 4, delta: 1e-5 },
  ...{ confidence: 0.95, seed: 1, quick: true },
};
type Plan = Parameters<typeof encodePrivately>[0];

/** The plan with a part of its noise, while the accountant is told of all of it. */
function withNoise({ work, round }: Plan, part: number): Plan {
  const noiseMultiplier = work.privacy!.noiseMultiplier * part;
  return { round, work: { ...work, privacy: { ...work.privacy!, noiseMultiplier } } };
}

const BROKEN: Readonly<Record<string, Mechanism>> = {
  'half of the noise': {
    encode: (plan, values, rng) => encodePrivately(withNoise(plan, 0.5), values, rng),
    decode: (plan, integers, rng) => decodePrivately(withNoise(plan, 0.5), integers, rng),
  },
  'noise that is the same in each round': {
    encode: (plan, values) => encodePrivately(plan, values, rngFromSeed(1)),
    decode: (plan, integers) => decodePrivately(plan, integers, rngFromSeed(2)),
  },
  'no clipping': {
    encode(plan, values, rng) {
      const { granularity, length } = latticeFor(plan.work, plan.round);
      const noise = encodePrivately(plan, new Float32Array(length), rng);
      return noise.map((value, i) => value + Math.round(Math.min(values[i], 1e3) / granularity));
    },
    decode: decodePrivately,
  },
};

describe('the audit of client-level privacy', function () {
  this.timeout(120_000);
  before(() => selectBackend('wasm'));

  for (const mode of ['central', 'distributed', 'local'] as const) {
    it(`${mode}: proves less than is claimed, and more than a fourth of it`, async () => {
      const setting = await auditClientLevel(cnn, mode, OPTIONS);
      assert.deepEqual(refutedOf([setting]), []);
      const proven = Math.max(...setting.bounds.map(({ epsilonAtLeast }) => epsilonAtLeast));
      assert.ok(proven > 0.25 * setting.epsilonAtMost!, `${proven} of ${setting.epsilonAtMost}`);
      assert.ok(setting.largestContribution! > 0.99 && setting.largestContribution! <= 1);
    });

    for (const [what, mechanism] of Object.entries(BROKEN)) {
      it(`${mode}: refutes the claim when there is ${what}`, async () => {
        const setting = await auditClientLevel(cnn, mode, OPTIONS, mechanism);
        const proven = Math.max(...setting.bounds.map(({ epsilonAtLeast }) => epsilonAtLeast));
        assert.ok(proven > setting.epsilonAtMost!, `${proven} of ${setting.epsilonAtMost}`);
        assert.equal(setting.largestContribution! > 1, what === 'no clipping', `${setting.largestContribution}`);
        assert.match(refutedOf([setting]).join(), new RegExp(`${mode}.*proved epsilon`));
      });
    }
  }
});
