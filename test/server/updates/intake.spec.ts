/** Where updates come in: each is in the sum once or not at all, its sender hears which, and no receipt says otherwise. */
import assert from 'node:assert/strict';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import {
  A,
  accepted,
  at,
  B,
  C,
  Desk,
  filled,
  type HeaderChange,
  MEAN_ABC,
  MEAN_AC,
  memberOf,
  pendingOf,
  ramp,
  receiptOf,
  rejected,
  TENSORS,
  updateOf,
  what,
} from '../../support/desk.js';
import { turns } from '../../support/hand-fed.js';
import { online } from '../../support/rounds.js';

async function sendAll(desk: Desk, attempt: number): Promise<void> {
  for (const [client, update] of Object.entries({ a: A, b: B, c: C })) {
    assert.deepEqual(await desk.send(client, at(update, { attempt })), accepted);
  }
  await desk.idle();
}

describe('an update that comes again', () => {
  it('by several streams at once is in the sum once, and each hears the same', async () => {
    const desk = await Desk.open();
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => desk.header('a', A))), [undefined, undefined, undefined]);
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => desk.offer('a', A))), [accepted, accepted, accepted]);
    for (const [client, update] of [
      ['b', B],
      ['c', C],
    ] as const)
      assert.deepEqual(await desk.send(client, update), accepted);
    await desk.idle();
    assert.deepEqual(desk.mean, MEAN_ABC);
    assert.deepEqual(desk.receipts, []);
  });

  it('after it was accepted is answered by its header, and by its bytes, and is not added again', async () => {
    const desk = await Desk.open();
    assert.deepEqual(await desk.send('a', A), accepted);
    assert.deepEqual(await desk.header('a', A), accepted);
    assert.deepEqual(await desk.offer('a', A), accepted);
    await desk.send('b', B);
    await desk.send('c', C);
    await desk.idle();
    assert.equal(desk.state.stage.kind, 'committing');
    assert.deepEqual(await desk.header('a', A), accepted, 'while the model is made');
    assert.deepEqual(await desk.offer('a', A), accepted, 'while the model is made');
    assert.deepEqual(desk.mean, MEAN_ABC);
    assert.deepEqual(desk.receipts, [], 'nothing is decided yet');
  });

  it('after the commit hears accepted and gets its committed receipt, however often it asks', async () => {
    const desk = await Desk.open();
    await Promise.all([desk.send('a', A), desk.send('b', B), desk.send('c', C)]);
    await desk.stored();
    assert.equal(desk.state.round, 2);
    assert.deepEqual(desk.receipts, [
      receiptOf('a', A, 'committed'),
      receiptOf('b', B, 'committed'),
      receiptOf('c', C, 'committed'),
    ]);
    desk.receipts.length = 0;
    assert.deepEqual(await desk.header('b', B), accepted);
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'committed')]);
    assert.deepEqual(await desk.offer('b', B), accepted);
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'committed'), receiptOf('b', B, 'committed')]);
    assert.deepEqual(memberOf(desk, 'b'), { status: 'invited' }, 'round 2 still waits for it');
  });

  it('and is another one is a duplicate, whether the first is in already or comes at the same time', async () => {
    const other = updateOf(filled(100), 3);
    const duplicate = rejected('duplicate: another update of this client is in already');
    for (const way of ['later', 'at once']) {
      const desk = await Desk.open();
      if (way === 'later') {
        assert.deepEqual(await desk.send('a', A), accepted);
        assert.deepEqual(await desk.header('a', other), duplicate);
        assert.deepEqual(await desk.offer('a', other), duplicate);
        assert.deepEqual(desk.receipts, [receiptOf('a', other, 'deadline'), receiptOf('a', other, 'deadline')]);
      } else {
        assert.deepEqual(await Promise.all([desk.offer('a', A), desk.offer('a', other)]), [accepted, duplicate]);
        await desk.idle();
        assert.deepEqual(desk.receipts, [receiptOf('a', other, 'deadline')]);
      }
      await Promise.all([desk.send('b', B), desk.send('c', C)]);
      await desk.idle();
      assert.deepEqual(desk.mean, MEAN_ABC, way);
    }
  });
});

