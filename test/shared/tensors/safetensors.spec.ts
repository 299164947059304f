import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FlError } from '../../../shared/errors.js';
import { bytesOf, sha256Of } from '../../../shared/tensors/bytes.js';
import { type HostTensors, layoutOf, packTensors } from '../../../shared/tensors/params.js';
import { decode, encode, MAX_HEADER_BYTES } from '../../../shared/tensors/safetensors.js';

/**
 * Written by safetensors 0.8.0 (the Hugging Face library, PyPI) with numpy:
 *   save({'a/bias': f32([0.5, -2]), 'a/kernel': f32([[1, 2], [3, -0.0]]), 'step': f32(7)}, metadata={'round': '3'})
 */
const UPSTREAM = Buffer.from(
  'd000000000000000' +
    '7b225f5f6d657461646174615f5f223a7b22726f756e64223a2233227d2c22612f62696173223a7b226474797065223a22463332222c2273' +
    '68617065223a5b325d2c22646174615f6f666673657473223a5b302c385d7d2c22612f6b65726e656c223a7b226474797065223a22463332' +
    '222c227368617065223a5b322c325d2c22646174615f6f666673657473223a5b382c32345d7d2c2273746570223a7b226474797065223a22' +
    '463332222c227368617065223a5b5d2c22646174615f6f666673657473223a5b32342c32385d7d7d' +
    '0000003f000000c00000803f0000004000004040000000800000e040',
  'hex',
);
const SAME = packTensors({
  'a/bias': { shape: [2], data: Float32Array.of(0.5, -2) },
  'a/kernel': { shape: [2, 2], data: Float32Array.of(1, 2, 3, -0) },
  step: { shape: [], data: Float32Array.of(7) },
});

/** A file built by hand: u64 LE length, the header as given, then `dataBytes` zero bytes. */
function file(header: string | object, dataBytes = 0, claimedBytes?: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(claimedBytes ?? json.length));
  return Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]);
}

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] });

function refuses(bytes: Uint8Array, message: RegExp, expect?: ReturnType<typeof layoutOf>): void {
  assert.throws(
    () => decode(bytes, { expect }),
    (error) => {
      assert.ok(error instanceof FlError, String(error));
      assert.equal(error.code, 'corrupt');
      assert.match(error.message, message);
      return true;
    },
  );
}

describe('safetensors', () => {
  it('reads and writes the bytes of the upstream library', () => {
    const { params, metadata } = decode(UPSTREAM);
    assert.deepEqual(params, SAME);
    assert.deepEqual(metadata, { round: '3' });
    assert.deepEqual(Buffer.from(encode(SAME, { round: '3' })), UPSTREAM);
  });

  it('pads the header with spaces so that the data starts on a multiple of 8', () => {
    const bytes = encode(packTensors({ w: { shape: [1], data: Float32Array.of(1) } }));
    const json = '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8, ' ');
    assert.deepEqual(Buffer.from(bytes), Buffer.concat([file(padded), Buffer.from('0000803f', 'hex')]));
  });

  it('gives back any model and its metadata to the bit, from any alignment', () => {
    const tensor = fc.array(fc.nat(3), { maxLength: 3 }).chain((shape) =>
      fc
        .float32Array({
          minLength: shape.reduce((n, d) => n * d, 1),
          maxLength: shape.reduce((n, d) => n * d, 1),
        })
        .map((data) => ({ shape, data })),
    );
    const models = fc.dictionary(fc.stringMatching(/^[A-Za-z0-9_./-]{1,12}$/), tensor, { maxKeys: 6 });
    const texts = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3, noNullPrototype: true });
    fc.assert(
      fc.property(models, texts, fc.nat(7), (tensors, metadata, shift) => {
        if ('__proto__' in Object.getOwnPropertyDescriptors(metadata)) return;
        const params = packTensors(tensors as HostTensors);
        const bytes = encode(params, metadata);
        const shifted = new Uint8Array(bytes.length + shift).subarray(shift);
        shifted.set(bytes);
        const again = decode(shifted, { expect: params.layout });
        assert.deepEqual(again.params.layout, params.layout);
        assert.deepEqual(bytesOf(again.params.values), bytesOf(params.values)); // bytes: NaN payloads count too
        assert.deepEqual({ ...again.metadata }, { ...metadata });
      }),
    );
  });

  it('puts tensors in the expected order, whatever the order in the file', () => {
    const expect = layoutOf([...SAME.layout].reverse());
    const { params } = decode(UPSTREAM, { expect });
    assert.deepEqual([...params.values], [7, 1, 2, 3, -0, 0.5, -2]);
    assert.equal(params.layout, expect);
  });

  it('refuses to write a header above 1 MiB', () => {
    assert.throws(() => encode(SAME, { text: 'x'.repeat(MAX_HEADER_BYTES) }), /header: expected at most 1048576 bytes/);
  });

  it('names a model by the SHA-256 of its float32 little-endian values', () => {
    // printf '\\x00\\x00\\x00\\x3f\\x00\\x00\\x00\\xc0' | sha256sum
    const params = packTensors({ w: { shape: [2], data: Float32Array.of(0.5, -2) } });
    assert.equal(sha256Of(params), '3c00f95169b7aefd7745a2b1a531e150bb2d1657a77de92dbe5fd8c303fd9066');
    assert.equal(sha256Of(decode(encode(params, { round: '1' })).params), sha256Of(params));
  });
});

