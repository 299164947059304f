import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../../server/journal/journal.js';
import { openModels } from '../../../server/journal/models.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { failure, MemoryFiles } from './memory-files.js';

const model = (value: number) => packTensors({ w: { shape: [2], data: Float32Array.of(value, -value) } });
const ONE = model(1);
const hash = sha256Of(ONE);
const file = encode(ONE, { round: '1' });

describe('models', () => {
  it('keeps a model under the hash of its parameters, whatever its metadata', async () => {
    const store = await openModels('models', { files: new MemoryFiles() });
    assert.equal(store.has(hash), false);
    await Promise.all([store.put(file, hash), store.put(encode(ONE, { round: '2' }), hash)]);
    assert.equal(store.has(hash), true);
    assert.deepEqual(await store.get(hash), file);
    assert.deepEqual(await store.load(hash, { expect: ONE.layout }), { params: ONE, metadata: { round: '1' } });
  });

  it('has a model for good once put resolves, and never half of one', async () => {
    for (const operation of ['write', 'datasync', 'rename', 'syncDirectory', 'none'] as const) {
      const files = new MemoryFiles();
      const store = await openModels('models', { files });
      files.fault = (at) => {
        if (at === operation) throw failure('EIO', at);
      };
      const put = await Promise.allSettled([store.put(file, hash)]);
      assert.equal(put[0].status, operation === 'none' ? 'fulfilled' : 'rejected');
      assert.equal(store.has(hash), operation === 'none');
      for (const survives of [true, false]) {
        const again = await openModels('models', { files: files.crash(() => survives) });
        if (operation === 'none') assert.ok(again.has(hash));
        if (again.has(hash)) assert.deepEqual((await again.load(hash)).params, ONE);
      }
    }
  });

  it('can put again after a failure', async () => {
    const files = new MemoryFiles();
    const store = await openModels('models', { files });
    files.fault = (at) => {
      if (at === 'write') throw failure('ENOSPC', at);
    };
    await assert.rejects(store.put(file, hash), { code: 'resource-exhausted' });
    files.fault = () => undefined;
    await store.put(file, hash);
    assert.deepEqual(await store.get(hash), file);
  });

  it('clears half-written files on opening', async () => {
    const files = new MemoryFiles();
    files.names.set(`models/${hash}.safetensors.tmp`, { content: file, durable: file });
    const store = await openModels('models', { files });
    assert.equal(store.has(hash), false);
    assert.deepEqual(await files.list('models'), []);
  });

  it('tells damage and absence apart, and takes nothing but a hash for a name', async () => {
    const files = new MemoryFiles();
    const store = await openModels('models', { files });
    await assert.rejects(store.get(hash), { code: 'not-found' });
    await store.put(encode(model(2)), hash);
    await assert.rejects(store.load(hash), { code: 'corrupt', message: /its parameters hash to/ });
    for (const name of ['../x', hash.toUpperCase(), `${hash}0`]) {
      await assert.rejects(store.get(name), /sha256: expected 64 lower-case hex digits/);
    }
  });

  it('removes all but the models to keep', async () => {
    const store = await openModels('models', { files: new MemoryFiles() });
    const models = [1, 2, 3].map(model);
    for (const params of models) await store.put(encode(params), sha256Of(params));
    const removed = await store.prune(new Set([hash, 'f'.repeat(64)]));
    assert.deepEqual(removed, models.slice(1).map(sha256Of).sort());
    assert.deepEqual(
      models.map((params) => store.has(sha256Of(params))),
      [true, false, false],
    );
  });
});

describe('journal and models on a real disk', () => {
  it('are there again after closing and opening', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'starling-journal-'));
    try {
      const path = join(directory, 'journal.log');
      const { journal } = await openJournal(path);
      const store = await openModels(join(directory, 'models'));
      await store.put(file, hash);
      await Promise.all([journal.append({ round: 1, model: hash }), journal.append(2)]);
      await journal.close();
      const again = await openJournal(path);
      await again.journal.close();
      assert.deepEqual(again.records, [{ round: 1, model: hash }, 2]);
      assert.deepEqual((await (await openModels(join(directory, 'models'))).load(hash)).params, ONE);
      assert.deepEqual(readdirSync(directory).sort(), ['journal.log', 'models']);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
