/** What virtual clients of one process share: a model is read and checked once, and still never trusted unseen. */
import assert from 'node:assert/strict';
import { modelReader, planReader } from '../../../client/round/verify-signed.js';
import { signedBytes } from '../../../shared/signing/identity.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { coordinatorKey, planOf, strangerKey } from '../../support/one-client.js';

const model = (value: number) => packTensors({ w: { shape: [2], data: Float32Array.of(value, 1) } });
const { layout } = model(0);
const [first, second] = [model(0), model(7)];
const [sha256, otherSha256] = [sha256Of(first), sha256Of(second)];

describe('a reader of plans', () => {
  it('believes no other signature under a plan that it has read', () => {
    const plan = planOf();
    const body = Buffer.from(JSON.stringify(plan));
    const signature = coordinatorKey.sign(signedBytes('plan', plan));
    const read = planReader(coordinatorKey.publicKey);
    assert.deepEqual(read(body, signature), plan);
    assert.equal(read(Buffer.from(body), Buffer.from(signature)), read(body, signature), 'read once');
    const forged = signature.with(0, signature[0] ^ 1);
    assert.throws(() => read(body, forged), { code: 'permission-denied' });
    assert.throws(() => read(body, strangerKey.sign(signedBytes('plan', plan))), { code: 'permission-denied' });
  });
});

describe('a reader of models', () => {
  it('reads a model once, from whatever memory it comes, and knows its file', () => {
    const reader = modelReader();
    assert.equal(reader.known(sha256), undefined);
    const file = encode(first);
    const values = reader.read(file, { layout, sha256 });
    assert.deepEqual([...values], [0, 1]);
    assert.equal(reader.known(sha256), file);
    assert.equal(reader.read(encode(first), { layout, sha256 }), values);
  });

  it('refuses another model under a hash that it knows, and one that is damaged', () => {
    const reader = modelReader();
    reader.read(encode(first), { layout, sha256 });
    assert.throws(() => reader.read(encode(second), { layout, sha256 }), { code: 'corrupt' });
    assert.throws(() => reader.read(encode(first).subarray(1), { layout, sha256 }), { code: 'corrupt' });
    assert.deepEqual([...reader.read(encode(second), { layout, sha256: otherSha256 })], [7, 1]);
    assert.equal(reader.known(sha256), undefined, 'the last alone is kept');
  });
});
