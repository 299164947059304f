/** A join token comes back as it was made, and what is wrong with one is told without telling its secret. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeJoinToken, encodeJoinToken, type JoinToken } from '../../shared/join-token.js';

const TOKEN: JoinToken = { address: 'hub.example:7443', fingerprint: 'ab'.repeat(32), secret: 'c2VjcmV0' };
/** As `starling token create` of the first version printed it. */
const PRINTED =
  'starling1.eyJhZGRyZXNzIjoiaHViLmV4YW1wbGU6NzQ0MyIsImZpbmdlcnByaW50IjoiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYiIsInNlY3JldCI6ImMyVmpjbVYwIn0';

const written = (value: unknown) => `starling1.${Buffer.from(JSON.stringify(value)).toString('base64url')}`;

describe('a join token', () => {
  it('is the text that it always was, one word, and is read with the white space of a paste around it', () => {
    assert.equal(encodeJoinToken(TOKEN), PRINTED);
    assert.deepEqual(decodeJoinToken(` ${PRINTED}\n`), TOKEN);
  });

  it('comes back, whatever it says', () => {
    const text = fc.string({ minLength: 1, unit: 'binary' });
    const token = fc.record({ address: text, fingerprint: fc.stringMatching(/^[0-9a-f]{64}$/), secret: text });
    fc.assert(
      fc.property(token, (one) => {
        const encoded = encodeJoinToken(one);
        assert.match(encoded, /^starling1\.[\w-]+$/);
        assert.deepEqual(decodeJoinToken(encoded), { ...one });
      }),
    );
  });

  const refusals: [string, string][] = [
    ['', 'another text'],
    ['starling1', 'another text'],
    ['starling2.e30', 'another text'],
    [`${PRINTED}.x`, 'another text'],
    [PRINTED.slice(0, -4), 'a damaged one'],
    [written(null), 'one without address'],
    [written([]), 'one without address'],
    [written({ ...TOKEN, address: undefined }), 'one without address'],
    [written({ ...TOKEN, address: '' }), 'one without address'],
    [written({ ...TOKEN, fingerprint: 7 }), 'one without fingerprint'],
    [written({ ...TOKEN, fingerprint: 'ab' }), 'one without fingerprint'],
    [written({ ...TOKEN, secret: undefined }), 'one without secret'],
    [written({ ...TOKEN, secret: ['c2VjcmV0'] }), 'one without secret'],
  ];
  for (const [text, got] of refusals) {
    it(`is refused as ${got}: ${text.slice(0, 24)}`, () => {
      assert.throws(() => decodeJoinToken(text), {
        code: 'invalid-argument',
        message: `token: expected a token from \`starling token create\` (starling1.…), got ${got}`,
      });
    });
  }
});
