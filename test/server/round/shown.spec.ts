/**
 * The engine after a restore from a backup: clients show what it has signed. And attempts that fail at once: they are
 * spread over time, where a run with 500 of them was lost in 36 s.
 */
import assert from 'node:assert/strict';
import { backoffMs } from '../../../server/round/moves.js';
import { restore } from '../../../server/round/restore.js';
import type { RoundEvent, RunState } from '../../../server/round/state.js';
import { storedSpec } from '../../../shared/run/spec.js';
import {
  arrived,
  declined,
  evaluated,
  of,
  online,
  plansTo,
  play,
  recordsOf,
  resume,
  start,
  stateAfter,
  stored,
  task,
} from '../../support/rounds.js';
import { toySpec } from '../../support/toy.js';

const shown = (round: number, attempt: number, isCommitted = false) =>
  ({ kind: 'shown', client: 'c', round, attempt, isCommitted }) as const;

/** Three clients are there, and a and b may train. */
const begun = (overrides = {}) => stateAfter(start(overrides), ...online('a', 'b', 'c'));

/** As a journal gives it back. */
function refolded(records: ReturnType<typeof recordsOf>): RunState {
  const { work, engine } = toySpec({ rounds: 2, cohort: 3, minClients: 3, minSurvivors: 2 });
  const created = {
    kind: 'created',
    atMs: 0,
    run: 'r',
    spec: storedSpec({ work, engine }),
    modelSha256: 'm0',
  } as const;
  return restore([created, ...records], 0)[0];
}

describe('a run whose clients have seen attempts that it has forgotten', () => {
  it('draws its next cohort above all of them, and has as many attempts left as ever', () => {
    const [state, effects] = play(start({ maxAttempts: 3 }), shown(1, 400), shown(1, 7), ...online('a', 'b', 'c'));
    assert.deepEqual([state.round, state.attempt, state.firstAttempt], [1, 401, 401]);
    assert.deepEqual(recordsOf(effects), [
      { kind: 'resumed', atMs: 0, nextAttempt: 401 },
      { kind: 'round-started', atMs: 0, round: 1, attempt: 401, cohort: ['a', 'b', 'c'] },
    ]);
    const again = refolded(recordsOf(effects));
    assert.deepEqual([again.attempt, again.firstAttempt], [401, 401], 'after a crash, too');
  });

  it('does so after the attempt under way has failed, when they show it only then', () => {
    const at = (attempt: number) => task('train', 1, attempt);
    const state = stateAfter(
      begun({ maxAttempts: 9 }),
      shown(1, 6),
      ...['a', 'b', 'c'].map((client) => declined(client, 'failed', at(1))),
    );
    assert.deepEqual([state.stage.kind, state.attempt], ['training', 7]);
  });

  it('forgets what was shown with the round', () => {
    const done = stateAfter(begun(), shown(1, 3), ...['a', 'b', 'c'].map((client) => arrived(client)), stored());
    assert.deepEqual([done.round, done.attempt, done.shownAttempt], [2, 1, undefined]);
  });

  it('asks nobody because of it whose policy has refused', () => {
    const refused = declined('c', 'refused');
    const state = stateAfter(begun({ maxAttempts: 9 }), ...online('d'), refused, shown(1, 6));
    const failed = ['a', 'b'].map((client) => declined(client, 'failed'));
    const next = stateAfter(state, ...failed);
    assert.deepEqual([next.attempt, Object.keys(next.refused)], [7, ['c']]);
    assert.deepEqual(next.stage.kind === 'training' && next.stage.cohort.names, ['a', 'b', 'd']);
  });

  it('is not moved by what it knows itself', () => {
    const state = begun();
    for (const known of [shown(1, 1), shown(1, 0)]) assert.equal(stateAfter(state, known), state);
  });
});

