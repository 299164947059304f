/** Where updates come in: each is in the sum once or not at all, its sender hears which, and no receipt says otherwise. */
import assert from 'node:assert/strict';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { sha256Hex } from '../../../shared/signing/identity.js';
import { valuesOf } from '../../../shared/tensors/bytes.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { parseCodec } from '../../../shared/tensors/codecs/index.js';
import { turns } from '../../support/hand-fed.js';
import {
  A,
  accepted,
  at,
  B,
  C,
  filled,
  type HeaderChange,
  Intake,
  MEAN_ABC,
  MEAN_AC,
  memberOf,
  pendingOf,
  ramp,
  receiptOf,
  rejected,
  TENSORS,
  type Update,
  updateOf,
  what,
} from '../../support/intake.js';
import { online } from '../../support/rounds.js';

async function sendAll(intake: Intake, attempt: number): Promise<void> {
  for (const [client, update] of Object.entries({ a: A, b: B, c: C })) {
    assert.deepEqual(await intake.send(client, at(update, { attempt })), accepted);
  }
  await intake.idle();
}

describe('an update that comes again', () => {
  it('by several streams at once is in the sum once, and each hears the same', async () => {
    const intake = await Intake.open();
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => intake.header('a', A))), [undefined, undefined, undefined]);
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => intake.offer('a', A))), [accepted, accepted, accepted]);
    for (const [client, update] of [
      ['b', B],
      ['c', C],
    ] as const)
      assert.deepEqual(await intake.send(client, update), accepted);
    await intake.idle();
    assert.deepEqual(intake.mean, MEAN_ABC);
    assert.deepEqual(intake.receipts, []);
  });

  it('after it was accepted is answered by its header, and by its bytes, and is not added again', async () => {
    const intake = await Intake.open();
    assert.deepEqual(await intake.send('a', A), accepted);
    assert.deepEqual(await intake.header('a', A), accepted);
    assert.deepEqual(await intake.offer('a', A), accepted);
    await intake.send('b', B);
    await intake.send('c', C);
    await intake.idle();
    assert.equal(intake.state.stage.kind, 'committing');
    assert.deepEqual(await intake.header('a', A), accepted, 'while the model is made');
    assert.deepEqual(await intake.offer('a', A), accepted, 'while the model is made');
    assert.deepEqual(intake.mean, MEAN_ABC);
    assert.deepEqual(intake.receipts, [], 'nothing is decided yet');
  });

  it('after the commit hears accepted and gets its committed receipt, however often it asks', async () => {
    const intake = await Intake.open();
    await Promise.all([intake.send('a', A), intake.send('b', B), intake.send('c', C)]);
    await intake.stored();
    assert.equal(intake.state.round, 2);
    assert.deepEqual(intake.receipts, [
      receiptOf('a', A, 'committed'),
      receiptOf('b', B, 'committed'),
      receiptOf('c', C, 'committed'),
    ]);
    intake.receipts.length = 0;
    assert.deepEqual(await intake.header('b', B), accepted);
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'committed')]);
    assert.deepEqual(await intake.offer('b', B), accepted);
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'committed'), receiptOf('b', B, 'committed')]);
    assert.deepEqual(memberOf(intake, 'b'), { status: 'invited' }, 'round 2 still waits for it');
  });

  it('and is another one is a duplicate, whether the first is in already or comes at the same time', async () => {
    const other = updateOf(filled(100), 3);
    const duplicate = rejected('duplicate: another update of this client is in already');
    for (const way of ['later', 'at once']) {
      const intake = await Intake.open();
      if (way === 'later') {
        assert.deepEqual(await intake.send('a', A), accepted);
        assert.deepEqual(await intake.header('a', other), duplicate);
        assert.deepEqual(await intake.offer('a', other), duplicate);
        assert.deepEqual(intake.receipts, [receiptOf('a', other, 'deadline'), receiptOf('a', other, 'deadline')]);
      } else {
        assert.deepEqual(await Promise.all([intake.offer('a', A), intake.offer('a', other)]), [accepted, duplicate]);
        await intake.idle();
        assert.deepEqual(intake.receipts, [receiptOf('a', other, 'deadline')]);
      }
      await Promise.all([intake.send('b', B), intake.send('c', C)]);
      await intake.idle();
      assert.deepEqual(intake.mean, MEAN_ABC, way);
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
      const intake = await Intake.open();
      const bad = at(A, change);
      assert.deepEqual(await intake.header('a', bad), rejected(detail));
      await intake.idle();
      assert.deepEqual(intake.receipts, [receiptOf('a', A, 'invalid-update')]);
      assert.deepEqual(memberOf(intake, 'a'), { status: 'dropped', reason: 'invalid-update', detail });
      assert.deepEqual(await intake.header('a', A), rejected('dropped: invalid-update'), 'there is no second try');
      assert.deepEqual(what(intake.receipts), ['a invalid-update', 'a invalid-update']);
      await Promise.all([intake.send('b', B), intake.send('c', C)]);
      await intake.idle();
      assert.deepEqual(
        intake.mean,
        [...ramp(0)].map((i) => Math.fround((3.5 * i + 11) / 3.5)),
      ); // (-4·2.25 + 16·1.25) / 3.5
    });
  }

  it('of a good update says nothing, though a weight is 0 or large', async () => {
    const intake = await Intake.open();
    for (const weights of [
      [0, 1],
      [1, 0],
      [2 ** 20, 0.25],
    ])
      assert.equal(await intake.header('a', at(A, { weights })), undefined);
    assert.deepEqual(intake.receipts, []);
  });

  it('may give no weight above 1 where a client is what is protected, and any where an example is', async () => {
    const rest = { clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 };
    for (const mode of ['central', 'local'] as const) {
      const privacy: PrivacySpec = { ...rest, mode, cohortMax: 3 };
      const intake = await Intake.open({ work: { privacy } });
      for (const weights of [
        [1, 1],
        [0, 1],
      ])
        assert.equal(await intake.header('a', at(A, { weights })), undefined);
      const detail = 'weights: expected at most 1 with this privacy, got 1.5';
      assert.deepEqual(await intake.header('a', at(A, { weights: [1, 1.5] })), rejected(detail));
      assert.deepEqual(what(intake.receipts), ['a invalid-update']);
    }
    const intake = await Intake.open({ work: { privacy: { ...rest, mode: 'example', samplingRate: 0.1 } } });
    assert.equal(await intake.header('a', at(A, { weights: [5, 5] })), undefined);
  });

  it('is measured by the phase of its round, and with adaptive clipping by one number more', async () => {
    const small = { ...updateChannel([{ name: 'w', shape: [5] }]), name: 'logits' };
    const phases = [
      { name: 'first', rounds: 1, channels: [small] },
      { name: 'second', channels: [updateChannel(TENSORS)] },
    ];
    const intake = await Intake.open({ work: { phases } });
    const first = (value: number) => updateOf(filled(value, 5), 1, { weights: [1] });
    assert.deepEqual(await intake.header('a', A), rejected('sizeBytes: expected 20, got 44'));
    await Promise.all([intake.send('b', first(2)), intake.send('c', first(6))]);
    await intake.stored();
    assert.deepEqual(intake.mean, [4, 4, 4, 4, 4]);
    assert.deepEqual(await intake.header('b', at(first(2), { round: 2 })), rejected('sizeBytes: expected 44, got 20'));
    assert.equal(await intake.header('c', at(C, { round: 2 })), undefined);

    const privacy = {
      mode: 'central',
      clippingBound: 1,
      noiseMultiplier: 0.1,
      delta: 1e-5,
      cohortMax: 20,
      adaptive: true,
    } as const;
    const adaptive = await Intake.open({ work: { privacy } });
    assert.deepEqual(await adaptive.header('a', A), rejected('sizeBytes: expected 48, got 44'));
    const empty = await Intake.open({ work: { phases: [{ name: 'nothing', channels: [] }] } });
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
      const intake = await Intake.open();
      const update = at(A, { ...change, sizeBytes: 1, weights: [] });
      assert.deepEqual(await intake.header(client, update), rejected(detail));
      assert.deepEqual(await intake.offer(client, at(A, change)), rejected(detail));
      await intake.idle();
      assert.deepEqual(intake.receipts, [receiptOf(client, update, 'deadline'), receiptOf(client, update, 'deadline')]);
      await Promise.all([intake.send('a', A), intake.send('b', B), intake.send('c', C)]);
      await intake.idle();
      assert.deepEqual(intake.mean, MEAN_ABC);
    });
  }
});

