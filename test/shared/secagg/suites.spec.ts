/** Known answers from the standards, run through every suite that implements the algorithm, and the two suites crossed. */
import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { fromHex, toHex } from '../../../shared/hex.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { CryptoSuite } from '../../../shared/secagg/suite.js';
import { hkdfSha512, hmacSha512, naclSuite } from '../../../shared/secagg/suites/nacl.js';
import { aes256Ctr, nodeSuite } from '../../../shared/secagg/suites/node.js';

const hex = (text: string): Uint8Array => fromHex(text.replace(/\s/g, ''));
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const suites: readonly CryptoSuite[] = [nodeSuite, naclSuite];
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

// RFC 5869 appendix A.1 to A.3 (SHA-256)
const hkdfVectors = [
  {
    ikm: '0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b',
    salt: '000102030405060708090a0b0c',
    info: 'f0f1f2f3f4f5f6f7f8f9',
    okm: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  },
  {
    ikm: toHex(Uint8Array.from({ length: 80 }, (_, i) => i)),
    salt: toHex(Uint8Array.from({ length: 80 }, (_, i) => 0x60 + i)),
    info: toHex(Uint8Array.from({ length: 80 }, (_, i) => 0xb0 + i)),
    okm:
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
      'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
  },
  {
    ikm: '0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b',
    salt: '',
    info: '',
    okm: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  },
];

// RFC 8032 section 7.1, TEST 1 to 3
const ed25519Vectors = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    publicKey: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    publicKey: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    publicKey: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
];

