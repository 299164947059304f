import assert from 'node:assert/strict';
import { createCauses } from '../../../cli/terminal/causes.js';

describe('causes in a simulation', () => {
  it('are told once each, with who was first and how often', () => {
    const causes = createCauses();
    causes.add('c2', { round: 1, cause: 'loss is not finite at step 1 of round 1: lower client-lr' });
    causes.add('c1', { round: 1, cause: 'loss is not finite at step 1 of round 1: lower client-lr' });
    causes.add('c3', { message: 'no images\u001b[2J here' });
    causes.add('c3', { reason: 'a plan that was ignored' });
    assert.deepEqual(causes.lines(), [
      'c2: loss is not finite at step 1 of round 1: lower client-lr (2 times)',
      'c3: no images\ufffd[2J here',
    ]);
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