describe('a run whose clients have seen a round in a model that it has forgotten', () => {
  const proofs: readonly [string, RoundEvent['kind'] extends never ? never : ReturnType<typeof shown>][] = [
    ['a plan to evaluate it', shown(1, 1, true)],
    ['its ledger head', shown(1, 0, true)],
    ['a plan of the round after it', shown(2, 1)],
  ];
  for (const [what, proof] of proofs) {
    it(`ends before it makes it twice, by ${what}`, () => {
      for (const state of [start(), begun()]) {
        const [ended, effects] = play(state, proof, ...online('a', 'b', 'c'));
        assert.deepEqual([ended.stage.kind, ended.status], ['ended', 'failed']);
        assert.match(ended.reason, /^round 1 is in a model, by this coordinator's own signature, which c has shown; /);
        assert.match(ended.reason, /these data know of 0: .* older backup/);
        assert.match(ended.reason, /initial-model: models\/m0\.safetensors of this run's folder, its first model$/);
        assert.deepEqual(plansTo(effects), [], 'nobody is asked');
        assert.equal(stateAfter(ended, resume), ended, 'and nobody resumes it');
      }
    });
  }

  it('knows its own rounds', () => {
    const evaluating = stateAfter(
      begun({ evaluateEvery: 1 }),
      ...['a', 'b', 'c'].map((client) => arrived(client)),
      stored(),
    );
    assert.equal(evaluating.stage.kind, 'evaluating');
    assert.equal(stateAfter(evaluating, shown(1, 1, true)), evaluating);
    const next = stateAfter(evaluating, ...['a', 'b', 'c'].map((client) => evaluated(client)));
    assert.equal(stateAfter(next, shown(1, 0, true)), next);
    assert.equal(stateAfter(next, shown(2, 1)), next);
  });
});

describe('a run that has ended', () => {
  it('knows its last round when it is complete, and the last that was shown when it was forgotten', () => {
    const made = stateAfter(begun({ rounds: 1 }), ...['a', 'b', 'c'].map((client) => arrived(client)), stored());
    const complete = stateAfter(made, ...['a', 'b', 'c'].map((client) => evaluated(client)));
    assert.equal(complete.status, 'completed');
    assert.equal(stateAfter(complete, shown(1, 0, true)), complete);
    const ended = stateAfter(begun(), shown(3, 0, true));
    assert.equal(stateAfter(ended, shown(1, 0, true)), ended);
    assert.deepEqual(ended.forgotten, { client: 'c', round: 3 });
  });
});

describe('attempts that fail at once', () => {
  it('are two in a breath, and then further and further apart: 500 of them take eight hours', () => {
    assert.deepEqual(
      [1, 2, 3, 4, 5, 9, 10, 500].map(backoffMs),
      [0, 0, 1e3, 2e3, 4e3, 6.4e4, 6e4, 6e4].map((ms) => Math.min(ms, 6e4)),
    );
    let state = begun({ maxAttempts: 500 });
    let atMs = 0;
    let attempts = 0;
    while (state.stage.kind !== 'ended') {
      attempts++;
      const at = task('train', 1, state.attempt);
      const failed = ['a', 'b', 'c'].map((client) => ({ ...declined(client, 'failed', at), atMs }));
      const [next, effects] = play(state, ...failed);
      state = next;
      if (next.stage.kind !== 'waiting') continue;
      const timer = of(effects, 'timer').at(-1)!;
      assert.equal(stateAfter(next, { kind: 'online', client: 'd', atMs: timer.atMs - 1 }).stage.kind, 'waiting');
      atMs = timer.atMs;
      state = stateAfter(next, { kind: 'timer', id: timer.id, atMs: atMs - 1 }); // a timer may be early
    }
    assert.equal(attempts, 500);
    assert.ok(atMs > 8 * 3_600_000, `${atMs} ms`); // 1 + 2 + 4 + 8 + 16 + 32 s, and 491 times 60 s
  });

  it('wait no longer for an attempt that took its time', () => {
    let state = begun({ maxAttempts: 9 });
    for (let attempt = 1; attempt <= 4; attempt++) {
      const at = task('train', 1, attempt);
      const atMs = attempt * 100_000;
      state = stateAfter(state, ...['a', 'b', 'c'].map((client) => ({ ...declined(client, 'failed', at), atMs })));
      assert.equal(state.stage.kind, 'training', `after attempt ${attempt}`);
    }
  });
});
