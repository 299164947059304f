/** A site takes its time over a plan: what the coordinator says meanwhile is heard after the answer, in its order. */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import { turns } from '../../support/hand-fed.js';
import { enterOne, heldTrainer, planOf } from '../../support/one-client.js';

describe('a plan that the site is still deciding on', () => {
  it('is not begun before the answer, and is withdrawn after it', async () => {
    const { trainer, asked } = heldTrainer();
    let answer = (_: undefined) => {};
    const waited = new Promise<undefined>((resolve) => {
      answer = resolve;
    });
    const { coordinator } = await enterOne({ trainer, declineReason: () => waited });
    coordinator.plan(planOf());
    await turns();
    assert.equal(asked.length, 0);
    coordinator.withdraw(planOf());
    await turns();
    answer(undefined);
    await turns();
    assert.deepEqual(coordinator.all('decline'), []);
    assert.ok(asked.every(({ signal }) => signal?.aborted));
    assert.deepEqual(coordinator.all('small-update'), []);
  });

  it('is declined with the words of the answer, and the next plan is asked about by itself', async () => {
    const told: number[] = [];
    const { coordinator, notices } = await enterOne({
      declineReason: async ({ round }) => {
        told.push(round);
        await turns();
        return round === 1 ? { reason: 'refused', detail: 'policy: no' } : undefined;
      },
    });
    coordinator.plan(planOf());
    coordinator.plan(planOf({ round: 2 }));
    for (let i = 0; i < 5; i++) await turns();
    assert.deepEqual(told, [1, 2]);
    assert.deepEqual(
      coordinator.all('decline').map(({ task, detail }) => [task.round, detail]),
      [[1, 'policy: no']],
    );
    assert.deepEqual(
      notices.filter(({ message }) => message === 'plan declined').map(({ fields }) => fields.detail),
      ['policy: no'],
    );
    assert.equal(coordinator.all('small-update').length, 1);
  });

  it('ends the client if the answer fails: nothing may be promised on a disk that does not hold it', async () => {
    const { coordinator, participant } = await enterOne({
      declineReason: () => Promise.reject(new FlError('resource-exhausted', 'runs.jsonl: the disk is full')),
    });
    coordinator.plan(planOf());
    await assert.rejects(participant.done, /the disk is full/);
  });
});
