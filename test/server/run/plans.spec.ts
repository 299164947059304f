/** Plans: what of them is new in each attempt, and what is said again. */
import assert from 'node:assert/strict';
import { initialState, type RunState } from '../../../server/round/state.js';
import type { GlobalModel } from '../../../server/run/model.js';
import { Plans } from '../../../server/run/plans.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { WorkSpec } from '../../../shared/run/spec.js';
import { spendingOf } from '../../../shared/run/spending.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { identityOf } from '../../support/peer.js';
import { start } from '../../support/rounds.js';
import { toyModel, toySpec } from '../../support/toy.js';

const MODEL = { sha256: 'a', params: toyModel(), file: new Uint8Array(9) } as unknown as GlobalModel;
const work: WorkSpec = { ...toySpec().work, secure: SECURE };
const plansOf = (of = work) =>
  new Plans({ work: of, identity: identityOf('coordinator'), rng: rngFromSeed(1), keysOf: () => ({}) });

describe('a plan', () => {
  it('has a nonce of its own in each run, round, attempt and kind, and the same one when it is said again', () => {
    const plans = plansOf();
    const at = (change: Partial<RunState>, kind: RoundPlan['kind'] = 'train') =>
      plans.planOf({ ...start(), ...change }, MODEL, kind, 1000).secure!.nonce;
    const nonces = [
      at({}),
      at({ attempt: 2 }),
      at({ round: 2 }),
      at({ run: 's' }),
      at({}, 'evaluate'),
      at({ attempt: 2 }, 'evaluate'),
    ];
    assert.equal(new Set(nonces).size, 6);
    assert.ok(nonces.every((nonce) => /^[0-9a-f]{32}$/.test(nonce)));
    assert.equal(at({}), nonces[0]);
  });

  it('has the clipping bound of the round where that is adaptive, in training alone', () => {
    const bound = { clippingBound: 2, noiseMultiplier: 1, delta: 1e-5, cohortMax: 40 };
    for (const adaptive of [true, false]) {
      const of: WorkSpec = { ...toySpec().work, privacy: { mode: 'central', ...bound, adaptive } };
      const state = initialState('r', start().spec, 'm0', spendingOf(of));
      const moved: RunState = { ...state, spending: { ...state.spending!, clippingBound: 3 } };
      const bounds = (['train', 'evaluate'] as const).map(
        (kind) => plansOf(of).planOf(moved, MODEL, kind, 1000).clippingBound,
      );
      assert.deepEqual(bounds, adaptive ? [3, undefined] : [undefined, undefined]);
    }
  });

  it('is signed once while it is young, and is another of another attempt, round or kind', () => {
    const plans = plansOf();
    const frame = (change: Partial<RunState>, ms: number, kind: RoundPlan['kind'] = 'train') =>
      plans.frameOf({ ...start(), ...change }, MODEL, kind, ms);
    const first = frame({}, 1000);
    assert.equal(frame({}, 901), first);
    const others = [frame({}, 900), frame({ attempt: 2 }, 900), frame({ round: 2 }, 900), frame({}, 900, 'evaluate')];
    const bodies = others.map(({ body }) => JSON.parse(new TextDecoder().decode(body)) as RoundPlan);
    assert.deepEqual(
      bodies.map(({ round, attempt, kind, deadlineMs }) => [round, attempt, kind, deadlineMs]),
      [
        [1, 1, 'train', 900],
        [1, 2, 'train', 900],
        [2, 1, 'train', 900],
        [1, 1, 'evaluate', 900],
      ],
    );
  });
});
