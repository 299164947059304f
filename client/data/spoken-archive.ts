/**
 * From the Free Spoken Digit Dataset as its authors give it, an archive of 3,000 WAV files named DIGIT_SPEAKER_TAKE.wav, to
 * the two files that we read: all samples in a row as little-endian int16, in the order of the file names, and a table.
 */
import { FlError } from '../../shared/errors.js';
import { readZip } from './zip.js';

const NAME = /(?:^|\/)recordings\/(\d)_([a-z]+)_(\d+)\.wav$/;
const RATE_HZ = 8000;

/** @throws FlError corrupt: no archive, or a recording that is not 16-bit mono PCM at 8 kHz */
export function packSpokenDigits(archive: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const clips = [...readZip(archive, 'archive of recordings')]
    .flatMap(({ name, bytes }) => {
      const parts = NAME.exec(name);
      if (parts === null) return [];
      const [, digit, speaker, take] = parts;
      return [{ file: `${digit}_${speaker}_${take}.wav`, digit, speaker, take, samples: samplesOf(bytes, name) }];
    })
    .sort((a, b) => (a.file < b.file ? -1 : 1));
  let offset = 0;
  const rows = clips.map(({ digit, speaker, take, samples }) => {
    const length = samples.length / 2;
    offset += length;
    return [Number(digit), speaker, Number(take), offset - length, length];
  });
  const table = { rate: RATE_HZ, columns: ['digit', 'speaker', 'take', 'offset', 'samples'], rows };
  return new Map([
    ['fsdd.i16', Buffer.concat(clips.map(({ samples }) => samples))],
    ['fsdd.json', Buffer.from(JSON.stringify(table))],
  ]);
}

/** The data chunk of a WAV file (Microsoft and IBM 1991, Multimedia Programming Interface and Data Specifications 1.0). */
function samplesOf(content: Uint8Array, name: string): Uint8Array {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const isWave =
    bytes.length >= 12 && bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WAVE';
  let format: readonly number[] = [];
  for (let at = 12; isWave && at + 8 <= bytes.length; ) {
    const [kind, sizeBytes] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4)];
    const start = at + 8;
    if (start + sizeBytes > bytes.length) break;
    // code 1: PCM
    if (kind === 'fmt ')
      format = [
        bytes.readUInt16LE(start),
        bytes.readUInt16LE(start + 2),
        bytes.readUInt32LE(start + 4),
        bytes.readUInt16LE(start + 14),
      ];
    if (kind === 'data' && format.join() === [1, 1, RATE_HZ, 16].join())
      return bytes.subarray(start, start + sizeBytes);
    at = start + sizeBytes + (sizeBytes % 2);
  }
  throw new FlError(
    'corrupt',
    `${name}: expected 16-bit mono PCM at ${RATE_HZ} Hz, got ${format.length === 0 ? 'no WAV file' : format.join(', ')}`,
  );
}
