/** What a client keeps of a coordinator's ledger, and of nobody else's. */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import { type SignedHead, signHead } from '../../../shared/ledger/against.js';
import { turns } from '../../support/hand-fed.js';
import { coordinatorKey, startOne, strangerKey } from '../../support/one-client.js';

const head = { run: 'r', round: 1, lineSha256: 'a'.repeat(64) };

async function start(keepHead: (head: SignedHead) => Promise<void>) {
  const { participant, notices, coordinator } = await startOne({ keepHead });
  return { participant, notices, send: (frame: SignedHead) => coordinator.send({ kind: 'ledger-head', ...frame }) };
}

describe('a participant that is told of a ledger line', () => {
  it('keeps what its coordinator has signed, and only that', async () => {
    const kept: SignedHead[] = [];
    const { participant, notices, send } = await start(async (one) => void kept.push(one));
    const good = signHead(head, coordinatorKey);
    send(good);
    send(signHead(head, strangerKey));
    send({ ...good, head: { ...head, lineSha256: 'b'.repeat(64) } });
    await turns();
    assert.deepEqual(kept, [good]);
    assert.deepEqual(
      notices.map(({ message }) => message),
      Array(2).fill('ledger head ignored: not signed by the coordinator'),
    );
    participant.stop();
    await participant.done;
  });

  it('ends when its disk does not take it', async () => {
    const { participant, send } = await start(() => Promise.reject(new FlError('resource-exhausted', 'disk full')));
    send(signHead(head, coordinatorKey));
    await assert.rejects(participant.done, /disk full/);
  });
});
