/** The sum that updates go into: which numbers it takes, what a round comes to, and masked vectors, which are not in it. */
import assert from 'node:assert/strict';
import type { UploadAnswer } from '../../../server/round/state.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { encodePrivately, privateMean } from '../../../shared/run/client-level-privacy.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { type ChannelSpec, UPDATE_CHANNEL, updateChannel } from '../../../shared/tensors/channels.js';
import {
  A,
  accepted,
  at,
  B,
  C,
  coordinatorNoise,
  filled,
  type HeaderChange,
  Intake,
  MASKED_BYTES,
  MEAN_ABC,
  MEAN_AC,
  memberOf,
  ramp,
  receiptOf,
  rejected,
  SIZE,
  TENSORS,
  type Update,
  updateOf,
  what,
} from '../../support/intake.js';
import { toySpec } from '../../support/toy.js';

describe('the numbers of an update', () => {
  it('are all finite, wherever they stand', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (let i = 0; i < SIZE; i++) {
        const intake = await Intake.open();
        const update = updateOf(ramp(8).with(i, bad), 0.5);
        const place = i < 9 ? `update/w[${i}]` : `update/b[${i - 9}]`;
        const detail = `update of ${place}: expected a finite number, got ${bad}`;
        assert.deepEqual(await intake.send('b', update), rejected(detail));
        await intake.idle();
        assert.deepEqual(intake.receipts, [receiptOf('b', update, 'invalid-update')]);
        await Promise.all([intake.send('a', A), intake.send('c', C)]);
        await intake.idle();
        assert.deepEqual(intake.mean, MEAN_AC, `${bad} at ${i}`);
      }
    }
  });

  it('weigh something, and have metrics that can be summed', async () => {
    const [weightless, odd] = [await Intake.open(), await Intake.open()];
    assert.match((await weightless.send('b', at(B, { weights: [0, 0] }))).detail, /^weight: expected at least/);
    const metrics = { loss: { sum: [Number.NaN], count: 1 } };
    assert.match((await odd.send('b', at(B, { metrics }))).detail, /^metrics/);
    for (const intake of [weightless, odd]) {
      await Promise.all([intake.send('a', A), intake.send('c', C)]);
      await intake.idle();
      assert.deepEqual(what(intake.receipts), ['b invalid-update']);
      assert.deepEqual(intake.mean, MEAN_AC);
    }
  });

  it('are read where they lie, aligned or not', async () => {
    const intake = await Intake.open();
    const shifted = (update: Update): Update => {
      const room = new Uint8Array(update.bytes.length + 1);
      room.set(update.bytes, 1);
      return { ...update, bytes: room.subarray(1) };
    };
    await Promise.all([intake.send('a', shifted(A)), intake.send('b', B), intake.send('c', shifted(C))]);
    await intake.idle();
    assert.deepEqual(intake.mean, MEAN_ABC);
  });

  it('of two clients may be the same; each has its own answer, in whatever order these come', async () => {
    for (const order of ['as sent', 'reversed']) {
      const intake = await Intake.open();
      const good = updateOf(ramp(8), 0.5);
      const bad = at(good, { weights: [3, 3], metrics: { loss: { sum: [Number.NaN], count: 1 } } });
      const answers = Promise.all([intake.offer('a', good), intake.offer('b', bad)]);
      if (order === 'reversed') intake.queue.reverse();
      const [a, b] = await answers;
      assert.deepEqual(a, accepted);
      assert.equal(b.outcome, 'rejected');
      await intake.send('c', C);
      await intake.idle();
      assert.deepEqual(intake.mean, MEAN_AC, order);
      assert.deepEqual(intake.receipts, [receiptOf('b', bad, 'invalid-update')]);
    }
  });

  it('of which the header is wrong are not added by another header that is right', async () => {
    const intake = await Intake.open();
    const answers = await Promise.all([intake.header('b', at(B, { weights: [1] })), intake.offer('b', B)]);
    assert.deepEqual(answers, [rejected('weights: expected 2, got 1'), rejected('dropped: invalid-update')]);
    await Promise.all([intake.send('a', A), intake.send('c', C)]);
    await intake.idle();
    assert.deepEqual(intake.mean, MEAN_AC);
  });

  it('have an answer only if they were offered', async () => {
    const intake = await Intake.open();
    const answer: UploadAnswer = { kind: 'answer', client: 'a', updateSha256: 'f', outcome: 'add', detail: '' };
    const expected = { code: 'internal', message: 'answer to an upload that was not offered: a/f' };
    assert.throws(() => intake.updates.answer(answer), expected);
    await intake.send('a', A);
    assert.throws(() => intake.updates.answer({ ...answer, updateSha256: A.header.sha256 }), { code: 'internal' });
  });
});

