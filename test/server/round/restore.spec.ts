/** Crashes: the state of a run between any two steps, and after every prefix of its journal. */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../../server/journal/records.js';
import { memberOf } from '../../../server/round/cohort.js';
import { restore } from '../../../server/round/restore.js';
import type { Effect, RoundEvent, RunState } from '../../../server/round/state.js';
import { compacted } from '../../../server/run/run-journal.js';
import type { StoredRunSpec } from '../../../shared/run/spec.js';
import { assertCheckpointsHold } from '../../support/checkpoints.js';
import {
  arrived,
  committing,
  declined,
  evaluated,
  of,
  online,
  plansTo,
  play,
  recordsOf,
  resume,
  SPEC,
  start,
  stateAfter,
  stop,
  stored,
  task,
  timer,
  type Untimed,
} from '../../support/rounds.js';

/** A story with an abort, a drop-out, an evaluation, a stop and a resume, over two rounds. */
const STORY: Untimed<RoundEvent>[] = [
  ...online('a', 'b', 'c'),
  arrived('a'),
  timer('training/1/1'),
  arrived('a', { attempt: 2, sha: 'a2' }),
  stop,
  resume,
  arrived('a', { attempt: 3, sha: 'a3', metrics: { loss: { sum: [4], count: 2 } } }),
  { kind: 'offline', client: 'b' },
  declined('c', 'failed', task('train', 1, 3)),
  ...online('b'),
  arrived('b', { attempt: 3, sha: 'b3' }),
  stored(1, 3),
  evaluated('a', task('evaluate', 1, 3), { loss: { sum: [1], count: 1 } }),
  declined('b', 'failed', task('evaluate', 1, 3)),
  timer('evaluating/1/3'),
  arrived('a', { round: 2 }),
  arrived('b', { round: 2 }),
  arrived('c', { round: 2 }),
  stored(2),
  ...['a', 'b', 'c'].map((name) => evaluated(name, task('evaluate', 2))),
];

/** Effects as the shell carries them out, as far as the journal goes. */
function journalOf(effects: readonly Effect[]): RunRecord[] {
  return effects.flatMap((effect): RunRecord[] => {
    if (effect.kind === 'record') return [effect.record];
    if (effect.kind !== 'round-ended') return [];
    const summary = { ...effect.draft, bytesUp: 0, bytesDown: 0 };
    return [{ kind: 'round-ended', atMs: 0, summary, pooled: {}, perClient: {} }];
  });
}

/** Plays on with clients that answer at once, until nothing moves; returns the state and the records. */
function playOn(state: RunState, effects: readonly Effect[]): [RunState, RunRecord[]] {
  const records = journalOf(effects);
  const queue = answersTo(effects);
  for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
    const [next, more] = play(state, event);
    state = next;
    records.push(...journalOf(more));
    queue.push(...answersTo(more));
  }
  return [state, records];
}

function answersTo(effects: readonly Effect[]): Untimed<RoundEvent>[] {
  return effects.flatMap((effect): Untimed<RoundEvent>[] => {
    if (effect.kind === 'commit') return [stored(effect.round, effect.attempt)];
    if (effect.kind !== 'plan') return [];
    const { client, task: kind, round, attempt } = effect;
    if (kind === 'evaluate') return [evaluated(client, task('evaluate', round, attempt))];
    return [arrived(client, { round, attempt })];
  });
}

