/** The secure aggregation of now: one at a time, and only the last is heard. */
import assert from 'node:assert/strict';
import { CurrentAggregation } from '../../../server/secagg/current.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan, TaskKind } from '../../../shared/run/plan.js';
import { keyOf, SECURE } from '../../secure/hostile-coordinator.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { toySpec } from '../../support/toy.js';

function planOf(names: readonly string[], kind: TaskKind, attempt = 1): RoundPlan {
  const { work } = toySpec();
  const enrolled = Object.fromEntries(names.map((name) => [name, keyOf(name)]));
  return {
    run: 'r',
    kind,
    round: 1,
    attempt,
    modelSha256: '0'.repeat(64),
    modelSizeBytes: 8,
    deadlineMs: 1000,
    cohort: names.length,
    work: { ...work, secure: SECURE },
    secure: { nonce: '0'.repeat(32), enrolled },
  };
}

function newCurrent() {
  const clock = new FakeClock();
  const posted: string[] = [];
  const current = new CurrentAggregation({
    clock,
    rng: rngFromSeed(1),
    engine: toySpec().engine,
    unmasking: { unmask: () => Promise.reject(new Error('there is nothing to unmask')) },
    send: (client, task) => posted.push(`to ${client}, ${task.kind} ${task.attempt}`),
    post: (event) => posted.push(`${event.kind}, ${event.task.kind} ${event.task.attempt}`),
  });
  const open = (plan: RoundPlan) => current.open(plan, rngFromSeed(1));
  return { clock, posted, current, open };
}

describe('the aggregation of now', () => {
  it('ends the one before, of which no more is heard', () => {
    const { clock, posted, current, open } = newCurrent();
    assert.equal(current.maskedBytes, undefined);
    open(planOf(['c1', 'c2', 'c3'], 'train'));
    assert.ok((current.maskedBytes ?? 0) > 0);
    open(planOf(['c1', 'c2', 'c3'], 'train', 2));
    assert.equal(clock.waiting, 1, 'for the second only');
    clock.advance(SECURE.phaseDeadlineMs);
    assert.deepEqual(posted, ['unsecured, train 2']);
  });

  it('that is cancelled says nothing, and takes nothing', () => {
    const { clock, posted, current, open } = newCurrent();
    open(planOf(['c1', 'c2', 'c3'], 'train'));
    current.cancel();
    for (const act of [
      () => current.receive('c1', new Uint8Array(40)),
      () => current.left('c1'),
      () => current.resume('c1'),
    ])
      act();
    clock.advance(10 * SECURE.phaseDeadlineMs);
    assert.deepEqual([clock.waiting, posted, current.maskedBytes], [0, [], undefined]);
    assert.deepEqual([current.takeSum(), current.proofs], [undefined, undefined]);
  });

  it('of a cohort that is too small fails by an event, and the next one begins', async () => {
    const { clock, posted, open } = newCurrent();
    open(planOf(['c1'], 'train'));
    await turns();
    assert.deepEqual(posted, ['unsecured, train 1']);
    open(planOf(['c1', 'c2', 'c3'], 'train', 2));
    assert.equal(clock.waiting, 1);
  });
});