describe('safetensors refusals', () => {
  it('refuses a file that is not the expected model', () => {
    const layout = SAME.layout;
    refuses(UPSTREAM, /tensors: expected 2 tensors, got "also step"/, layoutOf(layout.slice(0, 2)));
    refuses(UPSTREAM, /tensors: expected w among them/, layoutOf([...layout, { name: 'w', shape: [1] }]));
    refuses(UPSTREAM, /shape of step: expected \[1\], got "\[\]"/, layoutOf([{ name: 'step', shape: [1] }]));
  });

  it('refuses lengths that lie', () => {
    refuses(new Uint8Array(7), /file: expected at least 8 bytes, got 7/);
    refuses(file('{}', 0, 3), /header: expected 3 bytes, got "2 \(truncated\)"/);
    refuses(file('{}', 0, MAX_HEADER_BYTES + 1), /header length: expected at most 1048576, got 1048577/);
    refuses(Buffer.from('ffffffffffffffff7b7d', 'hex'), /header length: .* got 18446744073709551615/);
    refuses(file({ w: f32([2], 0, 8) }, 7), /data: expected 8 bytes, got "7 \(truncated\)"/);
    refuses(file({ w: f32([2], 0, 8) }, 9), /data: expected 8 bytes, got "9 \(trailing bytes\)"/);
    refuses(file({ w: f32([2 ** 29], 0, 2 ** 31) }, 8), /data: expected 2147483648 bytes, got "8 \(truncated\)"/);
  });

  it('refuses overlaps, holes and sizes that do not fit the shape', () => {
    refuses(file({ v: f32([2], 0, 8), w: f32([1], 4, 8) }, 8), /data_offsets of w: expected no overlap: begin at 8/);
    refuses(file({ v: f32([1], 0, 4), w: f32([1], 8, 12) }, 12), /data_offsets of w: expected no hole: begin at 4/);
    refuses(file({ w: f32([1], 4, 8) }, 8), /data_offsets of w: expected no hole: begin at 0, got 4/);
    refuses(file({ w: f32([3], 0, 8) }, 8), /data_offsets of w: expected 12 bytes for shape \[3\], got 8/);
    refuses(file({ w: f32([1], 8, 4) }, 8), /data_offsets of w: expected 4 bytes/);
    refuses(file({ w: f32([1], -4, 0) }, 4), /data_offsets of w: expected two integers/);
    refuses(file({ w: f32([2 ** 20, 2 ** 20, 2 ** 24], 0, 0) }), /shape of w: expected at most 2147483648 elements/);
    refuses(file({ w: f32([-1, -1], 0, 4) }, 4), /shape of w: expected integers of at least 0/);
    refuses(file({ w: { ...f32([1], 0, 4), shape: 1 } }, 4), /shape of w: expected a list of numbers/);
  });

  it('refuses other dtypes, bad names, duplicate keys and headers that are not JSON', () => {
    refuses(file({ w: { ...f32([1], 0, 2), dtype: 'F16' } }, 2), /dtype of w: expected F32, got "F16"/);
    refuses(file({ w: null }), /dtype of w: expected F32, got undefined/);
    refuses(file({ 'a b': f32([1], 0, 4) }, 4), /name: expected 1 to 128 characters/);
    const entry = JSON.stringify(f32([1], 0, 4));
    refuses(file(`{"w":${entry},"\\u0077":${entry}}`, 4), /header: expected each key once, got "w"/);
    refuses(
      file(`{"w":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}`, 4),
      /each key once, got "shape"/,
    );
    refuses(file('{"w"'), /header: expected JSON in UTF-8/);
    const notUtf8 = Buffer.from('0d00000000000000' + '7b225f5f226162223aff307d20', 'hex');
    refuses(notUtf8, /header: expected JSON in UTF-8 \(.*utf-8/);
    refuses(file(' {}'), /header: expected '{' as its first byte/);
    refuses(file('[]'), /header: expected '{' as its first byte/);
    refuses(file({ __metadata__: { round: 3 } }), /__metadata__\.round: expected a text, got 3/);
    refuses(file({ __metadata__: [] }), /__metadata__: expected an object/);
  });

  it('stands up to a header that is all depth or all escapes', () => {
    refuses(file('['.repeat(MAX_HEADER_BYTES)), /header: expected JSON/);
    const escaped = '\\n'.repeat(MAX_HEADER_BYTES / 2 - 16);
    refuses(file(`{"${escaped}":0,"${escaped[0]}n":0}`), /^name: expected 1 to 128 characters.{1,140}$/s);
  });

  it('never answers damaged bytes with anything but an FlError', () => {
    fc.assert(
      fc.property(fc.nat(UPSTREAM.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(3), (at, flip, cut) => {
        const bytes = Uint8Array.from(UPSTREAM.subarray(0, UPSTREAM.length - cut));
        if (at < bytes.length) bytes[at] ^= flip;
        try {
          decode(bytes);
        } catch (error) {
          assert.ok(error instanceof FlError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
