import assert from 'node:assert/strict';
import { toHex } from '../../../shared/hex.js';
import { contradictionsOf, type Statement, signHead, statementsOf } from '../../../shared/ledger/against.js';
import { canonicalJson } from '../../../shared/signing/canonical-json.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';

const [ours, another] = [1, 2].map((fill) => identityFromSeed(new Uint8Array(32).fill(fill)));
const head = { run: 'r', round: 1, lineSha256: 'ab'.repeat(32) };
const keys = [toHex(ours.publicKey)];
const fileOf = (...signed: object[]) => Buffer.from(signed.map((one) => `${canonicalJson(one)}\n`).join(''));

describe('a head', () => {
  it('is a statement of whoever has signed it, as it is', () => {
    const own = signHead(head, ours);
    const text = canonicalJson(own);
    assert.deepEqual(statementsOf(fileOf(own), keys), { statements: [{ ...head, text }], foreign: 0 });
    const changed = { ...own, head: { ...head, round: 2 } };
    assert.deepEqual(statementsOf(fileOf(signHead(head, another), changed), keys), { statements: [], foreign: 2 });
  });
});

describe('a statement', () => {
  const of = (run: string, round: number, lineSha256: string): Statement => {
    return { run, round, lineSha256, text: `${run} ${round} ${lineSha256}` };
  };
  const ledger = [of('r', 0, 'a'), of('r', 1, 'b')];

  it('contradicts a ledger by another line for its round, or by a round that it does not have', () => {
    const [different, more] = [of('r', 1, 'c'), of('r', 2, 'd')];
    assert.deepEqual(contradictionsOf(ledger, [different, more, of('r', 0, 'a')]), [
      { round: 1, ours: 'r 1 b', theirs: 'r 1 c', what: 'two different lines, both signed' },
      { round: 2, theirs: 'r 2 d', what: 'signed, and not in this ledger' },
    ]);
  });

  it('contradicts nothing, of another run', () => {
    assert.deepEqual(contradictionsOf(ledger, [of('q', 1, 'c'), of('q', 2, 'd')]), []);
  });
});