describe('what a round comes to', () => {
  const sendAll = async (intake: Intake, updates: Readonly<Record<string, Update>>) => {
    for (const [client, update] of Object.entries(updates))
      assert.deepEqual(await intake.send(client, update), accepted);
    await intake.idle();
  };

  it('is the mean by weight, tensor by tensor; one that nobody holds is left out', async () => {
    const channel: ChannelSpec = { name: UPDATE_CHANNEL, tensors: TENSORS, reduce: 'mean', weight: 'per-tensor' };
    const intake = await Intake.open({ channels: [channel] });
    await sendAll(intake, {
      a: at(A, { weights: [0.5, 0] }),
      b: at(B, { weights: [0, 0.25] }),
      c: at(C, { weights: [1.5, 0.75] }),
    });
    // w: (0.5·8 + 1.5·16) / 2 = 14; b: 0.25·-4 + 0.75·16 = 11
    assert.deepEqual(intake.mean, [...ramp(14).subarray(0, 9), ...ramp(11).subarray(9)]);
    assert.deepEqual(intake.sums[0].withinBound, undefined);
    const part = await Intake.open({ channels: [channel] });
    await sendAll(part, {
      a: at(A, { weights: [1, 0] }),
      b: at(B, { weights: [1, 0] }),
      c: at(C, { weights: [2, 0] }),
    });
    assert.deepEqual(
      part.sums[0].mean.layout.map(({ name }) => name),
      ['update/w'],
    );
  });

  it('does not heed weights where clients count alike', async () => {
    const clients: ChannelSpec = { name: UPDATE_CHANNEL, tensors: TENSORS, reduce: 'mean', weight: 'clients' };
    const mean = await Intake.open({ channels: [clients] });
    await sendAll(mean, { a: A, b: B, c: at(C, { weights: [100, 0] }) });
    assert.deepEqual(
      mean.mean,
      [...ramp(0)].map((i) => Math.fround(i + 20 / 3)),
    );
    const sum = await Intake.open({ channels: [{ ...clients, name: 'counts', reduce: 'sum', weight: 'examples' }] });
    await sendAll(sum, { a: A, b: B, c: C });
    assert.deepEqual(
      sum.mean,
      [...ramp(0)].map((i) => 3 * i + 20),
    );
  });

  it('is the order statistic that the run asks for', async () => {
    const intake = await Intake.open({ engine: { aggregator: 'median', minSurvivors: 3 } });
    await sendAll(intake, { a: A, b: B, c: C });
    assert.deepEqual(intake.mean, [...ramp(8)]);
  });

  it('has no tensor that nobody holds, with noise either', async () => {
    const privacy: PrivacySpec = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 3 };
    const channel: ChannelSpec = { name: UPDATE_CHANNEL, tensors: TENSORS, reduce: 'mean', weight: 'per-tensor' };
    const intake = await Intake.open({ channels: [channel], work: { privacy } });
    const own = updateOf(filled(1), 1, { weights: [1, 0] });
    await sendAll(intake, { a: own, b: own, c: own });
    assert.deepEqual(
      intake.sums[0].mean.layout.map(({ name }) => name),
      ['update/w'],
    );
    assert.equal(intake.sums[0].withinBound, undefined);
  });

  it('has the noise of the coordinator where that is asked for, and the count of updates within the bound', async () => {
    const privacy = {
      mode: 'central',
      clippingBound: 2,
      noiseMultiplier: 0.5,
      delta: 1e-5,
      cohortMax: 20,
      adaptive: true,
    } as const;
    const intake = await Intake.open({ work: { privacy } });
    const work = { ...toySpec().work, phases: [{ name: 'train', channels: [updateChannel(TENSORS)] }], privacy };
    const plan = { work, round: 1 };
    const integers = new Int32Array(SIZE + 1);
    for (const [i, client] of ['a', 'b', 'c'].entries()) {
      const own = encodePrivately(plan, filled(0.25 * i), rngFromSeed(i));
      for (const [k, value] of own.entries()) integers[k] += value;
      const update = updateOf(Float32Array.from(own), 1, { weights: [1, 1, 1] });
      assert.deepEqual(await intake.send(client, update), accepted);
    }
    await intake.idle();
    const expected = privateMean(plan, { integers, weights: [3, 3, 3] }, coordinatorNoise());
    assert.deepEqual(intake.mean, [...expected.mean]);
    assert.equal(intake.sums[0].withinBound, expected.withinBound);
    const bare = privateMean(plan, { integers, weights: [3, 3, 3] }, rngFromSeed(4));
    assert.notDeepEqual(intake.mean, [...bare.mean], 'the noise shows');
  });
});

