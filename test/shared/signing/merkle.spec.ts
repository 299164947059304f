/** One signature for many: the tree of hashes, and the receipts that are its leaves. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Receipt } from '../../../shared/run/plan.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { merkleRoot, merkleTree } from '../../../shared/signing/merkle.js';
import { receiptCheck, signReceipts } from '../../../shared/signing/receipts.js';

// The leaves and roots that implementations of RFC 6962 test with (transparency-dev/merkle, testonly/constants.go).
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (root: Uint8Array | undefined) => root && Buffer.from(root).toString('hex');
const leavesOf = (count: number) => Array.from({ length: count }, (_, i) => Uint8Array.of(i >> 8, i & 255));

describe('a tree of hashes', () => {
  it('has the roots of RFC 6962', () => {
    const leaves = LEAVES.map(bytes);
    assert.deepEqual(
      LEAVES.map((_, i) => hex(merkleTree(leaves.slice(0, i + 1)).root)),
      ROOTS,
    );
  });

  it('leads every leaf to its root, in trees of every size', () => {
    for (let count = 1; count <= 70; count++) {
      const leaves = leavesOf(count);
      const { root, inclusion } = merkleTree(leaves);
      for (const [i, leaf] of leaves.entries()) assert.equal(hex(merkleRoot(leaf, inclusion(i))), hex(root));
    }
  });

  it('leads nothing else there', () => {
    const place = fc.integer({ min: 2, max: 40 }).chain((count) => fc.tuple(fc.constant(count), fc.nat(count - 1)));
    fc.assert(
      fc.property(place, fc.nat(), fc.nat(255), ([count, index], at, flip) => {
        const leaves = leavesOf(count);
        const { root, inclusion } = merkleTree(leaves);
        const right = inclusion(index);
        const other = (index + 1) % count;
        assert.notEqual(hex(merkleRoot(leaves[other], right)), hex(root), 'another leaf');
        assert.notEqual(hex(merkleRoot(leaves[index], { ...right, index: other })), hex(root), 'another place');
        const path = right.path.slice();
        path[at % path.length] ^= flip;
        assert.equal(hex(merkleRoot(leaves[index], { ...right, path })) === hex(root), flip === 0, 'another way');
      }),
    );
  });

  it('knows no place outside it, and no way that is too short or too long', () => {
    const [leaf] = leavesOf(3);
    const right = merkleTree(leavesOf(3)).inclusion(0);
    for (const index of [-1, 3, 0.5, Number.NaN]) assert.equal(merkleRoot(leaf, { ...right, index }), undefined);
    assert.equal(merkleRoot(leaf, { ...right, path: right.path.subarray(32) }), undefined);
    assert.equal(merkleRoot(leaf, { ...right, path: right.path.subarray(1) }), undefined);
    assert.equal(merkleRoot(leaf, { ...right, path: new Uint8Array(96) }), undefined);
    assert.throws(() => merkleTree([]), /at least 1/);
  });
});

describe('receipts of one round', () => {
  const coordinator = identityFromSeed(new Uint8Array(32).fill(1));
  const receipts = ['a', 'b', 'c'].map(
    (client): Receipt => ({
      run: 'run',
      round: 2,
      attempt: 1,
      client,
      updateSha256: client.repeat(64),
      outcome: 'committed',
      modelSha256: 'f'.repeat(64),
    }),
  );
  const [signed, second] = signReceipts(coordinator, receipts);

  it('are each checked alone, with one signature', () => {
    for (const one of signReceipts(coordinator, receipts)) {
      assert.ok(receiptCheck(coordinator.publicKey)(one));
      assert.deepEqual(one.signature, signed.signature);
    }
    const [lonely] = signReceipts(coordinator, receipts.slice(0, 1));
    assert.ok(receiptCheck(coordinator.publicKey)(lonely));
    assert.deepEqual(signReceipts(coordinator, []), []);
  });

  it('are refused when a word, the place or the signature is not as it was signed, also after a good one', () => {
    const check = receiptCheck(coordinator.publicKey);
    const forged = [
      { ...signed, receipt: { ...signed.receipt, round: 3 } },
      { ...signed, inclusion: { ...signed.inclusion, count: 4 } },
      { ...signed, inclusion: second.inclusion },
      { ...signed, signature: signed.signature.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) },
      ...signReceipts(identityFromSeed(new Uint8Array(32).fill(2)), receipts),
    ];
    for (const trial of [forged, forged]) {
      for (const one of trial) assert.equal(check(one), false);
      assert.ok(check(signed));
    }
  });
});
