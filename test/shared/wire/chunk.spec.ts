/**
 * The hand-written chunk is, byte for byte, what the code generated from the .proto writes and reads.
 */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import { CHUNK_BYTES } from '../../../shared/service.js';
import { DOWNLOAD_DATA_FIELD, encodeChunk, piecesOf, UPLOAD_DATA_FIELD } from '../../../shared/wire/chunk.js';
import { GetRunResponse, StartRunRequest } from '../../../shared/wire/gen/starling/v1/admin.js';
import { DownloadModelResponse, UploadUpdateRequest } from '../../../shared/wire/gen/starling/v1/participant.js';
import { decodeDownloadChunk, decodeUploadPart } from '../../../shared/wire/transfer.js';

/** Around each length of the varint, and the largest. */
const LENGTHS = [1, 2, 127, 128, 129, 16_383, 16_384, 16_385, CHUNK_BYTES - 1, CHUNK_BYTES];

describe('a chunk', () => {
  for (const length of LENGTHS) {
    it(`of ${length} bytes is encoded as the generated code does`, () => {
      const data = new Uint8Array(length).map((_, i) => i);
      const download = encodeChunk(DOWNLOAD_DATA_FIELD, data);
      const upload = encodeChunk(UPLOAD_DATA_FIELD, data);
      const same = (a: Uint8Array, b: Uint8Array) => assert.ok(Buffer.from(a).equals(b));
      same(download, DownloadModelResponse.encode({ data }).finish());
      same(upload, UploadUpdateRequest.encode({ part: { $case: 'data', value: data } }).finish());
      same(upload, StartRunRequest.encode({ part: { $case: 'model', value: data } }).finish());
      same(upload, GetRunResponse.encode({ part: { $case: 'report', value: data } }).finish());
      assert.deepEqual(decodeDownloadChunk(download), data);
      assert.deepEqual(decodeUploadPart(upload), { data });
    });
  }

  for (const length of [0, CHUNK_BYTES + 1]) {
    it(`of ${length} bytes is refused on both sides`, () => {
      const data = new Uint8Array(length);
      const refused = (error: unknown) => error instanceof FlError && error.code === 'invalid-argument';
      assert.throws(() => encodeChunk(UPLOAD_DATA_FIELD, data), refused);
      assert.throws(() => decodeDownloadChunk(DownloadModelResponse.encode({ data }).finish()), refused);
    });
  }

  it('is cut from a larger run of bytes without a copy, in order', () => {
    const bytes = new Uint8Array(2 * CHUNK_BYTES + 5);
    const pieces = [...piecesOf(bytes)];
    assert.deepEqual(
      pieces.map((piece) => [piece.byteOffset, piece.length, piece.buffer === bytes.buffer]),
      [
        [0, CHUNK_BYTES, true],
        [CHUNK_BYTES, CHUNK_BYTES, true],
        [2 * CHUNK_BYTES, 5, true],
      ],
    );
    assert.deepEqual([...piecesOf(new Uint8Array(0))], []);
  });
});
