/** The shell around the session, against a coordinator that is played by hand. */
import assert from 'node:assert/strict';
import type { TaskRunner } from '../../../client/training/task.js';
import type { Receipt } from '../../../shared/run/plan.js';
import { type Answer, isAnswerOf, signAnswer } from '../../../shared/signing/answers.js';
import { signedBytes, verifySignature } from '../../../shared/signing/identity.js';
import { isProof } from '../../../shared/signing/login.js';
import { signReceipts } from '../../../shared/signing/receipts.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { decodeClientFrame, encodeClientFrame } from '../../../shared/wire/client-frames.js';
import { MAX_TEXT_CHARS } from '../../../shared/wire/limits.js';
import { turns } from '../../support/hand-fed.js';
import {
  clientKey,
  coordinatorKey,
  enterOne,
  heldTrainer,
  LARGE,
  MODEL,
  NONCE,
  planOf,
  receiptFor,
  startKeeping,
  startOne,
  strangerKey,
  trainedOne,
} from '../../support/one-client.js';

const plan = planOf();
const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
/** As the client of these tests says it; Ed25519 signs equal bytes equally. */
const signed = (answer: Answer) => signAnswer(clientKey, 'c1', answer);

describe('a participant', () => {
  it('proves who it is over the challenge of this stream', async () => {
    const { coordinator } = await startOne();
    const [{ address, nonce: clientNonce }] = coordinator.all('hello');
    const challenge = coordinator.challenge();
    coordinator.send(challenge);
    const [{ signature, pending }] = coordinator.all('proof');
    const login = { client: 'c1', address, coordinatorKey: coordinatorKey.publicKey, clientNonce, nonce: NONCE };
    assert.ok(isProof(clientKey.publicKey, login, { challenge: challenge.signature, pending, signature }));
    assert.deepEqual([address, clientNonce.length, pending], ['in-process', 32, []]);
  });

  it('cuts a detail that is too long before it signs it, so that what arrives is what was signed', async () => {
    const detail = 'x'.repeat(MAX_TEXT_CHARS + 1);
    const { coordinator } = await enterOne({ declineReason: () => ({ reason: 'refused', detail }) });
    coordinator.plan(plan);
    await turns();
    const [decline] = coordinator.all('decline');
    assert.equal(decline.detail.length, MAX_TEXT_CHARS);
    const arrived = decodeClientFrame(encodeClientFrame(decline));
    assert.ok(arrived.kind === 'decline' && isAnswerOf(clientKey.publicKey, 'c1', arrived));
  });

  it('trains, and sends the update signed and under a header that tells the truth', async () => {
    const { coordinator, header: made } = await trainedOne();
    const [{ signed, data }] = coordinator.all('small-update');
    assert.deepEqual([...new Float32Array(Uint8Array.from(data).buffer)], Array(6).fill(0.5)); // (1 - 0) / 2
    const expected = { ...task, sha256: sha256Of({ values: new Float32Array(6).fill(0.5) }), sizeBytes: 24 };
    const { kind: _, ...of } = expected;
    assert.deepEqual(made, { ...of, weights: [1, 1], metrics: { loss: { sum: [0.5], count: 1 } } });
    assert.ok(verifySignature(clientKey.publicKey, signedBytes('update', made), signed.signature));
  });

  it('answers an evaluation with metrics, and keeps nothing', async () => {
    const { coordinator, store } = await enterOne();
    coordinator.plan(planOf({ kind: 'evaluate' }));
    await turns();
    const metrics = { loss: { sum: [6], count: 1 } };
    assert.deepEqual(coordinator.all('evaluation'), [
      signed({ kind: 'evaluation', task: { ...task, kind: 'evaluate' }, metrics }),
    ]);
    assert.deepEqual(await store.list(), []);
  });

  it('says that it failed when its metrics are not finite, for these cannot be signed', async () => {
    const run: TaskRunner['run'] = async () =>
      ({ kind: 'evaluate', metrics: { loss: { sum: [NaN], count: 1 } } }) as never;
    const { coordinator } = await enterOne({ trainer: { run } });
    coordinator.plan(planOf({ kind: 'evaluate' }));
    await turns();
    assert.deepEqual(
      coordinator.all('decline').map(({ reason, task: of }) => [reason, of.kind]),
      [['failed', 'evaluate']],
    );
    assert.deepEqual(coordinator.all('evaluation'), []);
  });

  it('says why it does not follow a plan, and does nothing for it', async () => {
    const { trainer, asked } = heldTrainer();
    const decline = { reason: 'refused', detail: 'policy: min-cohort: expected at least 10, got 4' } as const;
    const seen: number[] = [];
    const declineReason = ({ round }: { round: number }) => {
      seen.push(round);
      return round === 1 ? decline : undefined;
    };
    const { coordinator, notices } = await enterOne({ trainer, declineReason });
    coordinator.plan(plan);
    await turns();
    assert.deepEqual(coordinator.all('decline'), [signed({ kind: 'decline', task, ...decline })]);
    const [told] = notices.filter(({ message }) => message === 'plan declined');
    assert.deepEqual(told?.fields, { ...task, ...decline }, 'at the site, too');
    coordinator.plan(planOf({ round: 2 }));
    await turns();
    assert.deepEqual([seen, asked.map(({ round }) => round)], [[1, 2], [2]]);
  });

  it('says how far it is, once a second at most', async () => {
    const { trainer, asked } = heldTrainer();
    const { coordinator, clock } = await enterOne({ trainer });
    coordinator.plan(plan);
    await turns();
    const { onProgress } = asked[0];
    onProgress!(1, 10);
    assert.equal(coordinator.all('progress').length, 0, 'not in its first second');
    for (const steps of [2, 3, 4]) {
      clock.advance(500);
      onProgress!(steps, 10);
      onProgress!(steps, 10);
    }
    clock.advance(500);
    onProgress!(5, 10);
    assert.deepEqual(
      coordinator.all('progress').map((frame) => [frame.task, frame.stepsDone, frame.stepsTotal]),
      [
        [task, 3, 10],
        [task, 5, 10],
      ],
    );
  });

  it('says of a protected run how far it is and not of how many steps, which tell its examples', async () => {
    const { trainer, asked } = heldTrainer();
    const { coordinator, clock } = await enterOne({ trainer });
    const privacy = { mode: 'local', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 4 } as const;
    coordinator.plan(planOf({ work: { ...plan.work, privacy } }));
    await turns();
    clock.advance(1000);
    asked[0].onProgress!(3, 7);
    const [{ stepsDone, stepsTotal }] = coordinator.all('progress');
    assert.deepEqual([stepsDone, stepsTotal], [42, 100]); // 300 / 7 = 42.9
  });

  it('stops a task that is withdrawn, and says nothing of it', async () => {
    const { trainer, asked, go } = heldTrainer();
    const { coordinator, store } = await enterOne({ trainer });
    coordinator.plan(plan);
    await turns();
    coordinator.withdraw(planOf({ attempt: 2 }));
    assert.equal(asked[0].signal?.aborted, false, 'another');
    coordinator.withdraw(plan);
    assert.equal(asked[0].signal?.aborted, true);
    go();
    await turns();
    assert.deepEqual(
      coordinator.frames.map(({ kind }) => kind),
      ['hello', 'proof'],
    );
    assert.deepEqual(await store.list(), []);
  });

  it('says that it leaves the round when it is stopped at work, and only then', async () => {
    const { trainer, asked } = heldTrainer();
    const { coordinator, participant } = await enterOne({ trainer });
    coordinator.plan(plan);
    await turns();
    participant.stop();
    participant.stop();
    assert.deepEqual(coordinator.all('decline'), [
      signed({ kind: 'decline', task, reason: 'dropout', detail: 'the client shuts down' }),
    ]);
    assert.equal(asked[0].signal?.aborted, true);
    assert.equal(coordinator.closed, 'the client shuts down');
    await participant.done;
    const { participant: idle, coordinator: other } = await trainedOne();
    idle.stop();
    assert.equal(other.all('decline').length, 0, 'what it was at is done');
  });

  it('comes back after a goodbye for now, and ends at one for good', async () => {
    const { coordinator, participant, clock } = await enterOne();
    coordinator.send({ kind: 'goodbye', reason: 'another process is here', retry: true });
    coordinator.breakOff();
    clock.advance(499); // between half and the whole of 500 ms
    clock.advance(1);
    assert.equal(coordinator.all('hello').length, 2);
    coordinator.send(coordinator.challenge());
    coordinator.send({ kind: 'goodbye', reason: 'not enrolled', retry: false });
    assert.equal(coordinator.closed, 'sent away');
    coordinator.send(coordinator.challenge());
    assert.equal(coordinator.all('proof').length, 2, 'it hears nothing more');
    coordinator.breakOff();
    await assert.rejects(participant.done, { code: 'permission-denied', message: /refused this client: not enrolled/ });
    clock.advance(1e9);
    assert.equal(coordinator.all('hello').length, 2);
  });
});

