/** The budget of a run: asked before each round, charged once whatever crashes, and what is left of it in the journal. */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../../server/journal/records.js';
import { restore } from '../../../server/round/restore.js';
import { type Effect, initialState, type RunState } from '../../../server/round/state.js';
import { costOf, epsilonAfter } from '../../../shared/run/privacy-cost.js';
import type { StoredRunSpec, WorkSpec } from '../../../shared/run/spec.js';
import { charge, epsilonOf, spendingOf } from '../../../shared/run/spending.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { assertCheckpointsHold } from '../../support/checkpoints.js';
import { arrived, evaluated, of, online, play, recordsOf, SPEC, stored, task, timer } from '../../support/rounds.js';

const MODEL = [{ name: 'w', shape: [4] }];
const ENGINE = { ...SPEC, rounds: 5, maxAttempts: 3 };

function work(epsilonBudget?: number): WorkSpec {
  return {
    workload: 'w',
    scale: 'smoke',
    hyper: {},
    partition: 'iid',
    seed: 1,
    rounds: 5,
    model: MODEL,
    training: {
      localSteps: 1,
      batchSize: 1,
      clientLr: 1,
      momentum: 0,
      weightDecay: 0,
      gradientClipNorm: 0,
      lrSchedule: 'constant',
      proximalMu: 0,
    },
    phases: [{ name: 'train', channels: [updateChannel(MODEL)] }],
    privacy: {
      mode: 'central',
      clippingBound: 1,
      noiseMultiplier: 4,
      delta: 1e-5,
      cohortMax: 3,
      ...(epsilonBudget !== undefined && { epsilonBudget }),
    },
  };
}

const COST = costOf(work())!;
/** Room for two rounds and not for three. */
const BUDGET = (epsilonAfter(COST, 2) + epsilonAfter(COST, 3)) / 2;
const CREATED: RunRecord = {
  kind: 'created',
  atMs: 0,
  run: 'r',
  modelSha256: 'm0',
  spec: { work: work(BUDGET), engine: ENGINE } as StoredRunSpec,
};

const begin = (budget = BUDGET) => initialState('r', ENGINE, 'm0', spendingOf(work(budget)));

/** Clients that answer at once; returns the state when nothing moves, and all records. */
function playOn(state: RunState, effects: readonly Effect[]): [RunState, RunRecord[]] {
  const records: RunRecord[] = [];
  let pending = [...effects];
  for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) {
    let more: Effect[] = [];
    if (effect.kind === 'record') records.push(effect.record);
    else if (effect.kind === 'round-ended') {
      const summary = { ...effect.draft, bytesUp: 0, bytesDown: 0 };
      records.push({ kind: 'round-ended', atMs: 0, summary, pooled: {}, perClient: {} });
    } else if (effect.kind === 'commit') [state, more] = play(state, stored(effect.round, effect.attempt));
    else if (effect.kind === 'plan') {
      const { client, round, attempt } = effect;
      const isTraining = effect.task === 'train';
      const answer = isTraining
        ? arrived(client, { round, attempt })
        : evaluated(client, task('evaluate', round, attempt));
      [state, more] = play(state, answer);
    }
    pending = [...pending, ...more];
  }
  return [state, records];
}

