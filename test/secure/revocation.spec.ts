/**
 * A client is revoked in the middle of a round, over TLS: its stream ends with words, the round goes on with the others, and
 * the model is to the bit, or to the grid of secure aggregation, the one of a federation that it never was in.
 *
 * The bound of a masked model: each round rounds the mean by less than one step and halves the error before it, so less
 * than two steps in all; equals-plain.spec.ts has the derivation.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectAdmin } from '../../client/grpc/admin.js';
import { decodeJoinToken } from '../../shared/join-token.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { TaskId } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { parseFrame } from '../../shared/secagg/frames.js';
import { signedBytes } from '../../shared/signing/identity.js';
import { signRenewal } from '../../shared/signing/login.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { issue } from '../../shared/tls/certificate.js';
import { quantizationStep } from '../support/quantization.js';
import { toyExpected, toyModel, toySpec } from '../support/toy.js';
import { ADMIN_TOKEN, UPDATE } from '../transport/fake-coordinator.js';
import { Door, NAMES } from './door.js';
import { SECURE } from './hostile-coordinator.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const OTHERS = ['c-1', 'c-2', 'c-3'];
const ROUNDS = 2;
const REVOKED = /client "c-4" is revoked \(laptop stolen\)/;

const summariesOf = (events: readonly RunEvent[]) =>
  events.flatMap((event) => (event.kind === 'round-ended' ? [event.summary] : []));

for (const isSecure of [false, true]) {
  describe(`a client that is revoked in ${isSecure ? 'a secure' : 'a plain'} round`, () => {
    let door: Door;
    beforeEach(async () => {
      door = await Door.open();
    });
    afterEach(() => door.close());

    async function revoke(): Promise<void> {
      const subject = { kind: 'operator', name: 'admin' } as const;
      const { certificate, key } = await issue(door.authority, { subject, nowMs: Date.now() });
      const tls = () => ({ certificate, key, authorities: [door.authority.certificate] });
      const operator = connectAdmin(door.server.address, ADMIN_TOKEN, { tls });
      await operator.setStanding({ client: 'c-4', change: 'revoke', reason: 'laptop stolen' });
      operator.close();
      assert.deepEqual(
        await door.online(),
        OTHERS,
        'its stream has ended when the operator is told that it is revoked',
      );
    }

    /** The run's events, once it has ended; `seen` hears of each at once. */
    async function run(seen: (event: RunEvent) => void = () => {}) {
      for (const [client, { tls }] of door.homes) await door.start(client, door.dial(tls));
      while ((await door.online()).length < NAMES.length) await turn();
      const { engine, work } = toySpec({ rounds: ROUNDS, minClients: 3 });
      const spec: RunSpec = { engine, work: { ...work, ...(isSecure && { secure: SECURE }) } };
      await door.coordinator.createRun(spec, encode(toyModel()), { id: 'r', directory: join(door.directory, 'run') });
      const events: RunEvent[] = [];
      for await (const line of door.coordinator.admin.watchRun('r')) {
        const event = JSON.parse(line) as RunEvent;
        events.push(event);
        seen(event);
      }
      return events;
    }

    async function assertModelOfTheOthers(): Promise<void> {
      const { modelSha256 } = JSON.parse((await door.coordinator.admin.getRun('r')).report);
      const file = await readFile(join(door.directory, 'run', 'models', `${modelSha256}.safetensors`));
      const expected = toyExpected(OTHERS, ROUNDS);
      const bound = isSecure ? 2 * quantizationStep(SECURE, 3) + 2 ** -21 : 0;
      for (const value of decode(file).params.values) {
        assert.ok(Math.abs(value - expected) <= bound, `${value} is not ${expected}`);
      }
      const ledger = await readFile(join(door.directory, 'run', 'ledger.jsonl'), 'utf8');
      assert.ok(!/"survivors":[^\]]*c-4/.test(ledger), 'no round says that it was in it');
    }

    const told = async () => {
      while (!door.notices.some((notice) => /^c-4: ended/.test(notice))) await turn();
      assert.match(door.notices.find((notice) => /^c-4: ended/.test(notice))!, REVOKED);
    };

    it('before it has answered is dropped with the reason, and the attempt goes on with the survivors', async () => {
      let revoked: Promise<void> | undefined;
      door.duringRound = () => {
        revoked ??= revoke();
        return revoked;
      };
      const events = await run();
      await told();
      const [round] = summariesOf(events);
      assert.deepEqual([round.round, round.survivors], [1, 3]);
      assert.deepEqual(
        round.dropped.map(({ client, reason }) => `${client} ${reason}`),
        ['c-4 excluded'],
      );
      assert.match(round.dropped[0].detail ?? '', REVOKED);
      assert.deepEqual(
        events.filter(({ kind }) => kind === 'round-aborted'),
        [],
      );
      await assertModelOfTheOthers();
    });

    it('after its update is in the sum costs the attempt, and the next one is without it', async () => {
      let revoked: Promise<void> | undefined;
      let isIn: () => void = () => {};
      const arrival = new Promise<void>((resolve) => {
        isIn = resolve;
      });
      // what follows its update, or its masked vector, on the stream is handled after it
      door.sent = (client, frame, send) => {
        const isMasked = frame.kind === 'secure' && parseFrame(frame.frame).type === 'masked';
        if (client !== 'c-4' || !(isMasked || frame.kind === 'small-update')) return;
        const task: TaskId = { run: 'r', kind: 'train', round: 1, attempt: 1 };
        send({ kind: 'progress', task, stepsDone: 1, stepsTotal: 1 });
      };
      door.duringRound = (client) => {
        if (client === 'c-4') return;
        revoked ??= arrival.then(turn).then(revoke);
        return revoked;
      };
      const events = await run((event) => {
        if (event.kind === 'progress' && event.client === 'c-4') isIn();
      });
      await told();
      const aborted = events.flatMap((event) => (event.kind === 'round-aborted' ? [event.reason] : []));
      assert.equal(aborted.length, 1);
      assert.match(aborted[0], isSecure ? /member-excluded/ : /the update of c-4, which was excluded, was in/);
      const survivors = summariesOf(events).map((round) => round.survivors);
      assert.deepEqual(survivors, [3, 3]);
      await assertModelOfTheOthers();
    });
  });
}

