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
  Desk,
  filled,
  type HeaderChange,
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
} from '../../support/desk.js';
import { toySpec } from '../../support/toy.js';

describe('the numbers of an update', () => {
  it('are all finite, wherever they stand', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (let i = 0; i < SIZE; i++) {
        const desk = await Desk.open();
        const update = updateOf(ramp(8).with(i, bad), 0.5);
        const place = i < 9 ? `update/w[${i}]` : `update/b[${i - 9}]`;
        const detail = `update of ${place}: expected a finite number, got ${bad}`;
        assert.deepEqual(await desk.send('b', update), rejected(detail));
        await desk.idle();
        assert.deepEqual(desk.receipts, [receiptOf('b', update, 'invalid-update')]);
        await Promise.all([desk.send('a', A), desk.send('c', C)]);
        await desk.idle();
        assert.deepEqual(desk.mean, MEAN_AC, `${bad} at ${i}`);
      }
    }
  });

  it('weigh something, and have metrics that can be summed', async () => {
    const [weightless, odd] = [await Desk.open(), await Desk.open()];
    assert.match((await weightless.send('b', at(B, { weights: [0, 0] }))).detail, /^weight: expected at least/);
    const metrics = { loss: { sum: [Number.NaN], count: 1 } };
    assert.match((await odd.send('b', at(B, { metrics }))).detail, /^metrics/);
    for (const desk of [weightless, odd]) {
      await Promise.all([desk.send('a', A), desk.send('c', C)]);
      await desk.idle();
      assert.deepEqual(what(desk.receipts), ['b invalid-update']);
      assert.deepEqual(desk.mean, MEAN_AC);
    }
  });

  it('are read where they lie, aligned or not', async () => {
    const desk = await Desk.open();
    const shifted = (update: Update): Update => {
      const room = new Uint8Array(update.bytes.length + 1);
      room.set(update.bytes, 1);
      return { ...update, bytes: room.subarray(1) };
    };
    await Promise.all([desk.send('a', shifted(A)), desk.send('b', B), desk.send('c', shifted(C))]);
    await desk.idle();
    assert.deepEqual(desk.mean, MEAN_ABC);
  });

  it('of two clients may be the same; each has its own answer, in whatever order these come', async () => {
    for (const order of ['as sent', 'reversed']) {
      const desk = await Desk.open();
      const good = updateOf(ramp(8), 0.5);
      const bad = at(good, { weights: [3, 3], metrics: { loss: { sum: [Number.NaN], count: 1 } } });
      const answers = Promise.all([desk.offer('a', good), desk.offer('b', bad)]);
      if (order === 'reversed') desk.queue.reverse();
      const [a, b] = await answers;
      assert.deepEqual(a, accepted);
      assert.equal(b.outcome, 'rejected');
      await desk.send('c', C);
      await desk.idle();
      assert.deepEqual(desk.mean, MEAN_AC, order);
      assert.deepEqual(desk.receipts, [receiptOf('b', bad, 'invalid-update')]);
    }
  });

  it('of which the header is wrong are not added by another header that is right', async () => {
    const desk = await Desk.open();
    const answers = await Promise.all([desk.header('b', at(B, { weights: [1] })), desk.offer('b', B)]);
    assert.deepEqual(answers, [rejected('weights: expected 2, got 1'), rejected('dropped: invalid-update')]);
    await Promise.all([desk.send('a', A), desk.send('c', C)]);
    await desk.idle();
    assert.deepEqual(desk.mean, MEAN_AC);
  });

  it('have an answer only if they were offered', async () => {
    const desk = await Desk.open();
    const answer: UploadAnswer = { kind: 'answer', client: 'a', updateSha256: 'f', outcome: 'add', detail: '' };
    const expected = { code: 'internal', message: 'answer to an upload that was not offered: a/f' };
    assert.throws(() => desk.desk.answer(answer), expected);
    await desk.send('a', A);
    assert.throws(() => desk.desk.answer({ ...answer, updateSha256: A.header.sha256 }), { code: 'internal' });
  });
});