describe('a plan that is not as the coordinator signed it', () => {
  it('is not followed, and the log says why', async () => {
    const { trainer, asked } = heldTrainer();
    const { coordinator, notices } = await enterOne({ trainer });
    coordinator.plan(plan, { signer: strangerKey });
    const [body, altered] = [plan, planOf({ round: 3 })].map((one) => new TextEncoder().encode(JSON.stringify(one)));
    const signature = coordinatorKey.sign(signedBytes('plan', plan));
    coordinator.send({ kind: 'plan', body: altered, signature, model: MODEL.file });
    coordinator.send({
      kind: 'plan',
      body,
      signature: coordinatorKey.sign(signedBytes('update', plan)),
      model: MODEL.file,
    });
    coordinator.send({ kind: 'plan', body: new Uint8Array(3), signature, model: MODEL.file });
    coordinator.plan({ ...plan, round: 0 });
    await turns();
    assert.deepEqual(asked, []);
    assert.deepEqual(
      coordinator.frames.map(({ kind }) => kind),
      ['hello', 'proof'],
    );
    const reasons = notices.filter(({ message }) => message === 'plan ignored').map(({ fields }) => fields.reason);
    assert.deepEqual(reasons.slice(0, 4), [...Array(3).fill('plan: not signed by the coordinator'), 'plan: not JSON']);
    assert.match(`${reasons[4]}`, /^plan: round: /);
  });

  it('of an earlier round is answered with the update that was kept, never with another', async () => {
    const { trainer, asked, go } = heldTrainer();
    const { coordinator } = await startKeeping({ trainer });
    go();
    coordinator.welcome();
    coordinator.plan(planOf({ round: 2 }));
    await turns();
    coordinator.plan(plan);
    await turns();
    assert.deepEqual(
      asked.map(({ round }) => round),
      [2],
    );
    assert.deepEqual(
      coordinator.uploads.map(({ signed }) => signed.header),
      [LARGE.header],
    );
  });
});

