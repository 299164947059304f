import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MAX_RECORD_BYTES, MAX_WAITING_BYTES, openJournal, parseJournal } from '../../../server/journal/journal.js';
import { FlError } from '../../../shared/errors.js';
import { failure, MemoryFiles } from './memory-files.js';

const PATH = 'run/journal.log';

/**
 * Written with Python 3.11, not with our code:
 *   f = lambda p: struct.pack('<II', len(p), zlib.crc32(p)) + p
 *   b'STARJNL1' + f(b'[{"round":1}]') + f('["\u00e9",null]'.encode())
 */
const GOLDEN = Buffer.from(
  '535441524a4e4c310d00000098e250395b7b22726f756e64223a317d5d0b00000097b408805b22c3a9222c6e756c6c5d',
  'hex',
);

async function written(files: MemoryFiles, groups: unknown[][]): Promise<Uint8Array> {
  const { journal } = await openJournal(PATH, { files });
  for (const group of groups) await Promise.all(group.map((record) => journal.append(record)));
  await journal.close();
  return (await files.read(PATH))!;
}

function holding(content: Uint8Array): MemoryFiles {
  const files = new MemoryFiles();
  files.names.set(PATH, { content, durable: content });
  return files;
}

const corrupt = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof FlError);
  assert.equal(error.code, 'corrupt');
  assert.match(error.message, message);
  return true;
};

describe('journal', () => {
  it('writes the documented bytes and reads them back', async () => {
    assert.deepEqual(Buffer.from(await written(new MemoryFiles(), [[{ round: 1 }], ['é', null]])), GOLDEN);
    const { records, tornBytes } = await openJournal(PATH, { files: holding(GOLDEN) });
    assert.deepEqual(records, [{ round: 1 }, 'é', null]);
    assert.equal(tornBytes, 0);
  });

  it('is durable from its first moment: an empty journal survives a crash', async () => {
    const files = new MemoryFiles();
    await openJournal(PATH, { files });
    const after = files.crash(() => false);
    assert.deepEqual((await openJournal(PATH, { files: after })).records, []);
  });

  it('lets appends that wait together share one fdatasync', async () => {
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    const before = files.datasyncs;
    await Promise.all(Array.from({ length: 100 }, (_, i) => journal.append(i)));
    assert.equal(files.datasyncs - before, 1);
    const late: Promise<void>[] = [];
    const first = journal.append('a').then(() => late.push(journal.append('c')));
    await Promise.all([first, journal.append('b')]);
    await Promise.all(late);
    assert.equal(files.datasyncs - before, 3); // {a, b}, {c}
  });

  it('reads a record when it is appended, not when it is written', async () => {
    const record = { round: 1 };
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    const done = journal.append(record);
    record.round = 2;
    await done;
    assert.deepEqual(parseJournal((await files.read(PATH))!).records, [{ round: 1 }]);
  });

  it('waits for what was appended before it closes, and refuses afterwards', async () => {
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    const done = journal.append(1);
    await journal.close();
    await done;
    await journal.close();
    await assert.rejects(journal.append(2), /journal: already closed/);
    assert.equal(files.openFiles, 0);
  });

  it('bounds one record and all that waits', async () => {
    const { journal } = await openJournal(PATH, { files: new MemoryFiles() });
    assert.throws(() => journal.append(undefined), /record: expected a JSON value, got undefined/);
    const large = 'x'.repeat(MAX_RECORD_BYTES - 2);
    assert.throws(() => journal.append(`${large}x`), /record: expected at most 8388608 bytes of JSON, got 8388609/);
    const fits = MAX_WAITING_BYTES / MAX_RECORD_BYTES;
    const appends = Array.from({ length: fits + 1 }, () => journal.append(large));
    const settled = await Promise.allSettled(appends);
    assert.deepEqual(
      settled.map(({ status }) => status),
      [...Array(fits).fill('fulfilled'), 'rejected'],
    );
    await journal.append(large); // what waited is written: there is room again
  });
});