describe('secagg suites: published vectors', () => {
  for (const [i, vector] of hkdfVectors.entries()) {
    it(`HKDF-SHA256 gives RFC 5869 A.${i + 1}`, () => {
      const okm = nodeSuite.hkdf({
        ikm: hex(vector.ikm),
        salt: hex(vector.salt),
        info: hex(vector.info),
        sizeBytes: vector.okm.length / 2,
      });
      assert.equal(toHex(okm), vector.okm);
    });
  }

  it('HMAC-SHA512 gives RFC 4231 test case 2, and HKDF-SHA512 equals OpenSSL', () => {
    assert.equal(
      toHex(hmacSha512(ascii('Jefe'), ascii('what do ya want for nothing?'))),
      '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737',
    );
    for (const sizeBytes of [1, 32, 64, 65, 200]) {
      const input = { ikm: ascii('input key'), salt: ascii('salt'), info: ascii('info'), sizeBytes };
      const expected = new Uint8Array(hkdfSync('sha512', input.ikm, input.salt, input.info, sizeBytes));
      assert.deepEqual(hkdfSha512(input), expected);
    }
  });

  it('AES-256-CTR gives SP 800-38A F.5.5', () => {
    const key = hex('603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4');
    const keystream = aes256Ctr(key, hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff')).next(64);
    const plain = hex(`6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                       30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710`);
    assert.equal(
      toHex(plain.map((byte, i) => byte ^ keystream[i])),
      toHex(
        hex(`601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
             2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6`),
      ),
    );
  });

  it('AES-256-GCM gives test case 16 of McGrew and Viega, and refuses it with one bit changed', () => {
    const input = {
      key: hex('feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308'),
      nonce: hex('cafebabefacedbaddecaf888'),
      associatedData: hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
      message: hex(`d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39`),
    };
    const sealed = nodeSuite.seal(input);
    assert.equal(
      toHex(sealed),
      toHex(
        hex(`522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662 76fc6ece0f4e1768cddf8853bb2d551b`),
      ),
    );
    assert.deepEqual(nodeSuite.open({ ...input, message: sealed }), input.message);
  });
});

for (const suite of suites) {
  describe(`secagg suite ${suite.id}`, () => {
    it('X25519 gives RFC 7748 sections 5.2 and 6.1', () => {
      const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
      const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
      const expected = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552';
      assert.equal(toHex(suite.x25519(scalar)(point)!), expected);

      const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
      const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
      const alicePublic = suite.x25519PublicKey(alice);
      assert.equal(toHex(alicePublic), '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
      const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742';
      assert.equal(toHex(suite.x25519(bob)(alicePublic)!), shared);
    });

    // https://cr.yp.to/ecdh.html#validate: the points of order 1, 2, 4 and 8 of the curve and its twist below 2^255
    for (const point of [
      '0000000000000000000000000000000000000000000000000000000000000000',
      '0100000000000000000000000000000000000000000000000000000000000000',
      'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    ]) {
      it(`X25519 refuses the low-order point ${point.slice(0, 8)}...`, () => {
        assert.equal(suite.x25519(new Uint8Array(32).fill(7))(hex(point)), undefined);
      });
    }

    it('X25519 refuses encodings that are not canonical, and wrong lengths', () => {
      const agree = suite.x25519(new Uint8Array(32).fill(7));
      const nine = new Uint8Array(32).fill(0);
      nine[0] = 9;
      assert.equal(agree(nine)?.length, 32);
      const highBit = nine.slice();
      highBit[31] = 0x80; // RFC 7748 masks it away; two encodings of one key would be two identities
      assert.equal(agree(highBit), undefined);
      assert.equal(agree(hex(`f6${'ff'.repeat(30)}7f`)), undefined); // p + 9
      assert.equal(agree(nine.subarray(1)), undefined);
    });
  });

  describe(`secagg suite ${suite.id}: signatures`, () => {
    for (const [i, vector] of ed25519Vectors.entries()) {
      it(`Ed25519 gives RFC 8032 7.1 TEST ${i + 1}`, () => {
        const publicKey = suite.ed25519PublicKey(hex(vector.seed));
        assert.equal(toHex(publicKey), vector.publicKey);
        assert.equal(toHex(suite.signer(hex(vector.seed))(hex(vector.message))), vector.signature);
        assert.ok(suite.verify({ publicKey, message: hex(vector.message), signature: hex(vector.signature) }));
      });
    }

    it('Ed25519 refuses S + L, another message, a low-order key and junk', () => {
      const { publicKey, message, signature } = ed25519Vectors[2];
      const input = { publicKey: hex(publicKey), message: hex(message), signature: hex(signature) };
      const s = BigInt(`0x${toHex(input.signature.subarray(32).toReversed())}`) + GROUP_ORDER;
      const malleable = input.signature.slice();
      malleable.set(hex(s.toString(16).padStart(64, '0')).toReversed(), 32);
      assert.ok(!suite.verify({ ...input, signature: malleable }));
      assert.ok(!suite.verify({ ...input, message: hex('af83') }));
      assert.ok(!suite.verify({ ...input, signature: input.signature.subarray(1) }));
      assert.ok(!suite.verify({ ...input, publicKey: hex('02'.repeat(32)) }));
      // The neutral point as key: R = identity, S = 0 verifies for every message unless the key is refused.
      const neutral = hex(`01${'00'.repeat(31)}`);
      assert.ok(!suite.verify({ message: input.message, publicKey: neutral, signature: hex(`01${'00'.repeat(63)}`) }));
    });
  });

  describe(`secagg suite ${suite.id}: sealing and keystream`, () => {
    it('opens what it sealed and nothing that was changed: key, nonce, data, each byte, each length', () => {
      const rng = rngFromSeed(1);
      const input = {
        key: rng.bytes(32),
        nonce: rng.bytes(suite.nonceBytes),
        message: rng.bytes(65),
        associatedData: rng.bytes(20),
      };
      const sealed = suite.seal(input);
      assert.equal(sealed.length, input.message.length + suite.sealOverheadBytes);
      assert.deepEqual(suite.open({ ...input, message: sealed }), input.message);
      for (let i = 0; i < sealed.length; i++) {
        assert.equal(suite.open({ ...input, message: sealed.with(i, sealed[i]! ^ 1) }), undefined, `byte ${i}`);
        assert.equal(suite.open({ ...input, message: sealed.subarray(0, i) }), undefined, `length ${i}`);
      }
      for (const field of ['key', 'nonce', 'associatedData'] as const) {
        const changed = { ...input, message: sealed, [field]: input[field].with(0, input[field][0] ^ 1) };
        assert.equal(suite.open(changed), undefined, field);
      }
    });

    it('gives a keystream that continues at any chunk and differs by key', () => {
      const stream = suite.keystream(new Uint8Array(32));
      stream.next(65_536);
      const second = Uint8Array.from(stream.next(32));
      assert.deepEqual(Uint8Array.from(suite.keystream(new Uint8Array(32), 1).next(32)), second);
      assert.notDeepEqual(Uint8Array.from(suite.keystream(new Uint8Array(32).fill(1), 1).next(32)), second);
    });
  });
}

describe('secagg suites together', () => {
  it('agree on keys, shared secrets and signatures', () => {
    const rng = rngFromSeed(2);
    for (let i = 0; i < 5; i++) {
      const [a, b, message] = [rng.bytes(32), rng.bytes(32), rng.bytes(50)];
      const publicA = nodeSuite.x25519PublicKey(a);
      const publicB = naclSuite.x25519PublicKey(b);
      assert.deepEqual(nodeSuite.x25519(a)(publicB), naclSuite.x25519(b)(publicA));
      assert.deepEqual(nodeSuite.ed25519PublicKey(a), naclSuite.ed25519PublicKey(a));
      const publicKey = nodeSuite.ed25519PublicKey(a);
      assert.ok(naclSuite.verify({ publicKey, message, signature: nodeSuite.signer(a)(message) }));
      assert.ok(nodeSuite.verify({ publicKey, message, signature: naclSuite.signer(a)(message) }));
    }
  });
});

describe('secagg suites and Buffers', () => {
  it('takes a Buffer for bytes, at any place in its pool, and changes none of it', () => {
    // Buffer.slice gives a view where Uint8Array.slice gives a copy.
    for (let i = 0; i < 20; i++) {
      const seed = rngFromSeed(i).bytes(32);
      const publicKey = Buffer.from(nodeSuite.ed25519PublicKey(seed));
      const before = publicKey.toString('hex');
      const message = Buffer.from([1, 2, i]);
      const signature = Buffer.from(nodeSuite.signer(seed)(message));
      assert.equal(nodeSuite.verify({ publicKey, message, signature }), true);
      assert.equal(publicKey.toString('hex'), before);
    }
  });
});
