/** A lab that answers nothing, for ever: what it costs a run in time, and that it stops none. */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../../server/journal/records.js';
import { restore } from '../../../server/round/restore.js';
import type { Effect, RunState } from '../../../server/round/state.js';
import type { EngineSpec } from '../../../shared/run/spec.js';
import { arrived, declined, evaluated, of, online, play, SPEC, start, stored, task } from '../../support/rounds.js';

const DEADLINE_MS = 600_000;
const SECOND_MS = 1_000;

interface Story {
  readonly state: RunState;
  readonly records: RunRecord[];
  /** From the first event to the last. */
  readonly tookMs: number;
  readonly cohorts: string[];
}

/** What the shell writes into the journal. */
function journalled(effects: readonly Effect[]): RunRecord[] {
  return effects.flatMap((effect): RunRecord[] => {
    if (effect.kind === 'record') return [effect.record];
    if (effect.kind !== 'round-ended') return [];
    const summary = { ...effect.draft, bytesUp: 0, bytesDown: 0 };
    return [{ kind: 'round-ended', atMs: 0, summary, ...effect.evaluation }];
  });
}

/**
 * A run to its end: whoever is asked answers a second later, except that `silent` never do; when nothing else is to come,
 * the timer fires. @param from the records of an earlier process
 */
function live(
  overrides: Partial<EngineSpec>,
  silent: (client: string, state: RunState) => boolean,
  clients = ['a', 'b', 'c'],
): Story {
  const spec = { ...SPEC, deadlineMs: DEADLINE_MS, evaluateEvery: 1, ...overrides };
  let state = start(spec);
  let atMs = 0;
  const records: RunRecord[] = [
    { kind: 'created', atMs: 0, run: 'r', spec: { engine: spec, work: {} } as never, modelSha256: 'm0' },
  ];
  let pending: { kind: string; client: string; round: number; attempt: number }[] = [];
  let due: { id: string; atMs: number } | undefined;
  const take = (event: Parameters<typeof play>[1]) => {
    const [next, effects] = play(state, { ...event, atMs });
    state = next;
    records.push(...journalled(effects));
    for (const { client, task: kind, round, attempt } of of(effects, 'plan')) {
      if (!silent(client, next)) pending.push({ kind, client, round, attempt });
    }
    for (const { id, atMs: dueMs } of of(effects, 'timer')) due = { id, atMs: dueMs };
    for (const { round, attempt } of of(effects, 'commit')) take(stored(round, attempt, `m${round}`));
  };
  for (const event of online(...clients)) take(event);
  while (state.status === 'running') {
    const answer = pending.shift();
    if (answer !== undefined) {
      const { kind, client, round, attempt } = answer;
      if (pending.length === 0) atMs += SECOND_MS;
      if (kind === 'train') take(arrived(client, { round, attempt, sha: `${client}${round}/${attempt}` }));
      else take(evaluated(client, task('evaluate', round, attempt)));
      continue;
    }
    assert.ok(due, 'nothing is waited for, and the run has not ended');
    atMs = Math.max(atMs, due.atMs);
    const { id } = due;
    due = undefined;
    pending = [];
    take({ kind: 'timer', id });
  }
  const cohorts = records.flatMap((record) => (record.kind === 'round-started' ? [record.cohort.join('')] : []));
  return { state, records, tookMs: atMs, cohorts };
}

const neverAnswers = (silentOne: string) => (client: string) => client === silentOne;

