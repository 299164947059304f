/** The model of a run on the disk: what a restart finds of it, and what is given out. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModels } from '../../../server/journal/models.js';
import { advanceModel, nextModel, openModel, piecesOf } from '../../../server/run/model.js';
import { parseStrategy } from '../../../server/strategies/index.js';
import { CHUNK_BYTES } from '../../../shared/service.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { encode } from '../../../shared/tensors/safetensors.js';

const vector = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
const MODEL = packTensors({ a: vector(1, 2), b: vector(3) });

describe('a model that was moved', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-model-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('goes on after a restart with the moments and scalars that it had', async () => {
    for (const text of ['fed-adam', 'fed-avgm:momentum=0.5']) {
      const strategy = parseStrategy(text);
      const models = await openModels(join(directory, text, 'models'));
      const about = { directory: join(directory, text), layout: MODEL.layout, strategy };
      await models.put(encode(MODEL), sha256Of(MODEL));
      const start = await openModel(models, { ...about, sha256: sha256Of(MODEL), isMoved: false });
      const mean = packTensors({ 'update/a': vector(0.5, -1), 'update/b': vector(2) });
      const moved = await advanceModel(start, mean, { models, directory: about.directory, strategy, round: 1 });
      assert.notDeepEqual(moved.strategyState, start.strategyState);
      const again = await openModel(await openModels(join(directory, text, 'models')), {
        ...about,
        sha256: moved.sha256,
        isMoved: true,
      });
      assert.deepEqual(again.strategyState, moved.strategyState);
      assert.deepEqual(again.params.values, moved.params.values);
    }
  });

  it('is moved in the tensors that the update holds, wherever these lie in it', () => {
    const strategy = parseStrategy('fedavg');
    const start = { params: MODEL, strategyState: strategy.init(3) };
    const mean = packTensors({ 'update/b': vector(10), 'update/a': vector(20, 30) });
    assert.deepEqual([...nextModel(start, mean, { strategy, round: 1 }).params.values], [21, 32, 13]);
    const some = packTensors({ 'update/b': vector(10) });
    assert.deepEqual([...nextModel(start, some, { strategy, round: 1 }).params.values], [1, 2, 13]);
  });

  it('is not taken when any of its numbers is not finite', () => {
    const strategy = parseStrategy('fedavg');
    const start = { params: MODEL, strategyState: strategy.init(3) };
    for (let at = 0; at < 3; at++) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const values = [0, 0, 0].with(at, bad);
        const mean = packTensors({ 'update/a': vector(values[0], values[1]), 'update/b': vector(values[2]) });
        assert.throws(() => nextModel(start, mean, { strategy, round: 4 }), {
          code: 'aborted',
          message: `round 4: the new model is not finite at element ${at}`,
        });
      }
    }
  });
});

describe('the file of a model', () => {
  const file = new Uint8Array(2 * CHUNK_BYTES + 3).map((_, i) => i % 251);
  const model = { sha256: 'a'.repeat(64), file };
  const from = (offset: number, sha256 = model.sha256) => [...piecesOf(model, { sha256, offset })];

  it('is given out from any byte on, to its end and not beyond', () => {
    for (const offset of [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 2]) {
      assert.deepEqual(Buffer.concat(from(offset)), Buffer.from(file.subarray(offset)));
    }
    assert.deepEqual(from(file.length), []);
    assert.throws(() => from(file.length + 1), { code: 'invalid-argument', message: /^offset: expected at most / });
  });

  it('is not given out for another', () => {
    assert.throws(() => from(0, 'b'.repeat(64)), { code: 'not-found', message: /^model b+ is not the one of this/ });
  });
});
