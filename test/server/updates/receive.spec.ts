/** The one way of an update into a run: whose it is, what it weighs in traffic, and what is looked at before what. */
import assert from 'node:assert/strict';
import { UpdateReceiver } from '../../../server/updates/receive.js';
import { FlError } from '../../../shared/errors.js';
import type { UpdateHeader } from '../../../shared/run/plan.js';
import type { UploadReply } from '../../../shared/service.js';
import { sha256Hex, signedBytes } from '../../../shared/signing/identity.js';
import { FakeClock } from '../../support/fake-clock.js';
import { identityOf } from '../../support/peer.js';

const BYTES = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);
const HEADER: UpdateHeader = {
  ...{ run: 'r', round: 1, attempt: 1, weights: [1], metrics: {} },
  ...{ sha256: sha256Hex(BYTES), sizeBytes: BYTES.length },
};
const signedBy = (name: string, header = HEADER) => ({
  header,
  signature: identityOf(name).sign(signedBytes('update', header)),
});

/** @param early what the header alone decides */
function receiver(early?: UploadReply) {
  const traffic = { up: 0 };
  const offered: string[] = [];
  const updates = {
    answerHeader: async () => early,
    async offer(client: string, header: UpdateHeader, bytes: Uint8Array) {
      offered.push(`${client} ${header.round} ${Buffer.from(bytes).toString('hex')}`);
      return { outcome: 'accepted', detail: '' } as const;
    },
  };
  const self = new UpdateReceiver({
    clock: new FakeClock(),
    publicKeyOf: (name) => identityOf(name).publicKey,
    runOf(id) {
      if (id === 'r') return { updates, traffic };
      throw new FlError('not-found', `run ${id}`);
    },
  });
  return { self, traffic, offered };
}

async function* chunks(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function* never(): AsyncGenerator<Uint8Array> {
  assert.fail('a byte was read');
  yield BYTES;
}

/** Whole in a frame, and in pieces over a call. */
const WAYS = {
  whole: (self: UpdateReceiver, signed = signedBy('c1'), bytes = BYTES) => self.receiveWhole('c1', signed, bytes),
  'in pieces': (self: UpdateReceiver, signed = signedBy('c1'), bytes = BYTES) =>
    self.receive('c1', signed, 0, chunks(bytes.subarray(0, 3), bytes.subarray(3))),
};

for (const [how, receive] of Object.entries(WAYS)) {
  describe(`an update that comes ${how}`, () => {
    it('is offered under the name of its client, and its bytes are counted', async () => {
      const { self, traffic, offered } = receiver();
      assert.equal((await receive(self)).outcome, 'accepted');
      assert.deepEqual([offered, traffic.up], [['c1 1 01020304050607'], 7]);
    });

    it('is not taken under the signature of another, nor with a header that was not signed', async () => {
      const { self, traffic, offered } = receiver();
      const altered = { ...signedBy('c1'), header: { ...HEADER, weights: [1000] } };
      for (const signed of [signedBy('c2'), altered, { header: HEADER, signature: new Uint8Array(64) }]) {
        await assert.rejects(async () => receive(self, signed), {
          code: 'permission-denied',
          message: 'update header: the signature is not by client "c1"',
        });
      }
      assert.deepEqual([offered, traffic.up], [[], 0]);
    });

    it('is not offered when its bytes are not those that were signed', async () => {
      const { self, offered } = receiver();
      await assert.rejects(async () => receive(self, signedBy('c1'), BYTES.with(2, 9)), {
        code: 'corrupt',
        message: /^update: expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}$/,
      });
      assert.deepEqual(offered, []);
    });

    it('of a run that is not here is nobody’s', async () => {
      const { self } = receiver();
      const signed = signedBy('c1', { ...HEADER, run: 's' });
      await assert.rejects(async () => receive(self, signed), { code: 'not-found' });
    });
  });
}

describe('an update whose header decides by itself', () => {
  it('is answered before a byte is read, and never offered', async () => {
    const { self, offered } = receiver({ outcome: 'rejected', detail: 'stale' });
    assert.deepEqual(await self.receive('c1', signedBy('c1'), 0, never()), { outcome: 'rejected', detail: 'stale' });
    assert.equal((await self.receiveWhole('c1', signedBy('c1'), BYTES)).detail, 'stale');
    assert.deepEqual(offered, []);
  });
});

describe('an update that was cut', () => {
  it('says how much of it is here, for this update alone', async () => {
    const { self } = receiver();
    const cut = async function* () {
      yield BYTES.subarray(0, 3);
      throw new FlError('unavailable', 'cut');
    };
    await assert.rejects(self.receive('c1', signedBy('c1'), 0, cut()), /cut/);
    const { run, round, attempt, sha256 } = HEADER;
    const status = (change: object) => self.status('c1', { run, round, attempt, sha256, ...change });
    assert.deepEqual([status({}), status({ attempt: 2 }), status({ sha256: 'f'.repeat(64) })], [3, 0, 0]);
    assert.equal((await self.receive('c1', signedBy('c1'), 3, chunks(BYTES.subarray(3)))).outcome, 'accepted');
  });
});