describe('a header', () => {
  const faults: Record<string, [HeaderChange, string]> = {
    'a size too small': [{ sizeBytes: 40 }, 'sizeBytes: expected 44, got 40'],
    'a size too large': [{ sizeBytes: 48 }, 'sizeBytes: expected 44, got 48'],
    'a size that is none': [{ sizeBytes: Number.NaN }, 'sizeBytes: expected 44, got NaN'],
    'no weights': [{ weights: [] }, 'weights: expected 2, got 0'],
    'a weight too few': [{ weights: [1] }, 'weights: expected 2, got 1'],
    'a weight too many': [{ weights: [1, 1, 1] }, 'weights: expected 2, got 3'],
    'a negative weight': [{ weights: [1, -0.5] }, 'weights: expected finite numbers >= 0, got -0.5'],
    'a first weight that is none': [{ weights: [Number.NaN, 1] }, 'weights: expected finite numbers >= 0, got NaN'],
    'an infinite weight': [
      { weights: [1, Number.POSITIVE_INFINITY] },
      'weights: expected finite numbers >= 0, got Infinity',
    ],
  };

  for (const [name, [change, detail]] of Object.entries(faults)) {
    it(`with ${name} is rejected before a byte is read, and drops its client`, async () => {
      const desk = await Desk.open();
      const bad = at(A, change);
      assert.deepEqual(await desk.header('a', bad), rejected(detail));
      await desk.idle();
      assert.deepEqual(desk.receipts, [receiptOf('a', A, 'invalid-update')]);
      assert.deepEqual(memberOf(desk, 'a'), { status: 'dropped', reason: 'invalid-update', detail });
      assert.deepEqual(await desk.header('a', A), rejected('dropped: invalid-update'), 'there is no second try');
      assert.deepEqual(what(desk.receipts), ['a invalid-update', 'a invalid-update']);
      await Promise.all([desk.send('b', B), desk.send('c', C)]);
      await desk.idle();
      assert.deepEqual(
        desk.mean,
        [...ramp(0)].map((i) => Math.fround((3.5 * i + 11) / 3.5)),
      ); // (-4·2.25 + 16·1.25) / 3.5
    });
  }

  it('of a good update says nothing, though a weight is 0 or large', async () => {
    const desk = await Desk.open();
    for (const weights of [
      [0, 1],
      [1, 0],
      [2 ** 20, 0.25],
    ])
      assert.equal(await desk.header('a', at(A, { weights })), undefined);
    assert.deepEqual(desk.receipts, []);
  });

  it('may give no weight above 1 where a client is what is protected, and any where an example is', async () => {
    const rest = { clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 };
    for (const mode of ['central', 'local'] as const) {
      const privacy: PrivacySpec = { ...rest, mode, cohortMax: 3 };
      const desk = await Desk.open({ work: { privacy } });
      for (const weights of [
        [1, 1],
        [0, 1],
      ])
        assert.equal(await desk.header('a', at(A, { weights })), undefined);
      const detail = 'weights: expected at most 1 with this privacy, got 1.5';
      assert.deepEqual(await desk.header('a', at(A, { weights: [1, 1.5] })), rejected(detail));
      assert.deepEqual(what(desk.receipts), ['a invalid-update']);
    }
    const desk = await Desk.open({ work: { privacy: { ...rest, mode: 'example', samplingRate: 0.1 } } });
    assert.equal(await desk.header('a', at(A, { weights: [5, 5] })), undefined);
  });

  it('is measured by the phase of its round, and with adaptive clipping by one number more', async () => {
    const small = { ...updateChannel([{ name: 'w', shape: [5] }]), name: 'logits' };
    const phases = [
      { name: 'first', rounds: 1, channels: [small] },
      { name: 'second', channels: [updateChannel(TENSORS)] },
    ];
    const desk = await Desk.open({ work: { phases } });
    const first = (value: number) => updateOf(filled(value, 5), 1, { weights: [1] });
    assert.deepEqual(await desk.header('a', A), rejected('sizeBytes: expected 20, got 44'));
    await Promise.all([desk.send('b', first(2)), desk.send('c', first(6))]);
    await desk.stored();
    assert.deepEqual(desk.mean, [4, 4, 4, 4, 4]);
    assert.deepEqual(await desk.header('b', at(first(2), { round: 2 })), rejected('sizeBytes: expected 44, got 20'));
    assert.equal(await desk.header('c', at(C, { round: 2 })), undefined);

    const privacy = {
      mode: 'central',
      clippingBound: 1,
      noiseMultiplier: 0.1,
      delta: 1e-5,
      cohortMax: 20,
      adaptive: true,
    } as const;
    const adaptive = await Desk.open({ work: { privacy } });
    assert.deepEqual(await adaptive.header('a', A), rejected('sizeBytes: expected 48, got 44'));
    const empty = await Desk.open({ work: { phases: [{ name: 'nothing', channels: [] }] } });
    assert.deepEqual(await empty.header('a', at(A, { weights: [] })), rejected('sizeBytes: expected 0, got 44'));
  });

  const strangers: Record<string, [string, HeaderChange, string]> = {
    'of a round to come': ['a', { round: 2 }, 'stale: expected round 1 attempt 1'],
    'of an attempt to come': ['a', { attempt: 2 }, 'stale: expected round 1 attempt 1'],
    'of a round that no phase has': ['a', { round: -1 }, 'stale: expected round 1 attempt 1'],
    'of a client that was not drawn': ['z', {}, 'not in the cohort of this round'],
  };
  for (const [name, [client, change, detail]] of Object.entries(strangers)) {
    it(`${name} is rejected for that, whatever else is wrong, and hurts nobody`, async () => {
      const desk = await Desk.open();
      const update = at(A, { ...change, sizeBytes: 1, weights: [] });
      assert.deepEqual(await desk.header(client, update), rejected(detail));
      assert.deepEqual(await desk.offer(client, at(A, change)), rejected(detail));
      await desk.idle();
      assert.deepEqual(desk.receipts, [receiptOf(client, update, 'deadline'), receiptOf(client, update, 'deadline')]);
      await Promise.all([desk.send('a', A), desk.send('b', B), desk.send('c', C)]);
      await desk.idle();
      assert.deepEqual(desk.mean, MEAN_ABC);
    });
  }
});

