import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ChainLine, lineSha256, linesOf, signEntry } from '../../../shared/chain/chain.js';
import { privacyEpsilon } from '../../../shared/privacy/accounting/calibrate.js';
import type { Spend } from '../../../shared/privacy/accounting/releases.js';
import {
  type Charge,
  type Charges,
  type ChargeTerms,
  charge,
  type RoundSpend,
  wouldExceed,
} from '../../../shared/privacy/charges/charges.js';
import { encodeCharges, verifyCharges } from '../../../shared/privacy/charges/verify.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';

const [signer, stranger] = [1, 2].map((byte) => identityFromSeed(new Uint8Array(32).fill(byte)));
const key = signer.publicKey;

const terms: ChargeTerms = { unit: 'client', delta: 1e-5, accountant: 'rdp' };
const step: Spend = { release: { mechanism: 'gaussian', noiseMultiplier: 4 }, count: 1 };
const roundSpend = (round: number, spends: readonly Spend[] = [step]): RoundSpend => ({
  runId: 'run-é',
  round,
  spends,
  clippingBound: 0.5,
  noiseStdDev: 2,
  sampling: 'all',
  survivors: 20,
});

function chargesOf(rounds: number): Charges {
  let charges: Charges = [];
  for (let round = 0; round < rounds; round++) charges = charge(charges, roundSpend(round), terms, signer);
  return charges;
}

describe('charges', () => {
  it('says after each round what the accountant says', () => {
    const charges = chargesOf(5);
    charges.forEach(({ entry }, i) => {
      const run = { noiseMultiplier: 4, steps: i + 1, delta: 1e-5, accountant: 'rdp' as const };
      assert.equal(entry.epsilonAfter, privacyEpsilon(run));
    });
    const result = verifyCharges(encodeCharges(charges), key, { recompute: 'all' });
    assert.ok(result.ok);
    assert.deepEqual(result.charges, charges);
    assert.equal(result.epsilon, charges[4]?.entry.epsilonAfter);
  });

  it('verifies when empty, as having cost nothing', () => {
    const result = verifyCharges(new Uint8Array(0), key);
    assert.ok(result.ok && result.epsilon === 0 && result.charges.length === 0);
  });

  it('fails on any changed byte', () => {
    const stored = encodeCharges(chargesOf(2));
    for (let at = 0; at < stored.length; at++) {
      const changed = stored.slice();
      changed[at] ^= 1 + (at % 255);
      assert.equal(verifyCharges(changed, key).ok, false, `byte ${at}`);
    }
  });

  it('fails on any byte changed to any other, removed or inserted', () => {
    const stored = encodeCharges(chargesOf(2));
    fc.assert(
      fc.property(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(2), (at, flip, kind) => {
        const byte = stored[at] ^ flip;
        const parts = [
          [...stored.subarray(0, at), byte],
          kind === 1 ? [...stored.subarray(at)] : [...stored.subarray(at + 1)],
        ];
        const changed = kind === 2 ? [...stored.subarray(0, at), ...stored.subarray(at + 1)] : parts.flat();
        assert.equal(verifyCharges(Uint8Array.from(changed), key).ok, false);
      }),
      { numRuns: 300 },
    );
  });

  it('fails on a reordered, repeated, dropped or foreign record', () => {
    const [a, b, c] = chargesOf(3) as [ChainLine<Charge>, ChainLine<Charge>, ChainLine<Charge>];
    const fails = (records: Charges, at: number) => {
      const result = verifyCharges(encodeCharges(records), key);
      assert.ok(!result.ok && result.record === at, `expected failure at ${at}`);
    };
    fails([b, a, c], 0);
    fails([a, a, b], 1);
    fails([a, c], 1);
    // the same signer's record of another history, in the right place: only the chain tells
    const other = charge(charge([], { ...roundSpend(0), survivors: 21 }, terms, signer), roundSpend(1), terms, signer);
    fails([a, other[1] as ChainLine<Charge>], 1);
    fails([a, signEntry('privacy-charge', b.entry, stranger), c], 1);
    fails([a, signEntry('ledger', b.entry, signer), c], 1); // said for another purpose
  });

  it('sees a missing end only against a head from elsewhere', () => {
    const charges = chargesOf(3);
    const head = lineSha256(linesOf(encodeCharges(charges))[2]);
    assert.equal(verifyCharges(encodeCharges(charges), key, { expectedHead: head }).ok, true);
    assert.equal(verifyCharges(encodeCharges(charges.slice(0, 2)), key, { expectedHead: head }).ok, false);
  });

  it('fails on an ε that the spends do not give, though the signer signed it', () => {
    const [record] = chargesOf(1) as [ChainLine<Charge>];
    const entry = { ...record.entry, epsilonAfter: record.entry.epsilonAfter / 2 };
    const result = verifyCharges(encodeCharges([signEntry('privacy-charge', entry, signer)]), key);
    assert.ok(!result.ok && /epsilonAfter/.test(result.reason));
  });
});

describe('charging', () => {
  it('charges a round once, however often it is asked', () => {
    const charges = chargesOf(3);
    assert.equal(charge(charges, roundSpend(1), terms, signer), charges);
    const other = roundSpend(1, [{ ...step, count: 2 }]);
    assert.throws(() => charge(charges, other, terms, signer), /already|charged/);
  });

  it('refuses mixed units and unearned amplification', () => {
    assert.throws(() => charge(chargesOf(1), roundSpend(1), { ...terms, unit: 'example' }, signer), /terms/);
    const sampled: Spend = { release: { mechanism: 'gaussian', noiseMultiplier: 1, samplingRate: 0.1 }, count: 1 };
    assert.throws(() => charge([], roundSpend(0, [sampled]), terms, signer), /amplifies/);
    const secret = { ...roundSpend(0, [sampled]), sampling: 'poisson-secret' as const };
    assert.equal(charge([], secret, terms, signer).length, 1);
  });
});

describe('budget', () => {
  it('stops exactly before the round that would cross it', () => {
    const budget = { epsilon: 3 };
    let charges: Charges = [];
    for (let round = 0; ; round++) {
      const answer = wouldExceed(charges, [step], budget, terms);
      assert.equal(answer.epsilonBefore, charges.at(-1)?.entry.epsilonAfter ?? 0);
      if (answer.exceeds) break;
      charges = charge(charges, roundSpend(round), terms, signer);
      assert.equal(charges.at(-1)?.entry.epsilonAfter, answer.epsilonAfter);
    }
    const spent = (steps: number) => privacyEpsilon({ noiseMultiplier: 4, steps, delta: 1e-5, accountant: 'rdp' });
    assert.ok(spent(charges.length) <= 3 && spent(charges.length + 1) > 3);
  });

  it('lets the last ε be spent, and nothing noiseless', () => {
    const exact = privacyEpsilon({ noiseMultiplier: 4, steps: 1, delta: 1e-5, accountant: 'rdp' });
    assert.equal(wouldExceed([], [step], { epsilon: exact }, terms).exceeds, false);
    assert.equal(wouldExceed([], [], { epsilon: 0 }, terms).exceeds, false);
    const bare: Spend = { release: { mechanism: 'gaussian', noiseMultiplier: 0 }, count: 1 };
    assert.equal(wouldExceed([], [bare], { epsilon: 1e9 }, terms).exceeds, true);
  });
});