describe('the privacy of a run', () => {
  it('ends the run exactly before the round that would cross the budget', () => {
    const [state, records] = playOn(...play(begin(), ...online('a', 'b', 'c')));
    assert.equal(state.status, 'budget-exhausted');
    assert.match(state.reason, /round 3 would take epsilon of one client from .* the budget is/);
    const committed = records.flatMap((record) => (record.kind === 'committed' ? record : []));
    assert.deepEqual(
      committed.map(({ draft }) => draft.epsilon),
      [epsilonAfter(COST, 1), epsilonAfter(COST, 2)],
    );
    assert.ok(records.every((record) => record.kind !== 'round-started' || record.round < 3));
  });

  it('allows what reaches the budget exactly', () => {
    const [state] = playOn(...play(begin(epsilonAfter(COST, 2)), ...online('a', 'b', 'c')));
    assert.deepEqual([state.status, state.round], ['budget-exhausted', 3]);
  });

  it('has spent the same when it ends, wherever it was killed', () => {
    const [end, rest] = playOn(...play(begin(), ...online('a', 'b', 'c')));
    const journal = [CREATED, ...rest];
    for (let length = 1; length <= journal.length; length++) {
      const [state, effects] = restore(journal.slice(0, length), 0);
      const [again, more] = play(state, ...online('a', 'b', 'c'));
      const [ended] = playOn(again, [...effects, ...more]);
      assert.equal(ended.status, 'budget-exhausted', `after ${length} records`);
      assert.deepEqual(ended.spending, end.spending, `after ${length} records`);
    }
  });

  it('has spent the same when a checkpoint takes the place of what it did', () => {
    const [, records] = playOn(...play(begin(), ...online('a', 'b', 'c')));
    assertCheckpointsHold([CREATED, ...records]);
    assertCheckpointsHold([CREATED, ...records.slice(0, -1)]); // before the end that the budget brings
  });

  it('charges a client once for a round that is repeated, and whoever was invited to any attempt', () => {
    const spec = { ...ENGINE, cohort: 2, minClients: 2 };
    const first = play(initialState('r', spec, 'm0', spendingOf(work())), ...online('a', 'b', 'c'));
    const [state, effects] = play(first[0], timer('training/1/1'));
    const cohorts = recordsOf([...first[1], ...effects]).flatMap((record) =>
      record.kind === 'round-started' ? [record.cohort] : [],
    );
    assert.equal(cohorts.length, 2);
    const everyone = [...new Set(cohorts.flat())].sort();
    assert.deepEqual(Object.keys(state.spending!.charged).sort(), everyone);
    assert.deepEqual(new Set(Object.values(state.spending!.charged)), new Set([1]));
    const [done, records] = playOn(state, of(effects, 'plan'));
    const committed = records.find((record) => record.kind === 'committed')!;
    assert.deepEqual(
      committed.privacy?.chargedElsewhere,
      everyone.filter((client) => !cohorts[1].includes(client)),
    );
    assert.ok(done.round > 1);
  });

  it('does not draw a client again before its rounds are far enough apart', () => {
    const spec = work();
    const tree = { ...spec, privacy: { ...spec.privacy!, tree: { separation: 2 } } };
    const engine = { ...ENGINE, cohort: 2, minClients: 4, rounds: 4 };
    const state = initialState('r', engine, 'm0', spendingOf({ ...tree, rounds: 4 }));
    const [end, records] = playOn(...play(state, ...online('a', 'b', 'c', 'd')));
    assert.equal(end.status, 'completed');
    const cohorts = records.flatMap((record) => (record.kind === 'round-started' ? [record.cohort] : []));
    assert.equal(cohorts.length, 4);
    for (const [i, cohort] of cohorts.slice(1).entries()) {
      assert.ok(
        cohort.every((client) => !cohorts[i].includes(client)),
        `rounds ${i + 1} and ${i + 2}`,
      );
    }
  });

  it('claims nothing for the draw: one of six costs what all of them do, and so does who is drawn because others are late', () => {
    const spec = { ...ENGINE, cohort: 1, minClients: 1, minSurvivors: 1, rounds: 2 };
    const six = ['a', 'b', 'c', 'd', 'e', 'f'];
    const late = Object.fromEntries(six.slice(1).map((name) => [name, { took: 0, train: { times: 9, round: 1 } }]));
    for (const attendances of [{}, late]) {
      const begun = { ...initialState('r', spec, 'm0', spendingOf(work())), attendances };
      const [, records] = playOn(...play(begun, ...online(...six)));
      const drafts = records.flatMap((record) => (record.kind === 'committed' ? [record.draft] : []));
      assert.deepEqual([drafts[0].cohort, drafts[0].epsilon], [1, epsilonAfter(COST, 1)]);
      if (attendances === late) assert.equal(drafts[1].epsilon, epsilonAfter(COST, 2)); // a is drawn in both, and pays
    }
  });

  it('counts a client whatever its name is', () => {
    const spending = charge(spendingOf(work())!, 1, ['constructor', 'valueof']);
    assert.deepEqual(spending.charged, { constructor: 1, valueof: 1 });
  });

  it('states the client that was charged most often', () => {
    let spending = spendingOf(work())!;
    for (const [round, clients] of [
      ['a', 'b'],
      ['a', 'c'],
      ['a', 'b'],
    ].entries()) {
      spending = charge(spending, round + 1, clients);
    }
    assert.deepEqual(spending.charged, { a: 3, b: 2, c: 1 });
    assert.equal(epsilonOf(spending), epsilonAfter(COST, 3));
  });
});
