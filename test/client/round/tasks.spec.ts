/** A coordinator sends a model whose values no training makes, so that what comes back tells one example from others. */
import assert from 'node:assert/strict';
import { tasksOf } from '../../../client/round/tasks.js';
import { memoryStore } from '../../../client/store/updates.js';
import { planOf } from '../../support/one-client.js';
import { toyModel, toyTrainer } from '../../support/toy.js';

describe('a model with a value', () => {
  function handed(value: number) {
    const asked: string[] = [];
    const trainer = toyTrainer(({ kind }) => void asked.push(kind));
    const { values } = toyModel();
    values[values.length - 1] = value;
    return { asked, tasks: tasksOf({ store: memoryStore(), trainer, client: 'c1' }, async () => values) };
  }

  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1_000_001, -1_000_001]) {
    it(`of ${value} is neither trained nor evaluated`, async () => {
      const { asked, tasks } = handed(value);
      const refused = { code: 'failed-precondition', message: /^model: expected finite values of at most 1000000 / };
      await assert.rejects(tasks.train(planOf(), {}), refused);
      await assert.rejects(tasks.evaluate(planOf({ kind: 'evaluate' }), {}), refused);
      assert.deepEqual(asked, []);
    });
  }

  it('of a million at most is', async () => {
    const { asked, tasks } = handed(-1_000_000);
    await tasks.train(planOf(), {});
    await tasks.evaluate(planOf({ kind: 'evaluate' }), {});
    assert.deepEqual(asked, ['train', 'evaluate']);
  });
});
