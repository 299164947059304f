/** Recordings out of an archive, against one that Python 3.11's zipfile and wave wrote. */
import assert from 'node:assert/strict';
import { packSpokenDigits } from '../../../client/data/spoken-archive.js';

/** README.md, recordings/1_ann_2.wav with the samples 1, -2, 300 and recordings/1_ann_10.wav with -32768, 32767. */
const RECORDINGS =
  'UEsDBBQAAAAIAAAAISqsKpPYBAAAAAIAAAALAAAAeC9SRUFETUUubWTLyAQAUEsDBBQAAAAIAAAAISpBJdOzLgAAADIAAAAYAAAAeC9yZWNvcmRpbmdzLz' +
  'FfYW5uXzIud2F2C/J0c9NiYGAIdwxzTcstURAAshmB0EGegaHBjoGBiUGAISWxJJENLP7vvw4jAFBLAwQUAAAACAAAACEqwxMcUS4AAAAwAAAAGQAAAHgv' +
  'cmVjb3JkaW5ncy8xX2Fubl8xMC53YXYL8nRz02BgYAh3DHNNyy1REACyGYHQQZ6BocGOgYGJQYAhJbEkkQUoztDwvx4AUEsBAhQDFAAAAAgAAAAhKqwqk9' +
  'gEAAAAAgAAAAsAAAAAAAAAAAAAAIABAAAAAHgvUkVBRE1FLm1kUEsBAhQDFAAAAAgAAAAhKkEl07MuAAAAMgAAABgAAAAAAAAAAAAAAIABLQAAAHgvcmVj' +
  'b3JkaW5ncy8xX2Fubl8yLndhdlBLAQIUAxQAAAAIAAAAISrDExxRLgAAADAAAAAZAAAAAAAAAAAAAACAAZEAAAB4L3JlY29yZGluZ3MvMV9hbm5fMTAud2' +
  'F2UEsFBgAAAAADAAMAxgAAAPYAAAAAAA==';
/** The first of them at 16 kHz. */
const FAST =
  'UEsDBBQAAAAIAAAAISpq2nvwLQAAADIAAAAYAAAAeC9yZWNvcmRpbmdzLzFfYW5uXzIud2F2C/J0c9NiYGAIdwxzTcstURAAshmBsMEOyKhlYGBiEGBISS' +
  'xJZAOL//uvwwgAUEsBAhQDFAAAAAgAAAAhKmrae/AtAAAAMgAAABgAAAAAAAAAAAAAAIABAAAAAHgvcmVjb3JkaW5ncy8xX2Fubl8yLndhdlBLBQYAAAAA' +
  'AQABAEYAAABjAAAAAAA=';

describe('an archive of spoken digits', () => {
  it('becomes one row of samples, in the order of the file names, and a table', () => {
    const files = packSpokenDigits(Buffer.from(RECORDINGS, 'base64'));
    assert.deepEqual([...files.keys()], ['fsdd.i16', 'fsdd.json']);
    const samples = Buffer.from(files.get('fsdd.i16')!);
    assert.deepEqual(
      Array.from({ length: samples.length / 2 }, (_, i) => samples.readInt16LE(2 * i)),
      [-32768, 32767, 1, -2, 300],
    );
    const table = '"columns":["digit","speaker","take","offset","samples"],"rows":[[1,"ann",10,0,2],[1,"ann",2,2,3]]';
    assert.equal(Buffer.from(files.get('fsdd.json')!).toString(), `{"rate":8000,${table}}`);
  });

  it('of another kind of recording is an error that names it', () => {
    assert.throws(() => packSpokenDigits(Buffer.from(FAST, 'base64')), {
      code: 'corrupt',
      message: 'x/recordings/1_ann_2.wav: expected 16-bit mono PCM at 8000 Hz, got 1, 1, 16000, 16',
    });
  });
});
