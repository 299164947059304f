/** The shell around the session, against a coordinator that is played by hand. */
import assert from 'node:assert/strict';
import { Participant } from '../../../client/round/participant.js';
import { memorySecureStore } from '../../../client/store/secagg.js';
import { memoryStore } from '../../../client/store/updates.js';
import { FlError } from '../../../shared/errors.js';
import { canonicalJson, identityFromSeed, signedBytes } from '../../../shared/identity.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import {
  type ControlEnd,
  type CoordinatorFrame,
  type ParticipantService,
  SMALL_BYTES,
  type UploadReply,
} from '../../../shared/service.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { toySpec, toyTrainer } from '../../support/toy.js';

const coordinator = identityFromSeed(new Uint8Array(32).fill(1));
/** Too large for the control stream: it goes by a call of its own. */
const values = new Float32Array(SMALL_BYTES / 4 + 1).fill(1);
const id = { run: 'r', round: 1, attempt: 1 };
const header = { ...id, sha256: sha256Of({ values }), sizeBytes: values.byteLength, weights: [1, 1], metrics: {} };
const plan: RoundPlan = {
  ...{ ...id, kind: 'train', modelSha256: '0'.repeat(64), modelSizeBytes: 8, deadlineMs: 1000, cohort: 4 },
  work: toySpec().work,
};

/** Uploads wait for the test to answer them. */
class Script {
  readonly uploads: { readonly session: number; resolve(reply: UploadReply): void; reject(error: Error): void }[] = [];
  #toClient: ControlEnd<CoordinatorFrame> | undefined;

  readonly service: ParticipantService = {
    enrol: () => Promise.reject(new Error('not here')),
    connect: (toClient) => {
      this.#toClient = toClient;
      return { send: () => {}, close: () => {} };
    },
    download: () => {
      throw new Error('not here');
    },
    uploadStatus: async () => 0,
    upload: (session) => new Promise((resolve, reject) => this.uploads.push({ session: session[0], resolve, reject })),
  };

  welcome(session: number): void {
    this.#toClient?.send({ kind: 'welcome', session: Uint8Array.of(session) });
    const signature = coordinator.sign(signedBytes('plan', plan));
    this.#toClient?.send({
      kind: 'plan',
      body: new TextEncoder().encode(canonicalJson(plan)),
      signature,
      model: new Uint8Array(0),
    });
  }

  break(): void {
    this.#toClient?.close('the network');
  }
}

async function start() {
  const script = new Script();
  const clock = new FakeClock();
  const store = memoryStore();
  await store.keep({ header, values });
  const participant = await Participant.start({
    ...{ service: script.service, client: 'c1', identity: identityFromSeed(new Uint8Array(32).fill(2)) },
    ...{
      secure: {
        ...{ signingSeed: new Uint8Array(32).fill(2), store: memorySecureStore(), rng: rngFromSeed(2) },
        policy: { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 },
      },
      coordinatorKey: coordinator.publicKey,
      store,
      trainer: toyTrainer(),
      clock,
      rng: rngFromSeed(1),
      version: '0',
    },
  });
  return { script, clock, participant };
}

describe('a participant', () => {
  it('sends a kept update again when the call that failed was older than the session of now', async () => {
    const { script, clock, participant } = await start();
    script.welcome(1);
    await turns();
    script.break();
    clock.advance(1000);
    script.welcome(2); // the plan comes again while the first call is still open
    await turns();
    assert.deepEqual(
      script.uploads.map(({ session }) => session),
      [1],
    );
    script.uploads[0].reject(new FlError('permission-denied', 'session: not known'));
    await turns();
    clock.advance(1000);
    await turns();
    assert.deepEqual(
      script.uploads.map(({ session }) => session),
      [1, 2],
    );
    participant.stop();
  });

  it('that is stopped while it waits to come back, or to upload again, waits no more', async () => {
    const { script, clock, participant } = await start();
    script.welcome(1);
    await turns();
    script.uploads[0].reject(new FlError('unavailable', 'the network'));
    await turns();
    script.break();
    await turns();
    assert.equal(clock.waiting, 2);
    participant.stop();
    assert.equal(clock.waiting, 0);
    await participant.done;
  });

  it('does not try again what the coordinator of now refuses', async () => {
    const { script, clock, participant } = await start();
    script.welcome(1);
    await turns();
    script.uploads[0].reject(new FlError('invalid-argument', 'update: too long'));
    await turns();
    clock.advance(100_000);
    await turns();
    assert.equal(script.uploads.length, 1);
    participant.stop();
  });
});
