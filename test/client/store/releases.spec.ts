import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileReleases, memoryReleases, type ReleaseName, type ReleaseStore } from '../../../client/store/releases.js';

const nameOf = (round: number, attempt = 1, id = `${round}`): ReleaseName => {
  return { run: 'r', round, attempt, id, isByAggregation: false };
};
const released = (value: number) => ({ values: Float32Array.of(value, -0, 3), weights: [1, 0], metrics: {} });

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'starling-releases-'));
});
afterEach(() => rm(directory, { recursive: true }));

const file = () => join(directory, 'r.release');

/** `again` is the store as the next process has it. */
const STORES: Record<string, () => Promise<{ store: ReleaseStore; again: () => Promise<ReleaseStore> }>> = {
  async 'in memory'() {
    const store = memoryReleases();
    return { store, again: async () => store };
  },
  async 'on disk'() {
    return { store: await fileReleases(directory), again: () => fileReleases(directory) };
  },
};

for (const [where, open] of Object.entries(STORES)) {
  describe(`what a client has released (${where})`, () => {
    it('is found under its name alone, bit for bit', async () => {
      const { store, again } = await open();
      assert.equal(await store.find(nameOf(1)), undefined);
      assert.deepEqual(await store.keep(nameOf(1), released(7)), released(7));
      for (const one of [store, await again()]) {
        assert.deepEqual(await one.find(nameOf(1, 5)), released(7), 'whichever attempt asks');
        assert.equal(await one.find(nameOf(1, 1, 'other')), undefined);
        assert.equal(await one.find({ ...nameOf(1), run: 's' }), undefined);
      }
    });

    it('is the first that was kept under a name, whoever is slower', async () => {
      const { store, again } = await open();
      const [first, second] = await Promise.all([
        store.keep(nameOf(1), released(1)),
        store.keep(nameOf(1), released(2)),
      ]);
      assert.deepEqual([first, second], [released(1), released(1)]);
      assert.deepEqual(await (await again()).find(nameOf(1)), released(1));
    });

    it('goes forwards only, by round and attempt, for each run by itself', async () => {
      const { store, again } = await open();
      await store.keep(nameOf(3, 2), released(1));
      for (const one of [store, await again()]) {
        assert.match(one.refusalOf(nameOf(2))!, /^run r: round 2 attempt 1 is asked for after round 3 attempt 2 /);
        assert.match(one.refusalOf(nameOf(3, 1, 'other'))!, /after round 3 attempt 2 had its release/);
        assert.match(one.refusalOf(nameOf(3, 2, 'other'))!, /a second time with another model, work or clipping bound/);
        const allowed = [nameOf(3, 1), nameOf(3, 3, 'other'), nameOf(4), { ...nameOf(1), run: 's' }];
        assert.deepEqual(
          allowed.map((name) => one.refusalOf(name)),
          Array(4).fill(undefined),
        );
        assert.equal(one.refusalOf({ ...nameOf(3, 2, 'other'), isByAggregation: true }), undefined);
        await assert.rejects(one.keep(nameOf(2), released(1)), /failed-precondition|only forwards/);
      }
      await store.keep(nameOf(4), released(4));
      assert.equal(await store.find(nameOf(3, 2)), undefined, 'what was before is gone');
    });

    it('is erased when its round is over, and its place in the run is not', async () => {
      const { store, again } = await open();
      await store.keep(nameOf(3), released(1));
      await store.settle('r', 2);
      assert.deepEqual(await store.find(nameOf(3)), released(1));
      await store.settle('r', 3);
      await store.settle('r', 3);
      await store.settle('never heard of', 3);
      for (const one of [store, await again()]) {
        assert.equal(await one.find(nameOf(3)), undefined);
        assert.match(
          one.refusalOf(nameOf(3, 2))!,
          /round 3 attempt 2 is asked for after round 3 attempt 1 came into a model/,
        );
        assert.equal(one.refusalOf(nameOf(4)), undefined);
      }
    });
  });
}

describe('what a client has released, on disk', () => {
  it('is one file a run, that its owner alone may read; without values once they are settled', async () => {
    const store = await fileReleases(directory);
    for (const round of [1, 2, 3]) await store.keep(nameOf(round), released(round));
    await writeFile(`${file()}.1.0.tmp`, 'half of something');
    await fileReleases(directory);
    assert.deepEqual(await readdir(directory), ['r.release']);
    assert.equal((await stat(file())).mode & 0o777, 0o600);
    await store.settle('r', 3);
    assert.equal(await readFile(file(), 'utf8'), '{"attempt":1,"id":"3","isSettled":true,"round":3}\n');
  });

  it('may be drawn again when the disk did not take it, and is not found', async () => {
    const store = await fileReleases(directory);
    await rm(directory, { recursive: true });
    await assert.rejects(store.keep(nameOf(1), released(1)), /ENOENT/);
    assert.equal(await store.find(nameOf(1)), undefined);
    await fileReleases(directory);
    assert.deepEqual(await store.keep(nameOf(1), released(2)), released(2));
    assert.deepEqual(await (await fileReleases(directory)).find(nameOf(1)), released(2));
  });

  it('is not found with any byte changed, and says which file it is', async () => {
    await (await fileReleases(directory)).keep(nameOf(1), released(1));
    const whole = await readFile(file());
    for (let at = whole.indexOf(0x0a); at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed[at] ^= 1;
      await writeFile(file(), changed);
      await assert.rejects(fileReleases(directory), /r\.release: damaged/, `byte ${at}`);
    }
  });
});

describe('what a virtual client has released', () => {
  it('is where its run stands, and no values: they follow from the seed', async () => {
    const store = memoryReleases({ withValues: false });
    await store.keep(nameOf(3), released(1));
    assert.equal(await store.find(nameOf(3)), undefined);
    assert.equal(store.refusalOf(nameOf(3)), undefined);
    assert.match(store.refusalOf(nameOf(2))!, /only forwards/);
  });
});
