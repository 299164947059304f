import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Opening } from '../../../client/round/differencing.js';
import { fileOpenings, memberIdOf, memoryOpenings, OPENINGS_FILE } from '../../../client/store/openings.js';

const idOf = (name: string) => memberIdOf(new TextEncoder().encode(name));

function opening(members: string, model = 'a'): Opening {
  const ids = members.split('').map(idOf);
  return { kind: 'train', modelSha256: model.repeat(64), own: ids[0], members: ids.sort(), isNoised: false };
}

const ONE_APART = { kind: 'differs', labs: 1 };

describe('what a home has helped to open', () => {
  let directory: string;
  const path = () => join(directory, OPENINGS_FILE);
  const open = () => fileOpenings(path());

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-openings-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  for (const [where, make] of [
    ['in memory', async () => memoryOpenings()],
    ['on disk', open],
  ] as const) {
    it(`is what was admitted and nothing that was asked or declined, ${where}`, async () => {
      const openings = await make();
      assert.equal(await openings.conflict(opening('abcd'), 2), undefined);
      assert.equal(await openings.admit(opening('abc'), 2), undefined, 'asking left nothing behind');
      assert.deepEqual(await openings.admit(opening('abcd'), 2), ONE_APART);
      assert.deepEqual(await openings.conflict(opening('ab'), 2), ONE_APART);
      assert.equal(await openings.admit(opening('abcd', 'b'), 2), undefined);
      assert.equal(await openings.admit(opening('abcde', 'a'), 2), undefined, 'two from abc, and abcd never was');
    });
  }

  it('is there for the next process, and for one that runs beside this one', async () => {
    const [first, second] = [await open(), await open()];
    await first.admit(opening('abc'), 2);
    assert.deepEqual(await second.admit(opening('abcd'), 2), ONE_APART);
    assert.deepEqual(await (await open()).admit(opening('abcd'), 2), ONE_APART);
  });

  it('grows by no line for a sum that is there', async () => {
    const openings = await open();
    await openings.admit(opening('abc'), 2);
    const { size } = await stat(path());
    await openings.admit(opening('abc'), 2);
    await (await open()).admit(opening('abc'), 2);
    assert.equal((await stat(path())).size, size + 2, 'the empty line of an open');
  });

  it('is one of two that conflict, however many processes ask at once', async () => {
    const processes = await Promise.all(Array.from({ length: 12 }, open));
    const sets = processes.map((_, i) => opening(i % 2 ? 'abcd' : 'abc'));
    const found = await Promise.all(processes.map((one, i) => one.admit(sets[i], 2)));
    const admitted = new Set(sets.filter((_, i) => found[i] === undefined).map(({ members }) => members.length));
    assert.equal(admitted.size, 1, 'the first line of the file goes on, and never both');
    const later = await open();
    const [three, four] = [await later.conflict(opening('abc'), 2), await later.conflict(opening('abcd'), 2)];
    assert.deepEqual([three, four], admitted.has(3) ? [undefined, ONE_APART] : [ONE_APART, undefined]);
  });

  it('is not spoilt by a line that a crash cut short, nor is the line after it', async () => {
    await (await open()).admit(opening('abc'), 2);
    await appendFile(path(), '\n{"claim":"x","is');
    const openings = await open();
    assert.deepEqual(await openings.conflict(opening('abcd'), 2), ONE_APART);
    await openings.admit(opening('abc', 'b'), 2);
    assert.deepEqual(await (await open()).conflict(opening('abcd', 'b'), 2), ONE_APART);
  });

  it('is not appended to when it was cut under a running client', async () => {
    const openings = await open();
    for (const model of ['a', 'b', 'c', 'd']) await openings.admit(opening('abc', model), 2);
    await openings.conflict(opening('abc'), 2);
    await truncate(path(), 0);
    await assert.rejects(openings.admit(opening('abc', 'e'), 2), { code: 'corrupt' });
  });

  it('names no lab', async () => {
    await (await open()).admit(opening('abc'), 2);
    const text = await readFile(path(), 'utf8');
    assert.equal((await stat(path())).mode & 0o777, 0o600);
    assert.ok(text.length < 400, `${text.length} bytes for three labs`);
  });
});
