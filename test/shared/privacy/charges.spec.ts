import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import fc from 'fast-check';
import { privacyEpsilon } from '../../../shared/privacy/accounting/calibrate.js';
import type { Spend } from '../../../shared/privacy/accounting/releases.js';
import { canonicalText, parseCanonical } from '../../../shared/privacy/charges/canonical.js';
import {
  charge,
  type Ledger,
  type LedgerRecord,
  type LedgerTerms,
  type RoundSpend,
  recordHash,
  wouldExceed,
} from '../../../shared/privacy/charges/charges.js';
import { decodeLedger, encodeLedger, verifyLedger } from '../../../shared/privacy/charges/verify.js';

const keys = generateKeyPairSync('ed25519');
const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());
const signer = { sha256, sign: (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, keys.privateKey)) };
const verifier = {
  sha256,
  verify: (bytes: Uint8Array, signature: Uint8Array) => verify(null, bytes, keys.publicKey, signature),
};

const terms: LedgerTerms = { unit: 'client', delta: 1e-5, accountant: 'rdp' };
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

function ledgerOf(rounds: number): Ledger {
  let ledger: Ledger = [];
  for (let round = 0; round < rounds; round++) ledger = charge(ledger, roundSpend(round), terms, signer);
  return ledger;
}

describe('ledger', () => {
  it('says after each round what the accountant says', () => {
    const ledger = ledgerOf(5);
    ledger.forEach(({ entry }, i) => {
      const run = { noiseMultiplier: 4, steps: i + 1, delta: 1e-5, accountant: 'rdp' as const };
      assert.equal(entry.epsilonAfter, privacyEpsilon(run));
    });
    const result = verifyLedger(encodeLedger(ledger), verifier, { recompute: 'all' });
    assert.ok(result.ok);
    assert.deepEqual(result.ledger, ledger);
    assert.equal(result.epsilon, ledger[4]?.entry.epsilonAfter);
    assert.deepEqual(decodeLedger(encodeLedger(ledger)), ledger);
  });

  it('verifies when empty, as having cost nothing', () => {
    const result = verifyLedger(new Uint8Array(0), verifier);
    assert.ok(result.ok && result.epsilon === 0 && result.ledger.length === 0);
  });

  it('fails on any changed byte', () => {
    const stored = encodeLedger(ledgerOf(2));
    for (let at = 0; at < stored.length; at++) {
      const changed = stored.slice();
      changed[at] = (changed[at] as number) ^ (1 + (at % 255));
      assert.equal(verifyLedger(changed, verifier).ok, false, `byte ${at}`);
    }
  });

  it('fails on any byte changed to any other, removed or inserted', () => {
    const stored = encodeLedger(ledgerOf(2));
    fc.assert(
      fc.property(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(2), (at, flip, kind) => {
        const byte = (stored[at] as number) ^ flip;
        const parts = [
          [...stored.subarray(0, at), byte],
          kind === 1 ? [...stored.subarray(at)] : [...stored.subarray(at + 1)],
        ];
        const changed = kind === 2 ? [...stored.subarray(0, at), ...stored.subarray(at + 1)] : parts.flat();
        assert.equal(verifyLedger(Uint8Array.from(changed), verifier).ok, false);
      }),
      { numRuns: 300 },
    );
  });

  it('fails on a reordered, repeated, dropped or foreign record', () => {
    const [a, b, c] = ledgerOf(3) as [LedgerRecord, LedgerRecord, LedgerRecord];
    const fails = (records: Ledger, at: number) => {
      const result = verifyLedger(encodeLedger(records), verifier);
      assert.ok(!result.ok && result.record === at, `expected failure at ${at}`);
    };
    fails([b, a, c], 0);
    fails([a, a, b], 1);
    fails([a, c], 1);
    // the same signer's record of another history, in the right place: only the chain tells
    const other = charge(charge([], { ...roundSpend(0), survivors: 21 }, terms, signer), roundSpend(1), terms, signer);
    fails([a, other[1] as LedgerRecord], 1);
    const stranger = generateKeyPairSync('ed25519').privateKey;
    fails([a, { ...b, signature: sign(null, Buffer.from('x'), stranger).toString('hex') }, c], 1);
  });

  it('sees a missing end only against a head from elsewhere', () => {
    const ledger = ledgerOf(3);
    const head = recordHash(ledger[2] as LedgerRecord, sha256);
    assert.equal(verifyLedger(encodeLedger(ledger), verifier, { expectedHead: head }).ok, true);
    assert.equal(verifyLedger(encodeLedger(ledger.slice(0, 2)), verifier, { expectedHead: head }).ok, false);
  });

  it('fails on an ε that the spends do not give, though the signer signed it', () => {
    const lying = { ...signer, sign: signer.sign };
    const [record] = ledgerOf(1) as [LedgerRecord];
    const entry = { ...record.entry, epsilonAfter: record.entry.epsilonAfter / 2 };
    const tag = 'starling/privacy-ledger/v1\n';
    const signature = Buffer.from(lying.sign(Buffer.from(tag + canonicalText(entry as never)))).toString('hex');
    const result = verifyLedger(encodeLedger([{ entry, signature }]), verifier);
    assert.ok(!result.ok && /epsilonAfter/.test(result.reason));
  });
});

