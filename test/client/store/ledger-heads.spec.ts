/** What a client keeps of a coordinator's ledger, and of nobody else's. */
import assert from 'node:assert/strict';
import { Participant } from '../../../client/round/participant.js';
import { memoryStore } from '../../../client/store/updates.js';
import { FlError } from '../../../shared/errors.js';
import { identityFromSeed } from '../../../shared/identity.js';
import { type SignedHead, signHead } from '../../../shared/ledger/against.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { ControlEnd, CoordinatorFrame, ParticipantService } from '../../../shared/service.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { toyTrainer } from '../../support/toy.js';

const [coordinator, stranger, self] = [1, 2, 3].map((byte) => identityFromSeed(new Uint8Array(32).fill(byte)));
const head = { run: 'r', round: 1, lineSha256: 'a'.repeat(64) };

async function start(keepHead: (head: SignedHead) => Promise<void>) {
  let toClient: ControlEnd<CoordinatorFrame> | undefined;
  const notices: string[] = [];
  const connect = (end: ControlEnd<CoordinatorFrame>) => {
    toClient = end;
    return { send: () => {}, close: () => {} };
  };
  const participant = await Participant.start({
    ...{ service: { connect } as unknown as ParticipantService, client: 'c1', identity: self },
    ...{ coordinatorKey: coordinator.publicKey, store: memoryStore(), trainer: toyTrainer(), keepHead },
    ...{
      clock: new FakeClock(),
      rng: rngFromSeed(1),
      version: '0',
      notice: (message: string) => notices.push(message),
    },
  });
  return { participant, notices, send: (frame: SignedHead) => toClient!.send({ kind: 'ledger-head', ...frame }) };
}

describe('a participant that is told of a ledger line', () => {
  it('keeps what its coordinator has signed, and only that', async () => {
    const kept: SignedHead[] = [];
    const { participant, notices, send } = await start(async (one) => void kept.push(one));
    const good = signHead(head, coordinator);
    send(good);
    send(signHead(head, stranger));
    send({ ...good, head: { ...head, lineSha256: 'b'.repeat(64) } });
    await turns();
    assert.deepEqual(kept, [good]);
    assert.deepEqual(notices, Array(2).fill('ledger head ignored: not signed by the coordinator'));
    participant.stop();
    await participant.done;
  });

  it('ends when its disk does not take it', async () => {
    const { participant, send } = await start(() => Promise.reject(new FlError('resource-exhausted', 'disk full')));
    send(signHead(head, coordinator));
    await assert.rejects(participant.done, /disk full/);
  });
});