describe('a lab that is silent for ever', () => {
  it('costs a run of twenty rounds six deadlines, where it cost forty', () => {
    const { state, tookMs, cohorts } = live({ rounds: 20 }, neverAnswers('c'));
    assert.equal(state.status, 'completed');
    // late in round 1: passed over in 2; late in 3: in 4 and 5; in 6: in 7 to 10; in 11: in 12 to 19; then in 20
    const asked = cohorts.flatMap((cohort, index) => (cohort.includes('c') ? [index + 1] : []));
    assert.deepEqual(asked, [1, 3, 6, 11, 20]);
    const seconds = Math.ceil(tookMs / SECOND_MS);
    // five rounds and the last evaluation, which asks everybody, wait 600 s; a round and an evaluation take 2 s besides
    assert.ok(seconds >= 6 * 600 && seconds <= 6 * 600 + 40, `${seconds} s`);
  });

  it('is asked again within 33 rounds, however long it was silent, and as often as ever once it answers', () => {
    const { cohorts } = live({ rounds: 300 }, (client, { round }) => client === 'c' && round < 200);
    const asked = cohorts.flatMap((cohort, index) => (cohort.includes('c') ? [index + 1] : []));
    const gaps = asked.slice(1).map((round, index) => round - asked[index]);
    assert.deepEqual(gaps.slice(0, 8), [2, 3, 5, 9, 17, 33, 33, 33]);
    assert.ok(asked.length > 90 && gaps.slice(asked.findIndex((round) => round >= 200)).every((gap) => gap === 1));
  });

  it('is asked when there are too few without it: in a repeated attempt, and below the least survivors', () => {
    // b fails in round 2, in which c is passed over: the attempt is repeated with all three
    const { state, cohorts } = live({ rounds: 2, evaluateEvery: 0 }, (client, { round, attempt }) => {
      return client === 'c' ? round === 1 : client === 'b' && round === 2 && attempt === 1;
    });
    assert.equal(state.status, 'completed');
    assert.deepEqual(cohorts, ['abc', 'ab', 'abc']);
    const all = live({ rounds: 3, minSurvivors: 3, maxAttempts: 2 }, neverAnswers('c'));
    assert.deepEqual(all.cohorts, ['abc', 'abc']); // nobody can be spared: as it was
    assert.equal(all.state.status, 'failed');
  });

  it('makes no secure cohort smaller than three, and no site declines what it followed before', () => {
    const { cohorts } = live({ rounds: 2, minSurvivors: 2, secure: false, evaluateEvery: 0 }, neverAnswers('c'));
    assert.deepEqual(cohorts, ['abc', 'ab']);
    const spec = { ...SPEC, secure: true, minSurvivors: 2, rounds: 2, deadlineMs: 1 };
    const late = { c: { took: 0, train: { times: 1, round: 1 } } };
    const [, effects] = play({ ...start(spec), round: 2, attendances: late }, ...online('a', 'b', 'c'));
    assert.deepEqual(of(effects, 'open-secure')[0].cohort, ['a', 'b', 'c']);
    const [, four] = play(
      { ...start({ ...spec, minClients: 4, cohort: 4 }), round: 2, attendances: late },
      ...online('a', 'b', 'c', 'd'),
    );
    assert.deepEqual(of(four, 'open-secure')[0].cohort, ['a', 'b', 'd']);
  });

  it('is late in evaluations alone: it still trains in every round', () => {
    const { cohorts, tookMs } = live(
      { rounds: 20 },
      (client, { stage }) => client === 'c' && stage.kind === 'evaluating',
    );
    assert.deepEqual(new Set(cohorts), new Set(['abc']));
    assert.ok(tookMs < 7 * DEADLINE_MS, `${tookMs} ms`);
  });

  it('is decided the same after a restart, at every record', () => {
    const { records } = live({ rounds: 12 }, neverAnswers('c'));
    const opened = records.flatMap((record, index) => (record.kind === 'round-started' ? [index] : []));
    for (const index of opened.slice(1)) {
      // a process that ends just before the cohort is drawn: the next one draws it
      const [state] = restore(records.slice(0, index), 0);
      const [, effects] = play(state, ...online('a', 'b', 'c'));
      const drawn = of(effects, 'record').flatMap(({ record }) =>
        record.kind === 'round-started' ? [record.cohort] : [],
      );
      assert.deepEqual(drawn[0], (records[index] as { cohort: readonly string[] }).cohort, `record ${index}`);
    }
  });

  it('is late after a restart, too, in an attempt that came to nothing and in an evaluation', () => {
    const { records, state } = live({ rounds: 2, minSurvivors: 3, maxAttempts: 2 }, neverAnswers('c'));
    const aborted = records.findLastIndex(({ kind }) => kind === 'round-aborted');
    assert.deepEqual(restore(records.slice(0, aborted + 1), 0)[0].attendances, state.attendances);
    assert.deepEqual(state.attendances, { c: { took: 0, train: { times: 2, round: 1 } } });
    const judged = live({ rounds: 1 }, (client, { stage }) => client === 'c' && stage.kind === 'evaluating');
    const [again] = restore(judged.records, 0);
    assert.deepEqual(again.attendances, judged.state.attendances);
    assert.deepEqual(again.attendances.c, { took: 1, evaluate: { times: 1, round: 1 } });
  });

  it('is not what a lab is that declines, or is only away', () => {
    const [state] = play(start({ evaluateEvery: 0 }), ...online('a', 'b', 'c'), declined('c', 'failed'));
    assert.deepEqual(state.attendances, {});
  });
});
