/** What waits for a journal's disk, what a group holds, and what is checked before a byte is changed. */
import assert from 'node:assert/strict';
import { openJournal, parseJournal } from '../../../server/journal/journal.js';
import { turns } from '../../support/hand-fed.js';
import { failure, MemoryFiles } from './memory-files.js';

const PATH = 'run/journal.log';
const MIB = 'x'.repeat(1 << 20);

/** Opened files whose fdatasyncs wait for the test. */
function slowFiles() {
  const files = new MemoryFiles();
  const syncs: { resolve(): void; reject(error: Error): void }[] = [];
  const closed: string[] = [];
  const open = files.open.bind(files);
  files.open = async (path, mode) => {
    const file = await open(path, mode);
    return {
      ...file,
      async datasync() {
        if (mode === 'existing') await new Promise<void>((resolve, reject) => syncs.push({ resolve, reject }));
        await file.datasync();
      },
      async close() {
        closed.push(path);
        await file.close();
      },
    };
  };
  return { files, syncs, closed };
}

describe('a journal whose disk is slow', () => {
  it('closes when what was appended is durable, and not before', async () => {
    const { files, syncs, closed } = slowFiles();
    const { journal } = await openJournal(PATH, { files });
    closed.length = 0; // of the creation
    const appended = journal.append({ round: 1 });
    const closing = journal.close();
    await turns();
    assert.deepEqual([syncs.length, closed], [1, []]);
    syncs[0].resolve();
    await Promise.all([appended, closing]);
    assert.deepEqual(closed, [PATH]);
    await assert.rejects(journal.append({ round: 2 }), { code: 'failed-precondition' });
  });

  it('fails whoever waits behind a group that fails, and is not left waiting', async () => {
    const { files, syncs } = slowFiles();
    const { journal } = await openJournal(PATH, { files });
    const fates: string[] = [];
    const watch = (name: string, append: Promise<void>) =>
      append.then(
        () => fates.push(`${name} durable`),
        ({ code }) => fates.push(`${name} ${code}`),
      );
    void watch('first', journal.append({ round: 1 }));
    await turns();
    void watch('second', journal.append({ round: 2 }));
    syncs[0].reject(failure('ENOSPC', PATH));
    await turns();
    assert.deepEqual(fates, ['first resource-exhausted', 'second resource-exhausted']);
    await watch('third', journal.append({ round: 3 }));
    assert.equal(fates.at(-1), 'third resource-exhausted');
  });

  it('writes a MiB and what completes it in one group, and what comes after in the next', async () => {
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    const before = files.datasyncs;
    await Promise.all([MIB, MIB, 'small'].map((record) => journal.append(record)));
    assert.equal(files.datasyncs - before, 3);
    await Promise.all(['small', MIB, 'small'].map((record) => journal.append(record)));
    assert.equal(files.datasyncs - before, 5, 'what stands before it goes with it');
    assert.equal(parseJournal((await files.read(PATH))!).records.length, 6);
  });
});

describe('a journal that is opened again', () => {
  /** One record, and a frame that a crash has cut. */
  async function torn(): Promise<{ files: MemoryFiles; content: Uint8Array }> {
    const files = new MemoryFiles();
    const { journal } = await openJournal(PATH, { files });
    await journal.append({ round: 1 });
    await journal.close();
    const whole = (await files.read(PATH))!;
    const content = Buffer.concat([whole, Uint8Array.of(9, 0, 0, 0, 1)]);
    files.names.set(PATH, { content, durable: content });
    return { files, content };
  }

  it('shows what it holds before a byte is changed, and is left alone when that is refused', async () => {
    const { files, content } = await torn();
    const seen: unknown[] = [];
    const check = (records: readonly unknown[]) => {
      seen.push(...records);
      throw new Error('of another run');
    };
    await assert.rejects(openJournal(PATH, { files, check }), /of another run/);
    assert.deepEqual([seen, files.openFiles], [[{ round: 1 }], 0]);
    assert.deepEqual(Buffer.from((await files.read(PATH))!), content);
    assert.equal((await openJournal(PATH, { files, check: () => undefined })).tornBytes, 5);
  });

  it('has a durable name, though its creation was cut short before the folder was synced', async () => {
    const files = new MemoryFiles();
    files.fault = (operation, path) => {
      if (operation === 'syncDirectory') throw failure('EIO', path);
    };
    await assert.rejects(openJournal(PATH, { files }));
    files.fault = () => undefined;
    const { journal } = await openJournal(PATH, { files });
    await journal.append({ round: 1 });
    const after = files.crash(() => false);
    assert.deepEqual((await openJournal(PATH, { files: after })).records, [{ round: 1 }]);
  });
});