describe('a masked vector', () => {
  const masked = (change: HeaderChange = {}): Update => {
    return updateOf(filled(1, MASKED_BYTES / 4), 1, { weights: [], ...change });
  };
  const secure = (names = ['a', 'b', 'c']) => Intake.open({ engine: { secure: true } }, names);

  it('goes on to secure aggregation, and leaves nothing here', async () => {
    const intake = await secure();
    assert.equal(await intake.header('a', masked()), undefined);
    assert.deepEqual(await intake.offer('a', masked()), accepted);
    assert.deepEqual(intake.masked, ['a 40']);
    intake.isSecure = false; // the aggregation has ended meanwhile
    assert.deepEqual(await intake.offer('b', masked()), accepted);
    assert.deepEqual(intake.masked, ['a 40']);
    assert.deepEqual(intake.receipts, []);
    assert.deepEqual(intake.queue, []);
  });

  it('has the size of this aggregation', async () => {
    const intake = await secure();
    for (const sizeBytes of [36, 44, 0]) {
      const detail = `sizeBytes: expected 40, got ${sizeBytes}`;
      assert.deepEqual(await intake.header('a', masked({ sizeBytes })), rejected(detail));
    }
    await intake.idle();
    assert.deepEqual(intake.receipts, [], 'nobody keeps a masked vector');
    assert.deepEqual(memberOf(intake, 'a'), { status: 'invited' });
    intake.isSecure = false;
    assert.equal((await intake.header('a', masked()))?.outcome, 'rejected', 'there is no aggregation');
  });

  it('is of a client that takes part, now', async () => {
    const intake = await secure();
    assert.deepEqual(await intake.header('z', masked()), rejected('not in the cohort of this round'));
    for (const change of [{ round: 2 }, { attempt: 2 }, { round: 0 }]) {
      assert.deepEqual(await intake.header('a', masked(change)), rejected('stale: expected round 1 attempt 1'));
    }
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    intake.post({ kind: 'secure-dropped', client: 'a', task, reason: 'deadline', detail: '' });
    await intake.idle();
    assert.deepEqual(await intake.header('a', masked()), rejected('dropped: deadline'));
    intake.post({ kind: 'unsecured', task, detail: 'too few' });
    await intake.idle();
    assert.deepEqual([intake.state.attempt, intake.state.stage.kind], [2, 'training']);
    assert.deepEqual(await intake.header('b', masked()), rejected('stale: expected round 1 attempt 2'));
    assert.equal(await intake.header('b', masked({ attempt: 2 })), undefined);
    assert.deepEqual(intake.receipts, []);
  });

  it('may be of an evaluation, but not of a round whose model is made', async () => {
    const intake = await Intake.open({ engine: { secure: true, rounds: 1 } });
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    intake.updates.open({ round: 1, attempt: 1 }); // what the round comes to is no matter here
    intake.post({ kind: 'secured', task, survivors: ['a', 'b'], pooled: {} });
    await intake.idle();
    assert.equal(intake.state.stage.kind, 'committing');
    assert.deepEqual(await intake.header('a', masked()), rejected('not in the cohort of this round'));
    await intake.stored();
    assert.equal(intake.state.stage.kind, 'evaluating');
    assert.equal(await intake.header('a', masked()), undefined);
  });
});
