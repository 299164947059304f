/** Models down and updates up, over a network that a test breaks: what was cut goes on, and nothing goes unchecked. */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import { CHUNK_BYTES } from '../../../shared/service.js';
import { signedBytes, verifySignature } from '../../../shared/signing/identity.js';
import { bytesOf } from '../../../shared/tensors/bytes.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { turns } from '../../support/hand-fed.js';
import {
  clientKey,
  enterOne,
  heldTrainer,
  LARGE,
  MODEL,
  planOf,
  receiptFor,
  startKeeping,
  uploadingOne,
} from '../../support/one-client.js';
import { toyModel } from '../../support/toy.js';

const plan = planOf();
const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;

const { header, values, pending } = LARGE;

describe("a plan's model", () => {
  const other = toyModel();
  other.values[0] = 1;

  it('that is not the one of its hash is not trained on, and the plan is declined', async () => {
    const { trainer, asked } = heldTrainer();
    const { coordinator } = await enterOne({ trainer });
    coordinator.plan(plan, { model: encode(other) });
    await turns();
    const [decline] = coordinator.all('decline');
    assert.deepEqual([decline.task, decline.reason], [task, 'failed']);
    assert.match(decline.detail, /^model: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}$/);
    assert.deepEqual(asked, []);
  });

  for (const [how, cut] of [
    ['broke off', new FlError('unavailable', 'the network')],
    ['ended', undefined],
  ] as const) {
    it(`is fetched where it did not come whole, from where the call ${how}`, async () => {
      const { coordinator, clock } = await enterOne();
      coordinator.download = async function* (_, { sha256, offset }) {
        assert.equal(sha256, MODEL.sha256);
        coordinator.downloads.push(offset);
        yield MODEL.file.subarray(offset, offset + 100);
        if (coordinator.downloads.length === 1 && cut !== undefined) throw cut;
        if (coordinator.downloads.length === 1) return;
        yield MODEL.file.subarray(offset + 100);
      };
      coordinator.plan(plan, { model: MODEL.file.subarray(1) });
      await turns();
      assert.equal(coordinator.all('small-update').length, 0);
      clock.advance(500);
      await turns();
      assert.deepEqual(coordinator.downloads, [0, 100]);
      assert.equal(coordinator.all('small-update').length, 1);
    });
  }

  it('is not fetched any further once its plan was withdrawn', async () => {
    const { coordinator, clock } = await enterOne();
    coordinator.download = async function* (_, { offset }) {
      coordinator.downloads.push(offset);
      yield new Uint8Array(1);
      throw new FlError('unavailable', 'the network');
    };
    coordinator.plan(plan, { model: new Uint8Array(0) });
    await turns();
    coordinator.withdraw(plan);
    clock.advance(500);
    await turns();
    assert.deepEqual(coordinator.downloads, [0]);
  });

  it('is fetched again under a hash that is known, and must be the same file', async () => {
    const { coordinator } = await enterOne();
    const files = [encode(other), MODEL.file];
    coordinator.download = async function* () {
      yield files.shift()!;
    };
    coordinator.plan(plan);
    await turns();
    for (const round of [2, 3]) {
      coordinator.plan(planOf({ round }), { model: new Uint8Array(0) });
      await turns();
    }
    const details = coordinator.all('decline').map(({ task: { round }, detail }) => [round, detail]);
    assert.deepEqual(details, [[2, 'model: not the file that its hash stood for before']]);
    assert.deepEqual(
      coordinator.all('small-update').map(({ signed }) => signed.header.round),
      [1, 3],
    );
  });

  it('is refused when it is longer than the plan says, or the plan says more than it can be', async () => {
    const one = await enterOne();
    one.coordinator.download = async function* () {
      yield Buffer.concat([MODEL.file, new Uint8Array(1)]);
    };
    one.coordinator.plan(plan, { model: new Uint8Array(0) });
    await turns();
    one.coordinator.plan(planOf({ round: 2, modelSizeBytes: 1e9 }), { model: new Uint8Array(0) });
    await turns();
    const details = one.coordinator.all('decline').map(({ detail }) => detail);
    const tooLarge = 'model: expected at most 2097176 bytes; another attempt would fail alike';
    assert.deepEqual(details, ['model: longer than the plan says', tooLarge]);
  });

  it('is not waited for once the stream is gone: its plan comes again', async () => {
    const one = await enterOne();
    one.coordinator.download = async function* () {
      yield new Uint8Array(0);
      throw new FlError('unavailable', 'the network');
    };
    one.coordinator.plan(plan, { model: new Uint8Array(0) });
    await turns();
    one.coordinator.breakOff();
    one.clock.advance(500);
    await turns();
    assert.equal(one.notices.at(-1)?.fields.message, 'not connected');
  });
});

