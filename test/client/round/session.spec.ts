/**
 * The client's session: one plan at a time, nothing trained twice, nothing forgotten before its last word; each stage
 * with the expected event, the wrong one, one that comes twice or late, and a stream that breaks.
 */
import assert from 'node:assert/strict';
import {
  newSession,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
  step,
} from '../../../client/round/session.js';
import type { Receipt, RoundPlan, TaskKind } from '../../../shared/run/plan.js';
import type { PendingUpdate } from '../../../shared/service.js';

const plan = (round: number, about: { kind?: TaskKind; attempt?: number; run?: string } = {}): RoundPlan => {
  const { kind = 'train', attempt = 1, run = 'r' } = about;
  const rest = { modelSha256: 'm', modelSizeBytes: 8, deadlineMs: 1000, cohort: 3 };
  return { run, kind, round, attempt, ...rest } as RoundPlan;
};
const taskOf = ({ run, kind, round, attempt }: RoundPlan) => ({ run, kind, round, attempt });
const update = (round: number, attempt = 1, sha256 = 'sha'): PendingUpdate => ({ run: 'r', round, attempt, sha256 });
const receipt = ({ run, round, attempt, sha256 }: PendingUpdate, outcome: Receipt['outcome'] = 'committed') => {
  const body = { run, round, attempt, client: 'c', updateSha256: sha256, outcome, modelSha256: 'm' };
  return { kind: 'receipt', receipt: body } as const;
};

const connected = { kind: 'connected' } as const;
const disconnected = { kind: 'disconnected' } as const;
const planned = (one: RoundPlan) => ({ kind: 'plan', plan: one }) as const;
const withdrawn = (one: RoundPlan) => ({ kind: 'withdrawn', task: taskOf(one) }) as const;
const trained = (one: RoundPlan, sha256 = 'sha') => ({ kind: 'trained', task: taskOf(one), sha256 }) as const;
const evaluated = (one: RoundPlan) => ({ kind: 'evaluated', task: taskOf(one), metrics: {} }) as const;
const failed = (one: RoundPlan) => ({ kind: 'failed', task: taskOf(one), detail: 'out of memory' }) as const;

function play(state: SessionState, ...events: SessionEvent[]): [SessionState, SessionEffect[]] {
  const out: SessionEffect[] = [];
  for (const event of events) {
    const [next, effects] = step(state, event);
    const thawed = step(JSON.parse(JSON.stringify(state)), event);
    assert.equal(JSON.stringify(thawed[1]), JSON.stringify(effects), 'the state is plain JSON');
    state = next;
    out.push(...effects);
  }
  return [state, out];
}

/** Effects in short: work 1/1, upload 1/1, send decline. */
function told(effects: readonly SessionEffect[]): string[] {
  return effects.map((effect) => {
    switch (effect.kind) {
      case 'work':
        return `work ${effect.plan.kind} ${effect.plan.round}/${effect.plan.attempt}`;
      case 'cancel':
        return `cancel ${effect.task.kind} ${effect.task.round}/${effect.task.attempt}`;
      case 'send':
        return `send ${effect.frame.kind}`;
      default:
        return `${effect.kind} ${effect.update.round}/${effect.update.attempt}`;
    }
  });
}

const online = (kept: readonly PendingUpdate[] = []) => step(newSession(kept), connected)[0];
const working = () => play(online(), planned(plan(1)))[0];
const keeping = () => play(working(), trained(plan(1)))[0];

describe('a session', () => {
  it('works, keeps, uploads and forgets, in that order', () => {
    const one = plan(1);
    const [state, effects] = play(online(), planned(one), trained(one), receipt(update(1)));
    assert.deepEqual(told(effects), ['work train 1/1', 'upload 1/1', 'forget 1/1']);
    assert.deepEqual(state, online());
  });

  it('answers an evaluation and keeps nothing', () => {
    const one = plan(1, { kind: 'evaluate' });
    const [state, effects] = play(online(), planned(one), evaluated(one));
    assert.deepEqual(told(effects), ['work evaluate 1/1', 'send evaluation']);
    assert.deepEqual(state, online());
  });

  it('says why it does not work: the policy, or a fault', () => {
    const decline = { reason: 'refused', detail: 'policy: min-cohort' } as const;
    const [, declined] = play(online(), { kind: 'plan', plan: plan(1), decline });
    assert.deepEqual(declined, [{ kind: 'send', frame: { kind: 'decline', task: taskOf(plan(1)), ...decline } }]);
    const [state, fault] = play(working(), failed(plan(1)));
    assert.deepEqual(fault, [
      { kind: 'send', frame: { kind: 'decline', task: taskOf(plan(1)), reason: 'failed', detail: 'out of memory' } },
    ]);
    assert.deepEqual(state, online());
  });
});

