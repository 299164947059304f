/** A key that anybody can sign for, or that makes a shared secret a constant, comes in nowhere. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Registry } from '../../../server/registry.js';
import { toHex } from '../../../shared/hex.js';
import { createEnrolment, nodeSuite } from '../../../shared/secagg/index.js';
import { naclSuite } from '../../../shared/secagg/suites/nacl.js';
import { parseEnrolment } from '../../../shared/signing/enrolment-file.js';
import { identityFromSeed, signedBytes, verifySignature } from '../../../shared/signing/identity.js';
import { isStrictEd25519Key, isStrictX25519Key } from '../../../shared/signing/strict.js';
import { WEAK_ED25519, WEAK_X25519 } from '../../support/weak-keys.js';

const TOKEN = 's3cret';
const good = identityFromSeed(new Uint8Array(32).fill(3)).publicKey;
/** R is the neutral point and S is 0: fits messages under keys of low order, since then S·B = R + h·A for suited h. */
const EMPTY = Uint8Array.from([1, ...new Uint8Array(63)]);

describe('a weak key', () => {
  it('is one of the published encodings, and the usual ones are none', () => {
    assert.deepEqual([WEAK_X25519.length, WEAK_ED25519.length], [12, 14]);
    const names = WEAK_X25519.map(toHex);
    assert.equal(names[2], 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'); // as the page has them
    assert.equal(names[3], '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157');
    assert.deepEqual(WEAK_X25519.filter(isStrictX25519Key), []);
    assert.deepEqual(WEAK_ED25519.filter(isStrictEd25519Key), []);
    const secret = new Uint8Array(32).fill(7);
    assert.ok(isStrictEd25519Key(good) && isStrictX25519Key(nodeSuite.x25519PublicKey(secret)));
  });

  it('makes no secret with anybody', () => {
    for (const suite of [nodeSuite, naclSuite]) {
      const agree = suite.x25519(new Uint8Array(32).fill(7));
      assert.deepEqual(WEAK_X25519.map(agree), Array(12).fill(undefined));
    }
  });

  it('signs nothing and is enrolled nowhere', async () => {
    for (const key of WEAK_ED25519) {
      const weak = /low order/;
      // of many messages, some fit the empty signature under a key of low order, if it is taken
      for (let n = 0; n < 64; n++) {
        const message = createHash('sha256').update(`${n}`).digest();
        assert.equal(verifySignature(key, message, EMPTY), false);
        for (const suite of [nodeSuite, naclSuite])
          assert.equal(suite.verify({ publicKey: key, message, signature: EMPTY }), false);
      }
      assert.throws(() => parseEnrolment(JSON.stringify({ lab: toHex(key) }), 'enrolment.json'), {
        code: 'invalid-argument',
        message: /^enrolment\.json: lab: expected an Ed25519 key/,
      });
      assert.throws(() => createEnrolment(nodeSuite, new Map([['lab', key]])), { message: weak });
      const registry = new Registry({ append: async () => undefined }, []);
      await assert.rejects(registry.enrolTrusted('lab', key, 0), { message: weak });
      await registry.createToken({ name: 'lab', uses: 1, expiresMs: 1 }, { secret: TOKEN, nowMs: 0 });
      const request = { token: TOKEN, publicKey: key, signature: EMPTY };
      await assert.rejects(registry.enrol(request, 0), { code: 'permission-denied' });
      assert.deepEqual(registry.list(), []);
    }
  });

  it('is refused because of what it is: the same text passes with another key', () => {
    assert.deepEqual([...parseEnrolment(JSON.stringify({ lab: toHex(good) }), 'x').keys()], ['lab']);
    const message = signedBytes('enrolment', TOKEN);
    const signature = identityFromSeed(new Uint8Array(32).fill(3)).sign(message);
    assert.ok(verifySignature(good, message, signature));
  });
});
