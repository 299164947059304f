/** Words by which keys follow one another: nobody makes one who has not both keys, and none is good for somebody else. */
import assert from 'node:assert/strict';
import { toHex } from '../../../shared/hex.js';
import {
  type HandOver,
  isHandOver,
  keysFrom,
  MAX_HAND_OVERS,
  signHandOver,
} from '../../../shared/signing/hand-over.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { handOversFromWire, handOversToWire } from '../../../shared/wire/hand-overs.js';

const [a, b, c, thief] = [1, 2, 3, 4].map((n) => identityFromSeed(new Uint8Array(32).fill(n)));
const [keyA, keyB, keyC, keyThief] = [a, b, c, thief].map(({ publicKey }) => toHex(publicKey));
const ab = signHandOver('coordinator', a, b);
const bc = signHandOver('coordinator', b, c);

describe('a hand-over', () => {
  it('holds for the keys that have both signed it, and leads from any key of a chain to the last', () => {
    assert.ok(isHandOver('coordinator', ab));
    assert.deepEqual(keysFrom('coordinator', keyA, [ab, bc]), [keyA, keyB, keyC]);
    assert.deepEqual(keysFrom('coordinator', keyB, [ab, bc]), [keyB, keyC], 'what came before is passed over');
    assert.deepEqual(keysFrom('coordinator', keyThief, [ab, bc]), [keyThief], 'it leads nowhere from a stranger');
  });

  const forged: Record<string, HandOver> = {
    'to a key that the old one has not named': { ...ab, to: keyThief },
    'that the old key has not made': { ...signHandOver('coordinator', thief, b), from: keyA },
    'to a key that somebody else has taken it for': { ...ab, proof: signHandOver('coordinator', a, thief).proof },
    'from a key to itself': signHandOver('coordinator', a, a),
    'that the new key alone has signed': { ...ab, signature: ab.proof },
    'that the old key alone has signed': { ...ab, proof: ab.signature },
    'of a client': signHandOver({ client: 'coordinator' }, a, b),
  };
  for (const [what, word] of Object.entries(forged)) {
    it(`is none ${what}`, () => {
      assert.equal(isHandOver('coordinator', word), false);
      assert.deepEqual(keysFrom('coordinator', keyA, [word, bc]), [keyA]);
    });
  }

  it('of one client is none of another, nor of the coordinator', () => {
    const word = signHandOver({ client: 'lab-1' }, a, b);
    assert.ok(isHandOver({ client: 'lab-1' }, word));
    assert.equal(isHandOver({ client: 'lab-2' }, word), false);
    assert.equal(isHandOver('coordinator', word), false);
  });

  it('that leads back to a key of before is not followed', () => {
    const back = signHandOver('coordinator', b, a);
    assert.deepEqual(keysFrom('coordinator', keyA, [ab, back, ab, bc]), [keyA, keyB]);
  });

  it('of two on one key counts as the first of them, and what follows the other is passed over', () => {
    const fork = signHandOver('coordinator', a, thief);
    const onwards = signHandOver('coordinator', thief, c);
    assert.deepEqual(keysFrom('coordinator', keyA, [ab, fork, onwards, bc]), [keyA, keyB, keyC]);
    assert.deepEqual(keysFrom('coordinator', keyA, [fork, ab, bc]), [keyA, keyThief], 'a stolen key may give, too');
  });

  it('of thousands is looked at no further than a key is rotated', () => {
    const many = Array.from({ length: 10_000 }, () => ab);
    const behind = [...many, bc];
    assert.deepEqual(keysFrom('coordinator', keyA, behind), [keyA, keyB]);
    assert.throws(() => handOversToWire(behind), {
      code: 'invalid-argument',
      message: `hand_overs: expected at most ${MAX_HAND_OVERS} entries, got 10001`,
    });
    const [wire] = handOversToWire([ab]);
    assert.throws(() => handOversFromWire(Array.from({ length: MAX_HAND_OVERS + 1 }, () => wire)), /got 257/);
  });
});
