/** Frames that are almost right: a byte more or less, numbers beyond their limits, and who is nobody. */
import assert from 'node:assert/strict';
import { concat, MalformedFrame } from '../../../shared/secagg/codec.js';
import {
  decodeAdvertise,
  decodeConsistency,
  decodeRefusal,
  decodeRoster,
  decodeSurvivors,
  encodeAdvertise,
  encodeRefusal,
  encodeRoster,
  HEADER_BYTES,
} from '../../../shared/secagg/frames.js';

const ID = new Uint8Array(32).fill(1);
const key = (value: number) => new Uint8Array(32).fill(value);
const member = { id: 'a', sharePublicKey: key(2), maskPublicKey: key(3), signature: new Uint8Array(64).fill(4) };
const entry = { tag: new Uint8Array(16).fill(5), leaf: key(6) };
const roster = { degree: 1, threshold: 1, ownIndex: 1, entries: [entry, entry], neighbours: [member] };
const bodyOf = (frame: Uint8Array) => frame.subarray(HEADER_BYTES);
const more = (body: Uint8Array) => concat(body, Uint8Array.of(0));
const less = (body: Uint8Array) => body.subarray(0, -1);
/** With another 32-bit number at `index`. */
const withWord = (body: Uint8Array, index: number, value: number) => {
  const copy = new Uint8Array(body);
  new DataView(copy.buffer).setUint32(4 * index, value);
  return copy;
};

describe('a frame of secure aggregation', () => {
  const cases: readonly [string, Uint8Array, (body: Uint8Array) => unknown, unknown][] = [
    ['an advertisement', bodyOf(encodeAdvertise(ID, member)), decodeAdvertise, member],
    ['a roster', bodyOf(encodeRoster(ID, roster)), decodeRoster, roster],
    ['survivors', Uint8Array.of(3, 1), (body) => decodeSurvivors(body, 9), Uint8Array.of(3, 1)],
    ['a signature', new Uint8Array(64).fill(7), decodeConsistency, new Uint8Array(64).fill(7)],
    ['a refusal', bodyOf(encodeRefusal(ID, 'withdrawn', 2)), decodeRefusal, { reason: 'withdrawn', culprit: 2 }],
  ];
  for (const [what, body, decode, expected] of cases) {
    it(`with ${what} is read whole, and with a byte more or less not at all`, () => {
      assert.deepEqual(decode(body), expected);
      for (const bad of [more(body), less(body)]) assert.throws(() => decode(bad), MalformedFrame);
    });
  }

  it('with a refusal that is nobody’s fault names nobody', () => {
    const body = bodyOf(encodeRefusal(ID, 'withdrawn'));
    assert.deepEqual(decodeRefusal(body), { reason: 'withdrawn', culprit: undefined });
  });

  it('with a roster beyond its limits is refused before anything is made of it', () => {
    const body = bodyOf(encodeRoster(ID, roster));
    const beyond = /beyond its limits/;
    assert.throws(() => decodeRoster(withWord(body, 0, 16_385)), beyond, 'members');
    assert.throws(() => decodeRoster(withWord(body, 1, 1_025)), beyond, 'neighbours');
    assert.throws(() => decodeRoster(withWord(body, 3, 2)), beyond, 'its own place');
  });
});
