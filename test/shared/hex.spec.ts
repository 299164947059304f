/** Bytes and hex, both ways. */
import assert from 'node:assert/strict';
import { fromHex, toHex } from '../../shared/hex.js';

describe('hex', () => {
  it('is two lower-case digits a byte, of a view too, and comes back', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    assert.equal(toHex(bytes.subarray(9, 12)), '090a0b');
    assert.deepEqual(fromHex(toHex(bytes)), bytes);
    assert.deepEqual(fromHex('AbFF'), Uint8Array.of(0xab, 0xff));
    assert.deepEqual([toHex(new Uint8Array(0)), fromHex('')], ['', new Uint8Array(0)]);
  });

  it('refuses what is no pairs of digits', () => {
    for (const bad of ['0', '0g', 'g0', '00 ', '0x00', '00é0']) assert.throws(() => fromHex(bad), RangeError, bad);
  });
});
