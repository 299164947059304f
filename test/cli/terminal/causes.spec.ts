import assert from 'node:assert/strict';
import { createCauses } from '../../../cli/terminal/causes.js';

describe('causes in a simulation', () => {
  it('are told once each, with whom they befell and how often', () => {
    const causes = createCauses();
    causes.add('c2', { round: 1, cause: 'loss is not finite at step 1 of round 1: lower client-lr' });
    causes.add('c1', { round: 1, cause: 'loss is not finite at step 1 of round 1: lower client-lr' });
    causes.add('c3', { message: 'no images\u001b[2J here' });
    causes.add('c3', { reason: 'a plan that was ignored' });
    assert.deepEqual(causes.lines(), [
      'c2, c1: loss is not finite at step 1 of round 1: lower client-lr (2 times)',
      'c3: no images\ufffd[2J here',
    ]);
  });

  it('say of who dropped out that it did, and name no more than five', () => {
    const causes = createCauses();
    for (let i = 1; i <= 7; i++) causes.add(`c${i}`, { reason: 'dropout', detail: 'simulated by --dropout' });
    assert.deepEqual(causes.lines(), ['c1, c2, c3, c4, c5 and 2 more: dropped out (simulated by --dropout) (7 times)']);
  });

  it('are what the live line says of who failed, where the coordinator was told less', () => {
    const causes = createCauses();
    const dropped = {
      kind: 'dropped',
      atMs: 1,
      round: 1,
      client: 'c2',
      reason: 'failed',
      detail: 'not finite',
    } as const;
    assert.deepEqual(causes.told(dropped), dropped);
    causes.add('c2', { message: 'an input of example 404 is NaN (x)' });
    assert.deepEqual(causes.told(dropped), { ...dropped, detail: 'an input of example 404 is NaN (x)' });
    assert.deepEqual(causes.told({ ...dropped, client: 'c1' }), { ...dropped, client: 'c1' });
    assert.deepEqual(causes.told({ ...dropped, reason: 'deadline' }), { ...dropped, reason: 'deadline' });
  });
});
