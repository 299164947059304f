/** One contract, two stores; and what a file store makes of a crash and of files that are not its own. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientStore, fileStore, memoryStore } from '../../../client/store/updates.js';
import { sha256Hex } from '../../../shared/signing/identity.js';
import { bytesOf } from '../../../shared/tensors/bytes.js';
import type { HostTensors } from '../../../shared/tensors/params.js';

function update(round: number, values: readonly number[], attempt = 1) {
  const bytes = bytesOf(Float32Array.from(values));
  const header = {
    ...{ run: 'run-1', round, attempt, sha256: sha256Hex(bytes), sizeBytes: bytes.length },
    ...{ weights: [3, 0.5], metrics: { loss: { sum: [1.25], count: 3 } } },
  };
  return { header, bytes };
}
const pendingOf = ({ header: { run, round, attempt, sha256 } }: ReturnType<typeof update>) => {
  return { run, round, attempt, sha256 };
};
const tensors = (value: number): HostTensors => ({ head: { shape: [2], data: Float32Array.of(value, -value) } });
const firstOf = (tensors: HostTensors | undefined) => tensors?.head.data[0];

const directories = new WeakMap<ClientStore, string>();
async function onDisk(directory?: string): Promise<ClientStore> {
  const folder = directory ?? (await mkdtemp(join(tmpdir(), 'starling-store-')));
  const store = await fileStore(folder);
  directories.set(store, folder);
  return store;
}

const stores: Record<string, () => Promise<ClientStore>> = {
  'in memory': async () => memoryStore(),
  'on disk': () => onDisk(),
};

for (const [where, open] of Object.entries(stores)) {
  describe(`a client's store ${where}`, () => {
    it('gives back what it keeps, bit for bit, until it is forgotten', async () => {
      const store = await open();
      assert.deepEqual(await store.list(), []);
      const first = update(1, [1, -0, 2 ** -149, 3e38]);
      const second = update(2, []);
      await store.keep(first);
      await store.keep(second);
      assert.deepEqual(await store.list(), [pendingOf(first), pendingOf(second)]);
      assert.deepEqual(await store.read(pendingOf(first)), first);
      assert.deepEqual(await store.read(pendingOf(second)), second);
      for (const one of [first, second]) {
        await store.forget(pendingOf(one));
        await assert.rejects(store.read(pendingOf(one)), { code: 'not-found' });
      }
      assert.deepEqual(await store.list(), []);
    });

    it('keeps bytes of any length, as an encoding makes them', async () => {
      const store = await open();
      const { header } = update(1, [1]);
      const bytes = Uint8Array.of(0x0a, 7, 0xff); // a line feed too, which ends the header in a file
      const one = { header: { ...header, sha256: sha256Hex(bytes), sizeBytes: 3 }, bytes };
      await store.keep(one);
      assert.deepEqual(await store.read(pendingOf(one)), one);
    });

    it('keeps one update of each attempt, the last', async () => {
      const store = await open();
      const other = update(1, [2]);
      for (const one of [update(1, [1]), other, update(1, [3], 2)]) await store.keep(one);
      assert.deepEqual(await store.read(pendingOf(other)), other);
      assert.equal((await store.list()).length, 2);
    });

    it('may be told twice to forget', async () => {
      const store = await open();
      const one = update(1, [1]);
      await store.keep(one);
      await store.forget(pendingOf(one));
      await store.forget(pendingOf(one));
      assert.deepEqual(await store.list(), []);
    });

    it('says not-found for what it does not keep', async () => {
      const store = await open();
      await assert.rejects(store.read(pendingOf(update(1, [1]))), { code: 'not-found' });
    });

    it('has no private tensors before the first round, and for each round those of the last round before', async () => {
      const store = await open();
      assert.equal(await store.privateTensorsBefore('run-1', 1), undefined);
      await store.keepPrivateTensors('run-1', 1, tensors(10));
      await store.keepPrivateTensors('run-1', 2, tensors(20));
      assert.equal(await store.privateTensorsBefore('run-1', 1), undefined);
      assert.deepEqual(await store.privateTensorsBefore('run-1', 2), tensors(10));
      assert.deepEqual(await store.privateTensorsBefore('run-1', 3), tensors(20));
      assert.equal(await store.privateTensorsBefore('run-2', 3), undefined, 'of another run');
    });

    it('still has the private tensors from before a round that is trained again, however long ago they are', async () => {
      const store = await open();
      await store.keepPrivateTensors('run-1', 3, tensors(30));
      await store.keepPrivateTensors('run-1', 9, tensors(90)); // not drawn in between; then a crash before the update was kept
      assert.equal(firstOf(await store.privateTensorsBefore('run-1', 9)), 30);
      await store.keepPrivateTensors('run-1', 9, tensors(91));
      assert.equal(firstOf(await store.privateTensorsBefore('run-1', 9)), 30);
      assert.equal(firstOf(await store.privateTensorsBefore('run-1', 10)), 91);
    });

    it('lists the same in any order of rounds', async () => {
      const store = await open();
      for (const round of [10, 9]) await store.keepPrivateTensors('run-1', round, tensors(round));
      assert.equal(firstOf(await store.privateTensorsBefore('run-1', 11)), 10, 'numbers, not texts');
    });
  });
}

describe('a store on disk', () => {
  it('is found again by the next process', async () => {
    const store = await onDisk();
    const one = update(4, [1, 2, 3]);
    await store.keepPrivateTensors('run-1', 4, tensors(7));
    await store.keep(one);
    const next = await onDisk(directories.get(store));
    assert.deepEqual(await next.list(), [pendingOf(one)]);
    assert.deepEqual(await next.read(pendingOf(one)), one);
    assert.equal(firstOf(await next.privateTensorsBefore('run-1', 5)), 7);
  });

  it('has the update that it kept last beside its file: the very numbers, without a look at the disk', async () => {
    const store = await onDisk();
    const [first, second] = [update(1, [1]), update(2, [2])];
    await store.keep(first);
    await store.keep(second);
    await rm(join(directories.get(store)!, 'updates'), { recursive: true });
    assert.equal((await store.read(pendingOf(second))).bytes, second.bytes);
    await assert.rejects(store.read(pendingOf(first)), { code: 'not-found' }, 'one update, not all of them');
  });

  it('does not have in memory what the disk did not take', async () => {
    const store = await onDisk();
    const updates = join(directories.get(store)!, 'updates');
    await rm(updates, { recursive: true });
    await assert.rejects(store.keep(update(1, [1])), { message: /ENOENT/ });
    await assert.rejects(store.read(pendingOf(update(1, [1]))), { code: 'not-found' });
  });

  it('forgets private tensors that no round can need', async () => {
    const store = await onDisk();
    for (const round of [1, 2, 3, 4]) await store.keepPrivateTensors('run-1', round, tensors(round));
    const files = await readdir(join(directories.get(store)!, 'own'));
    assert.deepEqual(files.sort(), ['run-1.3.safetensors', 'run-1.4.safetensors']);
  });

  it('does not mind a file that a crash left half written, nor files that are not its own', async () => {
    const store = await onDisk();
    const folder = directories.get(store)!;
    await writeFile(join(folder, 'updates', 'run-1.1.1.update.tmp'), 'half');
    await writeFile(join(folder, 'updates', '.DS_Store'), 'x');
    for (const name of [
      'run-1.5.safetensors.tmp',
      'run-1.x.safetensors',
      'run-1..safetensors',
      'run-1.1e1.safetensors',
    ]) {
      await writeFile(join(folder, 'own', name), 'x');
    }
    await store.keepPrivateTensors('run-1', 2, tensors(2));
    assert.deepEqual(await store.list(), []);
    assert.equal(firstOf(await store.privateTensorsBefore('run-1', 99)), 2);
    await store.keep(update(1, [1]));
    assert.equal((await store.list()).length, 1);
  });

  it('names the file when an update is damaged', async () => {
    const damage: ((file: Buffer) => Uint8Array)[] = [
      () => Buffer.from(''),
      () => Buffer.from('no header'),
      () => Buffer.from('{}\n'),
      () => Buffer.from('null\n'),
      (file) => file.subarray(0, -1), // cut
      (file) => Buffer.concat([file, Buffer.alloc(4)]), // longer
      (file) => file.fill(file[file.length - 1] ^ 1, file.length - 1), // one bit
    ];
    for (const [index, spoil] of damage.entries()) {
      const before = await onDisk();
      const one = update(1, [1, 2, 3]);
      await before.keep(one);
      const store = await onDisk(directories.get(before));
      const path = join(directories.get(store)!, 'updates', 'run-1.1.1.update');
      await writeFile(path, spoil(await readFile(path)));
      const expected = (error: { code?: string; message: string }) =>
        error.code === 'corrupt' && error.message.includes(path);
      await assert.rejects(store.list(), expected, `damage ${index}`);
      await assert.rejects(store.read(pendingOf(one)), expected, `damage ${index}`);
    }
  });
});

describe("a client's store where nothing is sent twice", () => {
  it('gives the bytes of an update away, and keeps its name until it is forgotten', async () => {
    const store = memoryStore({ readOnce: true });
    const kept = update(1, [1, 2]);
    await store.keep(kept);
    assert.deepEqual(await store.read(pendingOf(kept)), kept);
    assert.equal((await store.read(pendingOf(kept))).bytes.length, 0);
    assert.deepEqual(await store.list(), [pendingOf(kept)]);
    await store.forget(pendingOf(kept));
    assert.deepEqual(await store.list(), []);
  });
});
