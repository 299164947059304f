/** A client at a challenge by another key than the one it knows: it follows signed words, and nothing else. */
import assert from 'node:assert/strict';
import { Connection } from '../../../client/round/connection.js';
import { systemClock } from '../../../shared/clock.js';
import { toHex } from '../../../shared/hex.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, ParticipantService } from '../../../shared/service.js';
import { type HandOver, signHandOver } from '../../../shared/signing/hand-over.js';
import { type Identity, identityFromSeed } from '../../../shared/signing/identity.js';
import { IN_PROCESS, signChallenge } from '../../../shared/signing/login.js';

const [first, second, third, thief, lab] = [1, 2, 3, 9, 20].map((n) => identityFromSeed(new Uint8Array(32).fill(n)));
const words = [signHandOver('coordinator', first, second), signHandOver('coordinator', second, third)];

/** What a client that knows `known` does at a challenge by `by`, shown these words. */
function meet(known: Identity, by: Identity, handOvers: readonly HandOver[]) {
  const followed: string[] = [];
  const said: ClientFrame['kind'][] = [];
  const notices: string[] = [];
  const service = {
    connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
      return {
        send(frame) {
          said.push(frame.kind);
          if (frame.kind !== 'hello') return;
          const nonce = new Uint8Array(32).fill(5);
          const about = { client: 'lab', address: IN_PROCESS, clientNonce: frame.nonce, nonce };
          const signature = signChallenge(by, { ...about, coordinatorKey: by.publicKey, channel: undefined });
          toClient.send({ kind: 'challenge', nonce, signature, handOvers });
        },
        close: (reason) => void notices.push(String(reason)),
      };
    },
  } as unknown as ParticipantService;
  const connection = new Connection({
    ...{ service, client: 'lab', identity: lab, coordinatorKey: known.publicKey, version: 'test' },
    ...{ clock: systemClock, rng: rngFromSeed(1), pending: () => [], shown: () => ({ tasks: [], heads: [] }) },
    ...{ connected: () => {}, disconnected: () => {}, receive: () => {}, sentAway: () => {}, notice: () => {} },
    handedOver: (key) => followed.push(toHex(key)),
  });
  connection.open();
  connection.close('the test is over');
  return { followed, said, notices };
}

describe('a client whose coordinator has another key', () => {
  it('follows its word, by however many keys it is behind, and says nothing before it has', () => {
    for (const [known, shown] of [
      [first, words],
      [second, words],
    ] as const) {
      const { followed, said } = meet(known, third, shown);
      assert.deepEqual(followed, [toHex(third.publicKey)]);
      assert.deepEqual(said, ['hello'], 'no proof goes to a key that is not written down yet');
    }
  });

  const impostors: Record<string, readonly [Identity, Identity, readonly HandOver[]]> = {
    'a stranger without a word': [first, thief, []],
    'a stranger with the words of others': [first, thief, words],
    'a word that the old key has not signed': [
      first,
      thief,
      [{ ...signHandOver('coordinator', second, thief), from: toHex(first.publicKey) }],
    ],
    'a word of the old key to somebody else, changed': [first, thief, [{ ...words[0], to: toHex(thief.publicKey) }]],
    'the stolen old key, with its word on the one that it gave to': [second, first, words],
    'the stolen old key, which it is behind of': [third, first, words],
    'a word of a client that has the name of a coordinator': [
      first,
      thief,
      [signHandOver({ client: 'coordinator' }, first, thief)],
    ],
  };
  for (const [what, [known, by, shown]] of Object.entries(impostors)) {
    it(`does not believe ${what}`, () => {
      const { followed, said, notices } = meet(known, by, shown);
      assert.deepEqual(followed, []);
      assert.deepEqual(said, ['hello']);
      assert.match(notices[0], /who is there is not believed/);
    });
  }
});
