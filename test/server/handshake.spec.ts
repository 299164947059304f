/** The handshake by itself, with a peer that says what it likes: nonces, and who is told of whom, and once. */
import assert from 'node:assert/strict';
import { type Connection, login } from '../../server/login.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { ClientFrame, CoordinatorFrame } from '../../shared/service.js';
import { type Login, signProof } from '../../shared/signing/login.js';
import { FakeClock } from '../support/fake-clock.js';
import { coordinatorIdentity, identityOf } from '../support/peer.js';

function open() {
  const clock = new FakeClock();
  const told: string[] = [];
  const rng = rngFromSeed(1);
  const deps = {
    ...{ clock, rng, identity: coordinatorIdentity, addresses: () => ['lab:1'], isHere: () => false },
    registry: {
      get: (client: string) => ({ client, publicKey: identityOf(client).publicKey, enrolledAtMs: 0 }),
      refusalOf: () => undefined,
    },
    entered: ({ client }: Connection) => void told.push(`entered ${client}`),
    received: ({ client }: Connection, { kind }: ClientFrame) => void told.push(`${client} says ${kind}`),
    left: ({ client }: Connection) => void told.push(`left ${client}`),
  };
  const connect = () => {
    const frames: CoordinatorFrame[] = [];
    const end = login({ send: (frame) => frames.push(frame), close: () => undefined }, deps);
    const hello = (nonce = new Uint8Array(32).fill(7)) => {
      end.send({ kind: 'hello', client: 'c1', version: '0', address: 'lab:1', nonce });
      return frames.at(-1)!;
    };
    const prove = (clientNonce = new Uint8Array(32).fill(7)) => {
      const challenge = frames.find((frame) => frame.kind === 'challenge')!;
      const about: Login = {
        ...{ client: 'c1', address: 'lab:1', coordinatorKey: coordinatorIdentity.publicKey },
        ...{ clientNonce, nonce: challenge.nonce },
      };
      const said = { challenge: challenge.signature, pending: [] };
      end.send({ kind: 'proof', pending: [], signature: signProof(identityOf('c1'), about, said) });
    };
    return { frames, end, hello, prove };
  };
  return { clock, told, connect };
}

const goodbye = (frame: CoordinatorFrame | undefined) => (frame?.kind === 'goodbye' ? frame.reason : undefined);

describe('a handshake', () => {
  it('has a nonce of the coordinator’s own, whatever nonce the client brings', () => {
    const { connect } = open();
    const [one, two] = [connect().hello(), connect().hello()];
    assert.ok(one.kind === 'challenge' && two.kind === 'challenge');
    assert.notDeepEqual(one.nonce, two.nonce);
    assert.notDeepEqual(one.nonce, new Uint8Array(32).fill(7));
  });

  it('is not begun with a nonce of another length', () => {
    for (const length of [0, 31, 33]) {
      const { connect } = open();
      assert.match(goodbye(connect().hello(new Uint8Array(length))) ?? '', /^hello: expected the address .* nonce/);
    }
  });

  it('is followed by what the client says, and one word when it leaves, however often its stream ends', () => {
    const { told, connect } = open();
    const peer = connect();
    peer.hello();
    peer.prove();
    peer.end.send({
      kind: 'progress',
      task: { run: 'r', kind: 'train', round: 1, attempt: 1 },
      stepsDone: 1,
      stepsTotal: 2,
    });
    peer.end.close('the network');
    peer.end.close('the network');
    assert.deepEqual(told, ['entered c1', 'c1 says progress', 'left c1']);
  });

  it('that has ended begins with hello again: a proof of the challenge before is worth nothing', () => {
    const { told, connect } = open();
    const peer = connect();
    peer.hello();
    peer.end.close('the network');
    peer.prove();
    assert.deepEqual(told, []);
    assert.equal(goodbye(peer.frames.at(-1)), 'expected hello, got proof');
  });

  it('that has come to its end in time is not timed out', () => {
    const { clock, told, connect } = open();
    const peer = connect();
    peer.hello();
    clock.advance(9999);
    peer.prove();
    clock.advance(60_000);
    assert.deepEqual([told, clock.waiting, goodbye(peer.frames.at(-1))], [['entered c1'], 0, undefined]);
    const late = connect();
    late.hello();
    clock.advance(10_000);
    late.prove();
    assert.equal(goodbye(late.frames[1]), 'no proof of identity in time');
    assert.deepEqual(told, ['entered c1']);
  });
});