describe('a session at work', () => {
  it('does not begin again when the plan comes again', () => {
    assert.deepEqual(play(working(), planned(plan(1)), planned(plan(1))), [working(), []]);
  });

  it('works on one plan at a time, those of other runs in the order in which they came', () => {
    const [first, second] = [plan(4, { run: 'x' }), plan(2, { run: 'y' })];
    const [state, effects] = play(working(), planned(first), planned(second), planned(first));
    assert.deepEqual(effects, []);
    assert.deepEqual(state.queue, [first, second]);
    const [, next] = play(state, trained(plan(1)), failed(first));
    assert.deepEqual(told(next), ['upload 1/1', 'work train 4/1', 'send decline', 'work train 2/1']);
  });

  it('drops an older plan of a run when a newer one comes, at work or waiting', () => {
    const [state, effects] = play(working(), planned(plan(1, { attempt: 2 })), trained(plan(1)));
    assert.deepEqual(told(effects), ['cancel train 1/1', 'work train 1/2', 'forget 1/1']);
    assert.deepEqual(state.kept, []);
    const busy = play(online(), planned(plan(9, { run: 'x' })), planned(plan(1)), planned(plan(2)))[0];
    assert.deepEqual(busy.queue, [plan(2)]);
  });

  it('stops when the plan is withdrawn, at work or waiting, and only then', () => {
    const [idle, effects] = play(working(), withdrawn(plan(1)));
    assert.deepEqual(told(effects), ['cancel train 1/1']);
    assert.deepEqual(idle, online());
    const others = [plan(2), plan(1, { attempt: 2 }), plan(1, { run: 'x' }), plan(1, { kind: 'evaluate' })];
    assert.deepEqual(play(working(), ...others.map(withdrawn)), [working(), []]);
    const [queued] = play(working(), planned(plan(3, { run: 'x' })), withdrawn(plan(3, { run: 'x' })));
    assert.deepEqual(queued, working());
  });

  it('forgets what was written although it had been withdrawn, and starts what waits', () => {
    const [, effects] = play(working(), planned(plan(3, { run: 'x' })), withdrawn(plan(1)), trained(plan(1)));
    assert.deepEqual(told(effects), ['cancel train 1/1', 'work train 3/1', 'forget 1/1']);
  });

  it('ignores the end of what it does not work on', () => {
    const other = plan(7);
    assert.deepEqual(play(working(), evaluated(other), failed(other)), [working(), []]);
    assert.deepEqual(play(keeping(), trained(plan(1))), [keeping(), []], 'twice');
  });
});

describe('a session that keeps an update', () => {
  it('sends it when its plan comes again, and does not train', () => {
    assert.deepEqual(play(keeping(), planned(plan(1))), [keeping(), [{ kind: 'upload', update: update(1) }]]);
  });

  it('sends it even if the policy would now forbid the work: it is done', () => {
    const decline = { reason: 'refused', detail: '' } as const;
    assert.deepEqual(told(play(keeping(), { kind: 'plan', plan: plan(1), decline })[1]), ['upload 1/1']);
  });

  it('trains for another attempt, and evaluates the same round', () => {
    assert.deepEqual(told(play(keeping(), planned(plan(1, { attempt: 2 })))[1]), ['work train 1/2']);
    assert.deepEqual(told(play(keeping(), planned(plan(1, { kind: 'evaluate' })))[1]), ['work evaluate 1/1']);
  });

  it('forgets it by its own receipt only, and once', () => {
    const wrong = [update(2), update(1, 2), update(1, 1, 'other'), { ...update(1), run: 'x' }];
    assert.deepEqual(play(keeping(), ...wrong.map((one) => receipt(one))), [keeping(), []]);
    const [state, effects] = play(keeping(), receipt(update(1), 'dropped'), receipt(update(1)));
    assert.deepEqual(told(effects), ['forget 1/1']);
    assert.deepEqual(state.kept, []);
  });

  it('keeps several, of rounds and runs, apart', () => {
    const [state] = play(online([update(1), update(2), { ...update(1), run: 'x' }]), receipt(update(1)));
    assert.deepEqual(state.kept, [update(2), { ...update(1), run: 'x' }]);
  });

  it('does not speak of it by itself when it starts: it is in the hello', () => {
    assert.deepEqual(step(newSession([update(1)]), connected)[1], []);
  });
});

describe('a session whose stream is broken', () => {
  it('works on, and offers what it made when the stream is back, once', () => {
    const [state, effects] = play(working(), disconnected, trained(plan(1)));
    assert.deepEqual(effects, []);
    assert.deepEqual(state.kept, [update(1)]);
    const [back, offer] = play(state, connected);
    assert.deepEqual(told(offer), ['upload 1/1']);
    assert.deepEqual(play(back, disconnected, connected)[1], []);
  });

  it('does not offer what had its last word before the welcome', () => {
    const [, effects] = play(working(), disconnected, trained(plan(1)), receipt(update(1)), connected);
    assert.deepEqual(told(effects), ['forget 1/1']);
  });

  it('says nothing of an evaluation or a fault: the plan comes again, if it is still wanted', () => {
    const one = plan(1, { kind: 'evaluate' });
    const [state, effects] = play(online(), planned(one), disconnected, evaluated(one), connected, planned(one));
    assert.deepEqual(told(effects), ['work evaluate 1/1', 'work evaluate 1/1']);
    assert.deepEqual(state.working, one);
    assert.deepEqual(told(play(working(), disconnected, failed(plan(1)))[1]), []);
  });

  it('does not lose its place: the plan that comes again is the one at work', () => {
    assert.deepEqual(play(working(), disconnected, connected, planned(plan(1))), [working(), []]);
  });
});