describe('a receipt', () => {
  for (const outcome of ['committed', 'dropped'] as const) {
    it(`that says ${outcome} lets the update go, and the coordinator is not told of it again`, async () => {
      const { coordinator, store, clock, header: made } = await trainedOne();
      coordinator.receipt(receiptFor(made, { outcome }));
      await turns();
      assert.deepEqual(await store.list(), []);
      coordinator.breakOff();
      clock.advance(500);
      assert.equal(coordinator.all('hello').length, 2);
      coordinator.welcome(2);
      assert.deepEqual(
        coordinator.all('proof').map((proof) => proof.pending),
        [[], []],
      );
      await turns();
      assert.equal(coordinator.all('small-update').length, 1);
    });
  }

  const wrong: Record<string, Partial<Receipt>> = {
    'another client': { client: 'c2' },
    'another run': { run: 's' },
    'another round': { round: 2 },
    'another attempt': { attempt: 2 },
    'another update': { updateSha256: 'f'.repeat(64) },
  };
  for (const [what, change] of Object.entries(wrong)) {
    for (const outcome of ['committed', 'dropped'] as const) {
      it(`that says ${outcome} of ${what} is not this update's`, async () => {
        const { coordinator, store, header: made } = await trainedOne();
        coordinator.receipt(receiptFor(made, { ...change, outcome }));
        await turns();
        assert.equal((await store.list()).length, 1);
      });
    }
  }

  it('that is forged is not believed, and the update is kept and announced again', async () => {
    const { coordinator, store, notices, clock, header: made } = await trainedOne();
    const receipt = receiptFor(made);
    const [good, neighbour] = signReceipts(coordinatorKey, [receipt, receiptFor(made, { client: 'c2' })]);
    const [of] = signReceipts(coordinatorKey, [receiptFor(made, { round: 2 })]);
    coordinator.receipt(receipt, strangerKey);
    coordinator.receipt(receipt, clientKey);
    coordinator.send({ kind: 'receipt', ...good, signature: of.signature }); // of another batch
    coordinator.send({ kind: 'receipt', ...good, inclusion: neighbour.inclusion }); // from another place in it
    coordinator.send({ kind: 'receipt', ...good, receipt: { ...receipt, outcome: 'dropped' } });
    coordinator.send({ kind: 'receipt', ...of, receipt });
    coordinator.send({ kind: 'receipt', ...good, signature: new Uint8Array(0) });
    await turns();
    assert.equal((await store.list()).length, 1);
    const ignored = notices.filter(({ message }) => message.startsWith('receipt ignored'));
    assert.equal(ignored.length, 7);
    coordinator.breakOff();
    clock.advance(500);
    coordinator.welcome();
    assert.deepEqual(
      coordinator
        .all('proof')
        .at(-1)
        ?.pending.map(({ sha256 }) => sha256),
      [made.sha256],
    );
    coordinator.send({ kind: 'receipt', ...good });
    await turns();
    assert.deepEqual(await store.list(), [], 'the one that it was made from is good');
  });
});