describe('an update that is late', () => {
  it('hears why its client was dropped, and so does its receipt', async () => {
    const desk = await Desk.open({ engine: { cohort: 2, overSelection: 0.5 } });
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    desk.post({ kind: 'declined', client: 'a', task, reason: 'dropout', detail: '' });
    await desk.idle();
    for (const answer of [desk.header('a', A), desk.offer('a', A)]) {
      assert.deepEqual(await answer, rejected('dropped: dropout'));
    }
    assert.deepEqual(desk.receipts, [receiptOf('a', A, 'dropout'), receiptOf('a', A, 'dropout')]);
  });

  it('comes while the model is made: others were faster', async () => {
    const desk = await Desk.open({ engine: { cohort: 2, overSelection: 0.5 } });
    assert.equal(await desk.header('b', B), undefined, 'the bytes are on their way');
    await Promise.all([desk.send('a', A), desk.send('c', C)]);
    assert.deepEqual(await desk.offer('b', B), rejected('dropped: superseded'));
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'superseded')]);
    await desk.stored();
    assert.deepEqual(desk.mean, MEAN_AC);
    desk.receipts.length = 0;
    assert.deepEqual(await desk.send('b', B), rejected('stale: expected round 2 attempt 1'), 'after the commit');
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'deadline')]);
  });

  it('comes when the deadline has closed its round', async () => {
    const desk = await Desk.open();
    assert.equal(await desk.header('b', B), undefined);
    await Promise.all([desk.send('a', A), desk.send('c', C)]);
    await desk.deadline();
    assert.deepEqual(await desk.offer('b', B), rejected('dropped: deadline'));
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'deadline')]);
    assert.deepEqual(desk.mean, MEAN_AC);
  });

  it('and was offered before the deadline, but after it in the queue, is not added', async () => {
    const desk = await Desk.open();
    await Promise.all([desk.send('a', A), desk.send('c', C)]);
    const { stage } = desk.state;
    desk.post({ kind: 'timer', id: `${stage.kind}/1/1` });
    assert.deepEqual(await desk.offer('b', B), rejected('dropped: deadline'));
    await desk.idle();
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'deadline')]);
    assert.deepEqual(desk.mean, MEAN_AC);
  });

  it('of an attempt that was given up is not in the sum of the next, which starts from zero', async () => {
    const desk = await Desk.open();
    assert.equal(await desk.header('b', B), undefined);
    assert.deepEqual(await desk.send('a', A), accepted);
    await desk.deadline();
    assert.deepEqual([desk.state.round, desk.state.attempt, desk.state.stage.kind], [1, 2, 'training']);
    assert.deepEqual(desk.receipts, [receiptOf('a', A, 'round-aborted')]);
    desk.receipts.length = 0;
    const stale = rejected('stale: expected round 1 attempt 2');
    assert.deepEqual(await desk.offer('b', B), stale, 'though the client is drawn again');
    assert.deepEqual(await desk.send('a', A), stale);
    assert.deepEqual(desk.receipts, [receiptOf('b', B, 'deadline'), receiptOf('a', A, 'deadline')]);
    await sendAll(desk, 2);
    assert.deepEqual(desk.mean, MEAN_ABC);
  });

  for (const attempt of [1, 2]) {
    it(`does not come before attempt ${attempt} is on disk either`, async () => {
      const desk = attempt === 1 ? new Desk() : await Desk.open();
      let written = () => {};
      desk.disk = new Promise((resolve) => {
        written = resolve;
      });
      for (const event of online('a', 'b', 'c')) desk.post(event);
      if (attempt === 2) desk.post({ kind: 'timer', id: 'training/1/1' });
      await turns();
      assert.deepEqual([desk.state.stage.kind, desk.state.attempt], ['training', attempt]);
      const early = desk.offer('a', at(A, { attempt }));
      written();
      assert.equal((await early).outcome, 'rejected', 'there is no sum yet that it could be in');
      assert.deepEqual(what(desk.receipts), ['a deadline']);
      await desk.idle();
      await sendAll(desk, attempt);
      assert.deepEqual(desk.mean, MEAN_ABC);
    });
  }
});