describe('an update in an encoding', () => {
  const open = (compression: string) => Intake.open({ work: { compression } });
  const encoded = (compression: string, { header, bytes }: Update): Update => {
    const sent = parseCodec(compression).encode(valuesOf(bytes));
    return sealed({ header, bytes: sent });
  };
  const sealed = ({ header, bytes }: Update): Update => {
    return at({ header, bytes }, { sha256: sha256Hex(bytes), sizeBytes: bytes.length });
  };

  it('is in the sum as what it decodes to', async () => {
    for (const compression of ['f16', 'bf16', 'top-k:1']) {
      const intake = await open(compression);
      for (const [client, update] of Object.entries({ a: A, b: B, c: C })) {
        assert.deepEqual(await intake.send(client, encoded(compression, update)), accepted, compression);
      }
      await intake.idle();
      assert.deepEqual(intake.mean, MEAN_ABC, compression); // whole numbers below 64 lose nothing
    }
  });

  it('of another length than its encoding has is rejected by its header', async () => {
    for (const [compression, sizeBytes] of Object.entries({ f16: 22, int8: 15, 'top-k:0.5': 48 })) {
      const intake = await open(compression);
      assert.deepEqual(await intake.header('a', A), rejected(`sizeBytes: expected ${sizeBytes}, got 44`));
    }
  });

  // of eleven numbers top-k:0.01 keeps one: index, value; int8 has one scale, then eleven bytes
  const words = (...values: readonly number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const NAN = 0x7fc00000;
  const hostile: Record<string, readonly [compression: string, bytes: Uint8Array, detail: RegExp]> = {
    'no number in two bytes': ['f16', new Uint8Array(22).fill(0xff), /^update of update\/w\[0\]: .* got NaN$/],
    'infinity in two bytes': [
      'bf16',
      Uint8Array.of(...Array(20).fill(0), 0x80, 0x7f),
      /^update of update\/b\[1\]: .* got Infinity$/,
    ],
    'a scale that is none': [
      'int8',
      new Uint8Array([...words(NAN), ...Array(11).fill(1)]),
      /^scale of block 0: .*NaN$/,
    ],
    'an index beyond the model': ['top-k:0.01', words(11, 0), /^index 0: expected 0\.\.10, got 11$/],
    'an index of four thousand million': ['top-k:0.01', words(2 ** 32 - 1, 0), /^index 0: .*got 4294967295$/],
    'an index twice': ['top-k:0.1', words(3, 3, 0, 0), /^index 1: expected 4\.\.10, got 3$/],
    'no number at an index': ['top-k:0.01', words(3, NAN), /^update of update\/w\[3\]: .* got NaN$/],
  };
  for (const [what, [compression, bytes, says]] of Object.entries(hostile)) {
    it(`with ${what} is one client's fault, by name, and the round goes on without it`, async () => {
      const intake = await open(compression);
      const bad = sealed({ header: A.header, bytes });
      const reply = await intake.send('a', bad);
      assert.equal(reply.outcome, 'rejected');
      assert.match(reply.detail, says);
      await intake.idle();
      assert.deepEqual(intake.receipts, [receiptOf('a', bad, 'invalid-update')]);
      for (const [client, update] of Object.entries({ b: B, c: C })) {
        assert.deepEqual(await intake.send(client, encoded(compression, update)), accepted);
      }
      await intake.idle();
      assert.equal(intake.sums.length, 1);
    });
  }
});

describe('an update that is late', () => {
  it('hears why its client was dropped, and so does its receipt', async () => {
    const intake = await Intake.open({ engine: { cohort: 2, overSelection: 0.5 } });
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    intake.post({ kind: 'declined', client: 'a', task, reason: 'dropout', detail: '' });
    await intake.idle();
    for (const answer of [intake.header('a', A), intake.offer('a', A)]) {
      assert.deepEqual(await answer, rejected('dropped: dropout'));
    }
    assert.deepEqual(intake.receipts, [receiptOf('a', A, 'dropout'), receiptOf('a', A, 'dropout')]);
  });

  it('comes while the model is made: others were faster', async () => {
    const intake = await Intake.open({ engine: { cohort: 2, overSelection: 0.5 } });
    assert.equal(await intake.header('b', B), undefined, 'the bytes are on their way');
    await Promise.all([intake.send('a', A), intake.send('c', C)]);
    assert.deepEqual(await intake.offer('b', B), rejected('dropped: superseded'));
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'superseded')]);
    await intake.stored();
    assert.deepEqual(intake.mean, MEAN_AC);
    intake.receipts.length = 0;
    assert.deepEqual(await intake.send('b', B), rejected('stale: expected round 2 attempt 1'), 'after the commit');
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'deadline')]);
  });

  it('comes when the deadline has closed its round', async () => {
    const intake = await Intake.open();
    assert.equal(await intake.header('b', B), undefined);
    await Promise.all([intake.send('a', A), intake.send('c', C)]);
    await intake.deadline();
    assert.deepEqual(await intake.offer('b', B), rejected('dropped: deadline'));
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'deadline')]);
    assert.deepEqual(intake.mean, MEAN_AC);
  });

  it('and was offered before the deadline, but after it in the queue, is not added', async () => {
    const intake = await Intake.open();
    await Promise.all([intake.send('a', A), intake.send('c', C)]);
    const { stage } = intake.state;
    intake.post({ kind: 'timer', id: `${stage.kind}/1/1` });
    assert.deepEqual(await intake.offer('b', B), rejected('dropped: deadline'));
    await intake.idle();
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'deadline')]);
    assert.deepEqual(intake.mean, MEAN_AC);
  });

  it('of an attempt that was given up is not in the sum of the next, which starts from zero', async () => {
    const intake = await Intake.open();
    assert.equal(await intake.header('b', B), undefined);
    assert.deepEqual(await intake.send('a', A), accepted);
    await intake.deadline();
    assert.deepEqual([intake.state.round, intake.state.attempt, intake.state.stage.kind], [1, 2, 'training']);
    assert.deepEqual(intake.receipts, [receiptOf('a', A, 'round-aborted')]);
    intake.receipts.length = 0;
    const stale = rejected('stale: expected round 1 attempt 2');
    assert.deepEqual(await intake.offer('b', B), stale, 'though the client is drawn again');
    assert.deepEqual(await intake.send('a', A), stale);
    assert.deepEqual(intake.receipts, [receiptOf('b', B, 'deadline'), receiptOf('a', A, 'deadline')]);
    await sendAll(intake, 2);
    assert.deepEqual(intake.mean, MEAN_ABC);
  });

  for (const attempt of [1, 2]) {
    it(`does not come before attempt ${attempt} is on disk either`, async () => {
      const intake = attempt === 1 ? new Intake() : await Intake.open();
      let written = () => {};
      intake.disk = new Promise((resolve) => {
        written = resolve;
      });
      for (const event of online('a', 'b', 'c')) intake.post(event);
      if (attempt === 2) intake.post({ kind: 'timer', id: 'training/1/1' });
      await turns();
      assert.deepEqual([intake.state.stage.kind, intake.state.attempt], ['training', attempt]);
      const early = intake.offer('a', at(A, { attempt }));
      written();
      assert.equal((await early).outcome, 'rejected', 'there is no sum yet that it could be in');
      assert.deepEqual(what(intake.receipts), ['a deadline']);
      await intake.idle();
      await sendAll(intake, attempt);
      assert.deepEqual(intake.mean, MEAN_ABC);
    });
  }
});

