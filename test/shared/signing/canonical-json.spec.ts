/** One spelling for each value, and no other is read. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { z } from 'zod';
import { FlError } from '../../../shared/errors.js';
import { canonicalJson, parseCanonicalJson } from '../../../shared/signing/canonical-json.js';

describe('canonical JSON', () => {
  it('has one spelling', () => {
    assert.equal(
      canonicalJson({ b: [1, 0.1, 1e-7], a: { y: null, x: 'é"' }, c: undefined }),
      '{"a":{"x":"é\\"","y":null},"b":[1,0.1,1e-7]}',
    );
    assert.throws(() => canonicalJson(Number.NaN), /finite/);
    const parse = (text: string) => parseCanonicalJson(text, z.unknown());
    for (const other of ['{"b":1,"a":2}', '{"a": 1}', '{"a":1.0}', '{"a":1,"a":1}', '{"a":-0}']) {
      assert.throws(() => parse(other), new FlError('corrupt', 'expected canonical JSON, got another spelling'), other);
    }
    assert.throws(() => parse('{'), { code: 'corrupt', message: 'expected JSON, got something else' });
  });

  it('comes back the same for any data', () =>
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        assert.equal(canonicalJson(parseCanonicalJson(text, z.unknown())), text);
      }),
    ));

  it('writes bytes as hex, and names what a schema refuses', () => {
    assert.equal(canonicalJson({ key: Uint8Array.of(0, 10, 255) }), '{"key":"000aff"}');
    const schema = z.strictObject({ a: z.strictObject({ b: z.int() }) });
    assert.deepEqual(parseCanonicalJson('{"a":{"b":1}}', schema), { a: { b: 1 } });
    assert.throws(
      () => parseCanonicalJson('{"a":{"b":"x"}}', schema),
      /^FlError: a\.b: Invalid input: expected number/,
    );
  });
});