describe('what a round comes to', () => {
  const sendAll = async (desk: Desk, updates: Readonly<Record<string, Update>>) => {
    for (const [client, update] of Object.entries(updates)) assert.deepEqual(await desk.send(client, update), accepted);
    await desk.idle();
  };

  it('is the mean by weight, tensor by tensor; one that nobody holds is left out', async () => {
    const channel: ChannelSpec = { name: UPDATE_CHANNEL, tensors: TENSORS, reduce: 'mean', weight: 'per-tensor' };
    const desk = await Desk.open({ channels: [channel] });
    await sendAll(desk, {
      a: at(A, { weights: [0.5, 0] }),
      b: at(B, { weights: [0, 0.25] }),
      c: at(C, { weights: [1.5, 0.75] }),
    });
    // w: (0.5·8 + 1.5·16) / 2 = 14; b: 0.25·-4 + 0.75·16 = 11
    assert.deepEqual(desk.mean, [...ramp(14).subarray(0, 9), ...ramp(11).subarray(9)]);
    assert.deepEqual(desk.sums[0].withinBound, undefined);
    const part = await Desk.open({ channels: [channel] });
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
    const mean = await Desk.open({ channels: [clients] });
    await sendAll(mean, { a: A, b: B, c: at(C, { weights: [100, 0] }) });
    assert.deepEqual(
      mean.mean,
      [...ramp(0)].map((i) => Math.fround(i + 20 / 3)),
    );
    const sum = await Desk.open({ channels: [{ ...clients, name: 'counts', reduce: 'sum', weight: 'examples' }] });
    await sendAll(sum, { a: A, b: B, c: C });
    assert.deepEqual(
      sum.mean,
      [...ramp(0)].map((i) => 3 * i + 20),
    );
  });

  it('is the order statistic that the run asks for', async () => {
    const desk = await Desk.open({ engine: { aggregator: 'median', minSurvivors: 3 } });
    await sendAll(desk, { a: A, b: B, c: C });
    assert.deepEqual(desk.mean, [...ramp(8)]);
  });

  it('has no tensor that nobody holds, with noise either', async () => {
    const privacy: PrivacySpec = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 3 };
    const channel: ChannelSpec = { name: UPDATE_CHANNEL, tensors: TENSORS, reduce: 'mean', weight: 'per-tensor' };
    const desk = await Desk.open({ channels: [channel], work: { privacy } });
    const own = updateOf(filled(1), 1, { weights: [1, 0] });
    await sendAll(desk, { a: own, b: own, c: own });
    assert.deepEqual(
      desk.sums[0].mean.layout.map(({ name }) => name),
      ['update/w'],
    );
    assert.equal(desk.sums[0].withinBound, undefined);
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
    const desk = await Desk.open({ work: { privacy } });
    const work = { ...toySpec().work, phases: [{ name: 'train', channels: [updateChannel(TENSORS)] }], privacy };
    const plan = { work, round: 1 };
    const integers = new Int32Array(SIZE + 1);
    for (const [i, client] of ['a', 'b', 'c'].entries()) {
      const own = encodePrivately(plan, filled(0.25 * i), rngFromSeed(i));
      for (const [k, value] of own.entries()) integers[k] += value;
      const update = updateOf(Float32Array.from(own), 1, { weights: [1, 1, 1] });
      assert.deepEqual(await desk.send(client, update), accepted);
    }
    await desk.idle();
    const expected = privateMean(plan, { integers, weights: [3, 3, 3] }, coordinatorNoise());
    assert.deepEqual(desk.mean, [...expected.mean]);
    assert.equal(desk.sums[0].withinBound, expected.withinBound);
    const bare = privateMean(plan, { integers, weights: [3, 3, 3] }, rngFromSeed(4));
    assert.notDeepEqual(desk.mean, [...bare.mean], 'the noise shows');
  });
});

describe('a masked vector', () => {
  const masked = (change: HeaderChange = {}): Update => {
    return updateOf(filled(1, MASKED_BYTES / 4), 1, { weights: [], ...change });
  };
  const secure = (names = ['a', 'b', 'c']) => Desk.open({ engine: { secure: true } }, names);

  it('goes on to secure aggregation, and leaves nothing here', async () => {
    const desk = await secure();
    assert.equal(await desk.header('a', masked()), undefined);
    assert.deepEqual(await desk.offer('a', masked()), accepted);
    assert.deepEqual(desk.masked, ['a 40']);
    desk.isSecure = false; // the aggregation has ended meanwhile
    assert.deepEqual(await desk.offer('b', masked()), accepted);
    assert.deepEqual(desk.masked, ['a 40']);
    assert.deepEqual(desk.receipts, []);
    assert.deepEqual(desk.queue, []);
  });

  it('has the size of this aggregation', async () => {
    const desk = await secure();
    for (const sizeBytes of [36, 44, 0]) {
      const detail = `sizeBytes: expected 40, got ${sizeBytes}`;
      assert.deepEqual(await desk.header('a', masked({ sizeBytes })), rejected(detail));
    }
    await desk.idle();
    assert.deepEqual(desk.receipts, [], 'nobody keeps a masked vector');
    assert.deepEqual(memberOf(desk, 'a'), { status: 'invited' });
    desk.isSecure = false;
    assert.equal((await desk.header('a', masked()))?.outcome, 'rejected', 'there is no aggregation');
  });

  it('is of a client that takes part, now', async () => {
    const desk = await secure();
    assert.deepEqual(await desk.header('z', masked()), rejected('not in the cohort of this round'));
    for (const change of [{ round: 2 }, { attempt: 2 }, { round: 0 }]) {
      assert.deepEqual(await desk.header('a', masked(change)), rejected('stale: expected round 1 attempt 1'));
    }
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    desk.post({ kind: 'secure-dropped', client: 'a', task, reason: 'deadline', detail: '' });
    await desk.idle();
    assert.deepEqual(await desk.header('a', masked()), rejected('dropped: deadline'));
    desk.post({ kind: 'unsecured', task, detail: 'too few' });
    await desk.idle();
    assert.deepEqual([desk.state.attempt, desk.state.stage.kind], [2, 'training']);
    assert.deepEqual(await desk.header('b', masked()), rejected('stale: expected round 1 attempt 2'));
    assert.equal(await desk.header('b', masked({ attempt: 2 })), undefined);
    assert.deepEqual(desk.receipts, []);
  });

  it('may be of an evaluation, but not of a round whose model is made', async () => {
    const desk = await Desk.open({ engine: { secure: true, rounds: 1 } });
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    const { desk: intake } = desk;
    intake.open({ round: 1, attempt: 1 }); // what the round comes to is no matter here
    desk.post({ kind: 'secured', task, survivors: ['a', 'b'], pooled: {} });
    await desk.idle();
    assert.equal(desk.state.stage.kind, 'committing');
    assert.deepEqual(await desk.header('a', masked()), rejected('not in the cohort of this round'));
    await desk.stored();
    assert.equal(desk.state.stage.kind, 'evaluating');
    assert.equal(await desk.header('a', masked()), undefined);
  });
});
