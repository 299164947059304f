import assert from 'node:assert/strict';
import { parseEnrolment } from '../../../shared/signing/enrolment-file.js';

describe('an enrolment file', () => {
  const key = 'ab'.repeat(32);

  it('gives the keys that a site pins', () => {
    assert.deepEqual([...parseEnrolment(JSON.stringify({ charite: key }), 'enrolment.json')], [['charite', key]]);
  });

  it('is refused when it is anything else, and names the entry', () => {
    const refusals: readonly [text: string, message: string][] = [
      ['', 'enrolment.json: expected JSON, got something else'],
      ['[]', 'enrolment.json: expected an object of client names and keys, got "object"'],
      ['{"charite": "ab"}', 'enrolment.json: charite: expected 64 lower-case hex digits, got "ab"'],
      ['{"charite": 1}', 'enrolment.json: charite: expected 64 lower-case hex digits, got 1'],
    ];
    for (const [text, message] of refusals) {
      assert.throws(() => parseEnrolment(text, 'enrolment.json'), { code: 'invalid-argument', message });
    }
  });
});