describe('a client that comes back with updates that it keeps', () => {
  it('hears nothing of one that is wanted, and the last word on any other', async () => {
    const intake = await Intake.open();
    const other = updateOf(filled(100), 3);
    assert.deepEqual(intake.reconnect('a', [pendingOf(A)]), [], 'its plan comes');
    await intake.send('a', A);
    assert.deepEqual(intake.reconnect('a', [pendingOf(A)]), [], 'it is in the sum');
    const foreign = [other, at(A, { attempt: 2 }), at(A, { round: 9 })];
    assert.deepEqual(
      intake.reconnect('a', [A, ...foreign].map(pendingOf)),
      foreign.map((update) => receiptOf('a', update, 'round-aborted')),
    );
    assert.deepEqual(intake.reconnect('z', [pendingOf(A)]), [receiptOf('z', A, 'round-aborted')]);
    assert.deepEqual(intake.reconnect('a', []), []);
    await Promise.all([intake.send('b', B), intake.send('c', C)]);
    assert.deepEqual(intake.reconnect('c', [pendingOf(C)]), [], 'while the model is made');
    await intake.stored();
    assert.deepEqual(intake.reconnect('a', [other, A, at(A, { attempt: 2 }), at(A, { round: 2 })].map(pendingOf)), [
      receiptOf('a', other, 'deadline'),
      receiptOf('a', A, 'committed'),
      receiptOf('a', at(A, { attempt: 2 }), 'deadline'),
    ]);
    assert.deepEqual(intake.reconnect('b', [pendingOf(A)]), [receiptOf('b', A, 'deadline')], "another client's");
  });

  it('hears that the attempt of its update was given up, or that it was dropped', async () => {
    const intake = await Intake.open();
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    intake.post({ kind: 'declined', client: 'a', task, reason: 'failed', detail: '' });
    await intake.idle();
    assert.deepEqual(intake.reconnect('a', [pendingOf(A)]), [receiptOf('a', A, 'round-aborted')]);
    await intake.deadline();
    assert.deepEqual(intake.reconnect('b', [pendingOf(B)]), [receiptOf('b', B, 'round-aborted')]);
  });
});
