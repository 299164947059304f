/** A file of lines: what was whole stays, what was cut short goes, and each line is durable when it is said to be. */
import assert from 'node:assert/strict';
import { openLines } from '../../../shared/disk/lines.js';
import { failure, MemoryFiles } from '../../server/journal/memory-files.js';

const PATH = '/home/lines';
const bytes = (text: string) => Buffer.from(text);

function disk(text?: string): MemoryFiles {
  const files = new MemoryFiles();
  const content = text === undefined ? undefined : new Uint8Array(bytes(text));
  if (content !== undefined) files.names.set(PATH, { content, durable: content });
  return files;
}
const durable = (files: MemoryFiles) => Buffer.from(files.names.get(PATH)!.durable).toString();

describe('a file of lines', () => {
  it('is begun empty, its name durable, and grows by whole lines in the order of the calls', async () => {
    const files = disk();
    const { content, lines } = await openLines(PATH, { files });
    assert.deepEqual([content.length, durable(files), files.durableNames.has(PATH)], [0, '', true]);
    files.maxWriteBytes = 2;
    await Promise.all(['one\n', 'two\n', 'three\n'].map((line) => lines.append(bytes(line))));
    assert.deepEqual([durable(files), files.openFiles], ['one\ntwo\nthree\n', 0]);
  });

  it('loses what a crash cut short, however much longer that was than the next line', async () => {
    const files = disk(`one\n${'x'.repeat(100)}`);
    const { content, lines } = await openLines(PATH, { files });
    assert.deepEqual([Buffer.from(content).toString(), durable(files)], ['one\n', 'one\n']);
    await lines.append(bytes('two\n'));
    assert.equal(durable(files), 'one\ntwo\n');
  });

  it('keeps what its owner says is whole, and is not touched when that says it is damaged', async () => {
    const files = disk('one\ntwo\nthree\n');
    await openLines(PATH, { files, wholeBytes: () => 4 });
    assert.equal(durable(files), 'one\n');
    const damaged = disk('one\ntw');
    const refuse = () => {
      throw new RangeError('damaged');
    };
    await assert.rejects(openLines(PATH, { files: damaged, wholeBytes: refuse }), /damaged/);
    assert.deepEqual([durable(damaged), damaged.datasyncs, damaged.openFiles], ['one\ntw', 0, 0]);
  });

  it('says when the disk failed, and writes the next line over what that has left', async () => {
    const files = disk('one\n');
    const { lines } = await openLines(PATH, { files });
    files.fault = (operation) => {
      if (operation === 'datasync') throw failure('ENOSPC', PATH);
    };
    await assert.rejects(lines.append(bytes(`${'x'.repeat(100)}\n`)), { code: 'resource-exhausted' });
    files.fault = () => undefined;
    await lines.append(bytes('two\n'));
    assert.deepEqual([durable(files), files.openFiles], ['one\ntwo\n', 0]);
  });
});