describe('the certificate of a client that is revoked', () => {
  let door: Door;
  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(() => door.close());

  it('opens nothing: no call by an old session, no stream, no renewal, and its key joins with no other token', async () => {
    const { tls, identity } = door.homes.get('c-4')!;
    await door.start('c-4', door.dial(tls));
    while (!door.sessions.has('c-4')) await turn();
    const { session } = door.sessions.get('c-4')!;
    await door.coordinator.admin.setStanding({ client: 'c-4', change: 'revoke', reason: 'laptop stolen' });
    const denied = (message: RegExp) => ({ code: 'permission-denied', message });
    await assert.rejects(door.dial(tls).uploadStatus(session, UPDATE), denied(REVOKED));
    await assert.rejects(async () => {
      for await (const _ of door.dial(tls).download(session, { run: 'r', sha256: UPDATE.sha256, offset: 0 }));
    }, denied(REVOKED));
    const again = await door.start('c-4', door.dial(tls));
    await assert.rejects(again.done, { message: REVOKED });
    assert.deepEqual(await door.online(), []);
    const coordinatorKey = (await door.dial(tls).identify({ address: door.server.address, nonce: new Uint8Array(32) }))
      .coordinatorKey;
    const renewal = { client: 'c-4', signature: signRenewal(identity, { client: 'c-4', coordinatorKey }) };
    await assert.rejects(door.dial(tls).renew!(renewal), denied(REVOKED));
    const token = decodeJoinToken(await door.token('other')).secret;
    const signature = identity.sign(signedBytes('enrolment', token));
    const request = { token, publicKey: identity.publicKey, signature };
    await assert.rejects(door.dial(tls).enrol(request), denied(/this key of client "c-4" is revoked/));
  });

  it('is good again after a suspension: the client comes back by itself, and is told why it could not', async () => {
    const { tls } = door.homes.get('c-4')!;
    await door.start('c-4', door.dial(tls));
    while ((await door.online()).length < 1) await turn();
    await door.coordinator.admin.setStanding({ client: 'c-4', change: 'suspend', reason: 'moving' });
    assert.deepEqual(await door.online(), []);
    while (!door.notices.some((notice) => /sent away.*c-4\W+ is suspended \(moving\)/.test(notice))) await turn();
    await door.coordinator.admin.setStanding({ client: 'c-4', change: 'resume', reason: '' });
    while ((await door.online()).length < 1) await turn();
  });
});