describe('a client that comes back with updates that it keeps', () => {
  it('hears nothing of one that is wanted, and the last word on any other', async () => {
    const desk = await Desk.open();
    const other = updateOf(filled(100), 3);
    assert.deepEqual(desk.reconnect('a', [pendingOf(A)]), [], 'its plan comes');
    await desk.send('a', A);
    assert.deepEqual(desk.reconnect('a', [pendingOf(A)]), [], 'it is in the sum');
    const foreign = [other, at(A, { attempt: 2 }), at(A, { round: 9 })];
    assert.deepEqual(
      desk.reconnect('a', [A, ...foreign].map(pendingOf)),
      foreign.map((update) => receiptOf('a', update, 'round-aborted')),
    );
    assert.deepEqual(desk.reconnect('z', [pendingOf(A)]), [receiptOf('z', A, 'round-aborted')]);
    assert.deepEqual(desk.reconnect('a', []), []);
    await Promise.all([desk.send('b', B), desk.send('c', C)]);
    assert.deepEqual(desk.reconnect('c', [pendingOf(C)]), [], 'while the model is made');
    await desk.stored();
    assert.deepEqual(desk.reconnect('a', [other, A, at(A, { attempt: 2 }), at(A, { round: 2 })].map(pendingOf)), [
      receiptOf('a', other, 'deadline'),
      receiptOf('a', A, 'committed'),
      receiptOf('a', at(A, { attempt: 2 }), 'deadline'),
    ]);
    assert.deepEqual(desk.reconnect('b', [pendingOf(A)]), [receiptOf('b', A, 'deadline')], "another client's");
  });

  it('hears that the attempt of its update was given up, or that it was dropped', async () => {
    const desk = await Desk.open();
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    desk.post({ kind: 'declined', client: 'a', task, reason: 'failed', detail: '' });
    await desk.idle();
    assert.deepEqual(desk.reconnect('a', [pendingOf(A)]), [receiptOf('a', A, 'round-aborted')]);
    await desk.deadline();
    assert.deepEqual(desk.reconnect('b', [pendingOf(B)]), [receiptOf('b', B, 'round-aborted')]);
  });
});