describe('the state of a run', () => {
  const created: Extract<RunRecord, { kind: 'created' }> = {
    kind: 'created',
    atMs: 0,
    run: 'r',
    spec: { work: {}, engine: { ...SPEC, evaluateEvery: 1 } } as unknown as StoredRunSpec,
    modelSha256: 'm0',
  };

  it('is plain JSON between any two steps', () => {
    let plain = start({ evaluateEvery: 1 });
    let thawed = plain;
    for (const event of STORY) {
      const [next, effects] = play(plain, event);
      const [same, sameEffects] = play(thawed, JSON.parse(JSON.stringify(event)));
      assert.deepEqual(same, next);
      assert.deepEqual(sameEffects, effects);
      plain = next;
      thawed = JSON.parse(JSON.stringify(same)) as RunState;
      assert.deepEqual(thawed, plain);
    }
    assert.equal(plain.status, 'completed');
  });

  it('is found again after every prefix of the journal, and the run goes on to the same end', () => {
    const [, effects] = play(start({ evaluateEvery: 1 }), ...STORY);
    const journal: RunRecord[] = [created, ...journalOf(effects)];
    assert.deepEqual(
      journal.map(({ kind }) => kind),
      [
        'created',
        'round-started',
        'round-aborted',
        'round-started',
        'ended',
        'resumed',
        'round-started',
        'committed',
      ].concat(['round-ended', 'round-started', 'committed', 'round-ended', 'ended']),
    );
    for (let length = 1; length <= journal.length; length++) {
      const prefix = JSON.parse(JSON.stringify(journal.slice(0, length))) as RunRecord[];
      const [state, first] = restore(prefix, 0);
      assert.deepEqual(restore(prefix, 0), [state, first], 'a pure function');
      const [met, answers] = play(state, resume, ...online('a', 'b', 'c'));
      const [end, more] = playOn(met, [...first, ...answers]);
      assert.equal(end.status, 'completed', `after ${length} records: ${JSON.stringify(end.stage)}`);
      const commits = [...prefix, ...more].filter((record) => record.kind === 'committed');
      assert.deepEqual(
        commits.map(({ round }) => round),
        [1, 2],
      );
      const { attempt } = state;
      const known = prefix.reduce(
        (last, record) => ('attempt' in record && state.round === record.round ? record.attempt : last),
        0,
      );
      assert.ok(attempt >= known, 'an attempt never comes again after it was given up');
    }
  });

  it('is the same when a checkpoint takes the place of its first records', () => {
    const [, effects] = play(start({ evaluateEvery: 1 }), ...STORY);
    const journal: RunRecord[] = [created, ...journalOf(effects)];
    for (let length = 1; length <= journal.length; length++) assertCheckpointsHold(journal.slice(0, length));
    const [head] = [compacted(journal, { round: 2, lineSha256: '', modelSha256: '', sizeBytes: 0 }).head];
    assert.throws(() => restore([...head, head[1]], 0), /a "checkpoint" that is not second/);
  });

  it('asks the same cohort again after a crash in training, with a new deadline', () => {
    const records: RunRecord[] = [
      created,
      { kind: 'round-started', atMs: 0, round: 1, attempt: 1, cohort: ['a', 'b', 'c'] },
    ];
    const [state, effects] = restore(records, 5000);
    assert.deepEqual(plansTo(effects), [], 'nobody is here yet');
    assert.deepEqual(of(effects, 'timer'), [{ kind: 'timer', id: 'training/1/1', atMs: 6000 }]);
    const [next, plans] = play(state, ...online('a', 'x'));
    assert.deepEqual(plansTo(plans), ['a train']);
    assert.ok(next.stage.kind === 'training' && memberOf(next.stage.cohort, 'a')?.status === 'invited');
  });

  it('does not train again what is committed, and evaluates it', () => {
    const [, effects] = play(committing({ evaluateEvery: 1 }), stored());
    const [state] = restore([created, ...recordsOf(effects)], 5000);
    assert.deepEqual([state.round, state.modelSha256, state.stage.kind], [1, 'm1', 'committed']);
    assert.deepEqual(plansTo(play(state, ...online('a', 'b', 'c'))[1]), ['a evaluate', 'b evaluate', 'c evaluate']);
  });

  it('keeps the value range that a clamped round has left, and who trained and is away is missing', () => {
    const engine = { secure: true, evaluateEvery: 1, minClients: 2 };
    const sum = { survivors: ['a', 'b'], pooled: {}, nextValueRange: 8 };
    const secured = { kind: 'secured', task: task('train'), ...sum } as const;
    const [live, effects] = play(start(engine), ...online('a', 'b', 'c'), secured, stored());
    const spec = { ...created.spec, engine: { ...created.spec.engine, ...engine } } as StoredRunSpec;
    const [state] = restore([{ ...created, spec } as RunRecord, ...recordsOf(effects)], 5000);
    assert.deepEqual([live.valueRange, state.valueRange], [8, 8]);
    const [, after] = play(state, ...online('a', 'c'));
    const [, closed] = play(stateAfter(state, ...online('a', 'c')), {
      kind: 'unsecured',
      task: task('evaluate', 1, 2),
      detail: 'why',
    });
    assert.ok(plansTo(after).length > 0);
    const ended = closed.find((effect) => effect.kind === 'round-ended');
    const missing = ended?.kind === 'round-ended' ? ended.draft.evaluated?.missing : undefined;
    assert.deepEqual(
      missing?.map(({ client, reason }) => `${client} ${reason}`),
      ['b offline', 'a round-aborted', 'c round-aborted'],
    );
  });

  it('does not try an aborted attempt again, for its updates were given up', () => {
    const [, effects] = play(start(), ...online('a', 'b', 'c'), arrived('a'), timer('training/1/1'));
    const records = [created, ...recordsOf(effects)];
    const end = records.findIndex(({ kind }) => kind === 'round-aborted') + 1;
    assert.ok(end > 1);
    const [state] = restore(records.slice(0, end), 0);
    assert.deepEqual([state.round, state.attempt, state.stage.kind], [1, 2, 'waiting']);
  });

  it('starts a secure round over, with new keys, which the journal says', () => {
    const spec = { ...created.spec, engine: { ...created.spec.engine, secure: true } } as StoredRunSpec;
    const started: RunRecord = { kind: 'round-started', atMs: 0, round: 1, attempt: 1, cohort: ['a', 'b', 'c'] };
    const [state, effects] = restore([{ ...created, spec } as RunRecord, started], 5);
    assert.deepEqual(recordsOf(effects), [{ kind: 'resumed', atMs: 5 }]);
    assert.deepEqual([state.round, state.attempt, state.stage.kind], [1, 2, 'waiting']);
  });

  it('stays ended, and says nothing', () => {
    const ended: RunRecord = { kind: 'ended', atMs: 3, status: 'failed', reason: 'why' };
    const [state, effects] = restore([created, ended], 5000);
    assert.deepEqual([state.status, state.reason, state.stage.kind], ['failed', 'why', 'ended']);
    assert.deepEqual(effects, []);
    assert.equal(play(state, ...online('a', 'b', 'c'))[0].stage.kind, 'ended');
  });

  it('is not made of a journal that does not begin with the beginning, or has two', () => {
    const expected = { code: 'corrupt' };
    assert.throws(() => restore([], 0), expected);
    assert.throws(() => restore([{ kind: 'resumed', atMs: 0 }], 0), expected);
    assert.throws(() => restore([created, created], 0), expected);
  });
});
