/** What a client remembers of its aggregations: an id once used is used for good, and a vector goes forwards only. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileSecaggStore, memorySecaggStore, type SecaggStore } from '../../../client/store/secagg.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'starling-secagg-'));
});
afterEach(() => rm(directory, { recursive: true }));

const task = (round: number, attempt = 1, kind: 'train' | 'evaluate' = 'train') => ({ run: 'r', kind, round, attempt });

/** `again` is the store as the next process has it. */
const STORES: Record<string, () => Promise<{ store: SecaggStore; again: () => Promise<SecaggStore> }>> = {
  async 'in memory'() {
    const store = memorySecaggStore();
    return { store, again: async () => store };
  },
  async 'on disk'() {
    return { store: await fileSecaggStore(directory), again: () => fileSecaggStore(directory) };
  },
};

for (const [where, open] of Object.entries(STORES)) {
  describe(`aggregations of a client (${where})`, () => {
    it('are used once they were begun, and the last one has its state', async () => {
      const { store, again } = await open();
      assert.deepEqual(await store.find('one'), { used: false });
      await store.keep('one', 'keys');
      assert.deepEqual(await (await again()).find('one'), { used: true, state: 'keys' });
      await store.keep('two', 'other keys');
      await store.keep('two', 'shares');
      for (const now of [store, await again()]) {
        assert.deepEqual(await now.find('one'), { used: true });
        assert.deepEqual(await now.find('two'), { used: true, state: 'shares' });
      }
      await store.keep('one', 'late');
      assert.deepEqual(await store.find('two'), { used: true, state: 'shares' }, 'an older one does not come back');
    });

    it('have one vector for each task, which goes forwards only', async () => {
      const { store, again } = await open();
      assert.equal(await store.bind('one', task(2, 2)), true);
      for (const now of [store, await again()]) {
        assert.equal(now.mayMask('one', task(2, 2)), true, 'the same again');
        for (const [round, attempt, may] of [
          [1, 9, false],
          [2, 1, false],
          [2, 2, false],
          [2, 3, true],
          [3, 1, true],
        ] as const) {
          assert.equal(now.mayMask('other', task(round, attempt)), may, `round ${round} attempt ${attempt}`);
        }
        assert.equal(now.mayMask('other', task(1, 1, 'evaluate')), true, 'an evaluation has its own');
        assert.equal(now.mayMask('other', { ...task(1), run: 's' }), true, 'so has another run');
      }
      assert.equal(await store.bind('other', task(2, 2)), false);
      assert.equal(await (await again()).bind('other', task(2, 2)), false);
      assert.equal(await store.bind('other', task(2, 3)), true);
      assert.equal((await again()).mayMask('one', task(2, 2)), false);
    });
  });
}

describe('what an aggregation writes', () => {
  it('writes a line for each, and not all that ever were', async () => {
    const store = await fileSecaggStore(directory);
    const ids = () => stat(join(directory, 'used-aggregations'));
    const { ino } = await ids();
    for (let round = 1; round <= 9; round++) {
      await store.keep(`${round}`, 'state');
      await store.keep(`${round}`, 'later state');
    }
    const { ino: now, size } = await ids();
    assert.deepEqual([now, size], [ino, 18], 'the same file, nine lines of two bytes');
  });

  it('is on the disk when it is said to be, every time', async () => {
    const store = await fileSecaggStore(directory);
    for (let round = 1; round <= 5; round++) {
      await store.keep(`${round}`, 'state');
      assert.deepEqual(await (await fileSecaggStore(directory)).find(`${round}`), { used: true, state: 'state' });
      await store.bind(`${round}`, task(round));
      assert.equal((await fileSecaggStore(directory)).mayMask('other', task(round)), false);
    }
  });
});

describe('the state of an aggregation, where there is a key file', () => {
  const saved = process.env.STARLING_KEY_FILE;
  beforeEach(async () => {
    await writeFile(join(directory, 'key'), 'a passphrase', { mode: 0o600 });
  });
  afterEach(() => {
    if (saved === undefined) delete process.env.STARLING_KEY_FILE;
    else process.env.STARLING_KEY_FILE = saved;
  });
  const use = (name: string) => {
    process.env.STARLING_KEY_FILE = join(directory, name);
  };
  const folder = () => join(directory, 'secure');
  const hasInTheClear = async (secret: string) => {
    const files = await Promise.all((await readdir(folder())).map((name) => readFile(join(folder(), name))));
    return files.some((bytes) => bytes.includes(secret));
  };

  it('is nowhere in the clear, goes on by that file, and is refused without it', async () => {
    await (await fileSecaggStore(folder())).keep('one', 'keys of before');
    assert.equal(await hasInTheClear('keys of before'), true);
    use('key');
    const store = await fileSecaggStore(folder());
    assert.deepEqual(await store.find('one'), { used: true, state: 'keys of before' });
    assert.equal(await hasInTheClear('keys of before'), false, 'sealed when it was read');
    await store.keep('two', 'keys and shares');
    assert.equal(await hasInTheClear('keys and shares'), false);
    assert.deepEqual(await (await fileSecaggStore(folder())).find('two'), { used: true, state: 'keys and shares' });
    delete process.env.STARLING_KEY_FILE;
    await assert.rejects(fileSecaggStore(folder()), {
      ...{ code: 'invalid-argument', message: /current-aggregation\.json is sealed by, got none/ },
    });
  });
});