async function bytesIn(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    assert.ok(chunk.length <= CHUNK_BYTES);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

describe('a participant that keeps an update', () => {
  it('announces it whenever it comes in, until its last word', async () => {
    const { coordinator, clock } = await startKeeping();
    coordinator.welcome();
    coordinator.breakOff();
    clock.advance(500);
    coordinator.welcome();
    assert.deepEqual(
      coordinator.all('proof').map((proof) => proof.pending),
      [[pending], [pending]],
    );
    coordinator.receipt(receiptFor(header));
    coordinator.breakOff();
    clock.advance(1000);
    coordinator.welcome();
    assert.deepEqual(coordinator.all('proof').at(-1)?.pending, []);
  });

  it('offers what it made while it was away as soon as it is let in, and not before', async () => {
    const { trainer, go } = heldTrainer();
    const { coordinator, clock } = await enterOne({ trainer });
    coordinator.plan(plan);
    await turns();
    coordinator.breakOff();
    clock.advance(500);
    go();
    await turns();
    assert.equal(coordinator.all('small-update').length, 0);
    coordinator.welcome(2);
    await turns();
    assert.equal(coordinator.all('small-update').length, 1);
  });

  it('waits longer each time that it is turned away, and as at first once it was let in', async () => {
    const { coordinator, notices, clock } = await startKeeping();
    const waits = () => notices.flatMap(({ fields }) => (fields.delayMs === undefined ? [] : Number(fields.delayMs)));
    for (let i = 0; i < 9; i++) {
      coordinator.breakOff();
      clock.advance(30_000);
    }
    for (const [i, delayMs] of waits().entries()) {
      const ceilingMs = Math.min(30_000, 500 * 2 ** i);
      assert.ok(delayMs >= ceilingMs / 2 && delayMs <= ceilingMs, `${i}: ${delayMs}`);
    }
    coordinator.welcome();
    coordinator.breakOff();
    assert.ok(waits().at(-1)! <= 500);
  });

  it('sends it again when the call that failed was older than the session of now', async () => {
    const { coordinator, clock } = await uploadingOne();
    coordinator.breakOff();
    clock.advance(1000);
    coordinator.welcome(2);
    coordinator.plan(plan); // the plan comes again while the first call is still open
    await turns();
    const sessions = () => coordinator.uploads.map(({ session }) => session);
    assert.deepEqual(sessions(), [1]);
    coordinator.uploads[0].reject(new FlError('permission-denied', 'session: not known'));
    await turns();
    clock.advance(1000);
    await turns();
    assert.deepEqual(sessions(), [1, 2]);
  });

  it('goes on where the coordinator has it, byte for byte', async () => {
    const { coordinator, clock } = await uploadingOne();
    const [first] = coordinator.uploads;
    assert.equal(first.offset, 0);
    assert.ok((await bytesIn(first.chunks)).equals(bytesOf(values)));
    coordinator.heldBytes = 1000;
    first.reject(new FlError('unavailable', 'the network'));
    await turns();
    clock.advance(500);
    await turns();
    const second = coordinator.uploads[1];
    assert.equal(second.offset, 1000);
    assert.ok((await bytesIn(second.chunks)).equals(bytesOf(values).subarray(1000)));
    const { signature } = second.signed;
    assert.ok(verifySignature(clientKey.publicKey, signedBytes('update', header), signature));
  });

  it('keeps it whatever the call replies, for a receipt is the last word, and logs what it was told', async () => {
    for (const outcome of ['accepted', 'rejected'] as const) {
      const { coordinator, store, notices } = await uploadingOne();
      coordinator.uploads[0].resolve({ outcome, detail: 'the round is over' });
      await turns();
      assert.deepEqual(await store.list(), [pending]);
      const told = notices.filter(({ message }) => message === 'update rejected').map(({ fields }) => fields);
      assert.deepEqual(told, outcome === 'accepted' ? [] : [{ ...pending, reason: 'the round is over' }]);
      coordinator.plan(plan);
      await turns();
      assert.equal(coordinator.uploads.length, 2, 'asked for again, it goes again');
    }
  });

  it('that is stopped while it waits to come back, or to upload again, waits no more', async () => {
    const { coordinator, clock, participant } = await uploadingOne();
    coordinator.uploads[0].reject(new FlError('unavailable', 'the network'));
    await turns();
    coordinator.breakOff();
    await turns();
    assert.equal(clock.waiting, 2);
    participant.stop();
    assert.equal(clock.waiting, 0);
    await participant.done;
  });

  it('does not try again what the coordinator of now refuses', async () => {
    const { coordinator, clock, notices } = await uploadingOne();
    coordinator.uploads[0].reject(new FlError('invalid-argument', 'update: too long'));
    await turns();
    clock.advance(100_000);
    await turns();
    assert.equal(coordinator.uploads.length, 1);
    assert.deepEqual(notices.at(-1), { message: 'upload failed', fields: { ...pending, reason: 'update: too long' } });
  });
});