describe('charging a ledger', () => {
  it('charges a round once, however often it is asked', () => {
    const ledger = ledgerOf(3);
    assert.equal(charge(ledger, roundSpend(1), terms, signer), ledger);
    const other = roundSpend(1, [{ ...step, count: 2 }]);
    assert.throws(() => charge(ledger, other, terms, signer), /already|charged/);
  });

  it('refuses mixed units and unearned amplification', () => {
    assert.throws(() => charge(ledgerOf(1), roundSpend(1), { ...terms, unit: 'example' }, signer), /terms/);
    const sampled: Spend = { release: { mechanism: 'gaussian', noiseMultiplier: 1, samplingRate: 0.1 }, count: 1 };
    assert.throws(() => charge([], roundSpend(0, [sampled]), terms, signer), /amplifies/);
    const secret = { ...roundSpend(0, [sampled]), sampling: 'poisson-secret' as const };
    assert.equal(charge([], secret, terms, signer).length, 1);
  });
});

describe('budget', () => {
  it('stops exactly before the round that would cross it', () => {
    const budget = { epsilon: 3 };
    let ledger: Ledger = [];
    for (let round = 0; ; round++) {
      const answer = wouldExceed(ledger, [step], budget, terms);
      assert.equal(answer.epsilonBefore, ledger.at(-1)?.entry.epsilonAfter ?? 0);
      if (answer.exceeds) break;
      ledger = charge(ledger, roundSpend(round), terms, signer);
      assert.equal(ledger.at(-1)?.entry.epsilonAfter, answer.epsilonAfter);
    }
    const spent = (steps: number) => privacyEpsilon({ noiseMultiplier: 4, steps, delta: 1e-5, accountant: 'rdp' });
    assert.ok(spent(ledger.length) <= 3 && spent(ledger.length + 1) > 3);
  });

  it('lets the last ε be spent, and nothing noiseless', () => {
    const exact = privacyEpsilon({ noiseMultiplier: 4, steps: 1, delta: 1e-5, accountant: 'rdp' });
    assert.equal(wouldExceed([], [step], { epsilon: exact }, terms).exceeds, false);
    assert.equal(wouldExceed([], [], { epsilon: 0 }, terms).exceeds, false);
    const bare: Spend = { release: { mechanism: 'gaussian', noiseMultiplier: 0 }, count: 1 };
    assert.equal(wouldExceed([], [bare], { epsilon: 1e9 }, terms).exceeds, true);
  });
});

describe('canonical encoding', () => {
  it('has one spelling', () => {
    assert.equal(
      canonicalText({ b: [1, 0.1, 1e-7], a: { y: null, x: 'é"' }, c: undefined }),
      '{"a":{"x":"é\\"","y":null},"b":[1,0.1,1e-7]}',
    );
    assert.throws(() => canonicalText(Number.NaN), /finite/);
    for (const other of ['{"b":1,"a":2}', '{"a": 1}', '{"a":1.0}', '{"a":1,"a":1}', '{"a":-0}', '{']) {
      assert.throws(() => parseCanonical(other), /canonical/, other);
    }
  });

  it('comes back the same for any data', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalText(value as never);
        assert.equal(canonicalText(parseCanonical(text)), text);
      }),
    ));
});
