/** Adaptive clipping through the round engine: the bound follows those who answered, and a crash forgets nothing of it. */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../../server/journal/records.js';
import { restore } from '../../../server/round/restore.js';
import { type Effect, initialState, type RunState } from '../../../server/round/state.js';
import type { StoredRunSpec, WorkSpec } from '../../../shared/run/spec.js';
import { spendingOf } from '../../../shared/run/spending.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { assertCheckpointsHold } from '../../support/checkpoints.js';
import { arrived, online, play, recordsOf, SPEC, stored, timer } from '../../support/rounds.js';

const MODEL = [{ name: 'w', shape: [9] }];
const ENGINE = { ...SPEC, rounds: 3, cohort: 4, minClients: 4, minSurvivors: 2 };
const CLIENTS = ['a', 'b', 'c', 'd'];
const BOUND = 0.5;

const WORK: WorkSpec = {
  ...{ workload: 'w', scale: 'smoke', hyper: {}, partition: 'iid', seed: 1, rounds: 3, model: MODEL },
  training: {
    ...{ localSteps: 1, batchSize: 1, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 },
    ...{ lrSchedule: 'constant', proximalMu: 0 },
  },
  phases: [{ name: 'train', channels: [updateChannel(MODEL)] }],
  privacy: { mode: 'central', clippingBound: BOUND, noiseMultiplier: 1, delta: 1e-5, cohortMax: 40, adaptive: true },
};
const CREATED: RunRecord = {
  ...{ kind: 'created', atMs: 0, run: 'r', modelSha256: 'm0' },
  spec: { work: WORK, engine: ENGINE } as StoredRunSpec,
};

const boundOf = ({ spending }: RunState) => spending!.clippingBound;

/** A round that `clients` of the four answer and the deadline ends; `withinBound` is the noisy sum of their signs. */
function round(state: RunState, number: number, clients: readonly string[], withinBound: number): [RunState, Effect[]] {
  const answers = clients.map((client) => arrived(client, { round: number }));
  const events = [...answers, timer(`training/${number}/1`), { ...stored(number), withinBound }];
  return play(state, ...events);
}

const begin = () => play(initialState('r', ENGINE, 'm0', spendingOf(WORK)), ...online(...CLIENTS));

describe('the adaptive bound of a run', () => {
  it('counts who answered, not who was invited', () => {
    const [started] = begin();
    assert.equal(boundOf(started), BOUND);
    // b = 1/2 + 2/(2 · 2) = 1: C · exp(-0.2 · (1 - 1/2)); of four invited it would be exp(-0.2 · 1/4)
    const [state, effects] = round(started, 1, ['a', 'b'], 2);
    const expected = BOUND * Math.exp(-0.1);
    assert.ok(Math.abs(boundOf(state) - expected) < 1e-12, `${boundOf(state)}`);
    const committed = recordsOf(effects).find((record) => record.kind === 'committed')!;
    assert.equal(committed.nextClippingBound, boundOf(state));
    assert.equal(committed.privacy!.clippingBound, BOUND, 'the round itself had the old one');
    // what came has no noise of its own: a hash of it would let a guess be tested
    const nameless = ['a', 'b'].map((client) => ({ client, updateSha256: '' }));
    assert.deepEqual(committed.survivors, nameless);
  });

  it('goes on from round to round, up as well as down', () => {
    const [first] = round(begin()[0], 1, ['a', 'b', 'c', 'd'], -4);
    assert.ok(Math.abs(boundOf(first) - BOUND * Math.exp(0.1)) < 1e-12);
    const [second, effects] = round(first, 2, ['a', 'b', 'c'], 3);
    assert.ok(Math.abs(boundOf(second) - BOUND) < 1e-12);
    const committed = recordsOf(effects).find((record) => record.kind === 'committed')!;
    assert.equal(committed.privacy!.clippingBound, boundOf(first));
  });

  it('is the same after a crash at any record', () => {
    const [started, early] = begin();
    const [first, then] = round(started, 1, ['a', 'b', 'c'], -1);
    const records = [CREATED, ...recordsOf([...early, ...then])];
    const at = records.findIndex(({ kind }) => kind === 'committed');
    assert.ok(at > 0);
    for (let length = 1; length <= records.length; length++) {
      const [restored] = restore(records.slice(0, length), 0);
      assert.equal(boundOf(restored), length > at ? boundOf(first) : BOUND, `after ${length} records`);
    }
    assertCheckpointsHold(records);
  });
});