describe('journal after a crash', () => {
  it('keeps every acknowledged record and whole groups only, wherever the crash falls', async () => {
    const sizes = fc.array(fc.array(fc.nat(1500), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(40), fc.infiniteStream(fc.boolean()), async (groups, steps, coin) => {
        const files = new MemoryFiles();
        files.maxWriteBytes = 700;
        const { journal } = await openJournal(PATH, { files });
        let left = steps;
        files.fault = () => {
          if (left-- === 0) throw new Error('power cut');
        };
        const acknowledged: unknown[] = [];
        const all = groups.flat().map((size, id) => ({ id, text: 'x'.repeat(size) }));
        const queue = [...all];
        for (const group of groups) {
          const mine = queue.splice(0, group.length);
          const results = await Promise.allSettled(mine.map((record) => journal.append(record)));
          results.forEach(({ status }, i) => void (status === 'fulfilled' && acknowledged.push(mine[i])));
        }
        const after = files.crash(() => coin.next().value);
        const { records, journal: reopened } = await openJournal(PATH, { files: after });
        assert.deepEqual(records, all.slice(0, records.length)); // a prefix, in order
        assert.ok(records.length >= acknowledged.length);
        let groupEnd = 0;
        for (const group of groups) if (groupEnd < records.length) groupEnd += group.length;
        assert.equal(records.length, groupEnd, 'half a group');
        await reopened.append('again'); // and it goes on from there
        await reopened.close();
        const again = await openJournal(PATH, { files: after.crash(() => false) });
        assert.deepEqual(again.records, [...records, 'again']);
      }),
      { numRuns: 200 },
    );
  });

  it('cuts off a torn last frame at every length and says how much', async () => {
    const whole = GOLDEN.length;
    const secondFrame = 8 + 8 + 13;
    for (let length = secondFrame + 1; length < whole; length++) {
      const files = holding(GOLDEN.subarray(0, length));
      const { records, tornBytes } = await openJournal(PATH, { files });
      assert.deepEqual(records, [{ round: 1 }]);
      assert.equal(tornBytes, length - secondFrame);
      assert.equal(files.names.get(PATH)?.durable.length, secondFrame);
    }
  });

  it('refuses a flipped bit in any byte that a later frame vouches for', async () => {
    for (let at = 8; at < 29; at++) {
      for (const bit of [1, 128]) {
        const bytes = Buffer.from(GOLDEN);
        bytes[at] ^= bit;
        const files = holding(bytes);
        await assert.rejects(
          openJournal(PATH, { files }),
          corrupt(/bad frame at byte 8, though a good one .* byte 29$/),
        );
        assert.ok(bytes.equals((await files.read(PATH))!), 'a refused journal is left as it was');
      }
    }
  });

  it('refuses a file that is no journal', async () => {
    for (const bytes of ['', 'STARJNL', 'STARJNL2', '{"a":1}\n\n\n']) {
      await assert.rejects(openJournal(PATH, { files: holding(Buffer.from(bytes)) }), corrupt(/expected "STARJNL1"/));
    }
  });

  it('starts anew over the leftovers of a creation that was cut short', async () => {
    const files = new MemoryFiles();
    const half = Buffer.from('STA');
    files.names.set(`${PATH}.tmp`, { content: half, durable: half });
    assert.deepEqual((await openJournal(PATH, { files })).records, []);
  });
});

describe('journal on a failing disk', () => {
  for (const [operation, code, expected] of [
    ['write', 'ENOSPC', 'resource-exhausted'],
    ['write', 'EIO', 'internal'],
    ['datasync', 'EIO', 'internal'],
    ['datasync', 'ENOSPC', 'resource-exhausted'],
  ] as const) {
    it(`stops for good at ${code} on ${operation}, though the disk recovers`, async () => {
      const files = new MemoryFiles();
      const { journal } = await openJournal(PATH, { files });
      await journal.append('kept');
      files.fault = (at) => {
        if (at === operation) throw failure(code, PATH);
      };
      const results = await Promise.allSettled([journal.append('lost'), journal.append('lost too')]);
      files.fault = () => undefined;
      const later = await Promise.allSettled([journal.append('later')]);
      for (const result of [...results, ...later]) {
        assert.equal(result.status, 'rejected');
        assert.ok(result.reason instanceof FlError);
        assert.equal(result.reason.code, expected);
        assert.equal((result.reason.cause as NodeJS.ErrnoException).code, code);
      }
      await journal.close();
      assert.equal(files.openFiles, 0);
      const { records } = await openJournal(PATH, { files: files.crash(() => false) });
      assert.deepEqual(records, ['kept']);
    });
  }

  it('fails rather than loop when writes make no progress', async () => {
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    files.maxWriteBytes = 0;
    await assert.rejects(journal.append(1), /write: expected at least 1 byte/);
  });
});
