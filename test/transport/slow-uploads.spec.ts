/**
 * Uploads that are slow on purpose, over real gRPC to a real coordinator whose clock the test moves: six labs take all the
 * places there are and send four bytes a second, or nothing; three honest ones come after them.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import { Connection } from '../../client/round/connection.js';
import { Coordinator } from '../../server/coordinator.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import type { Run } from '../../server/run/run.js';
import { UPLOAD_GRACE_MS } from '../../server/updates/pace.js';
import { rngFromEntropy, rngFromSeed } from '../../shared/rng.js';
import type { Receipt, RoundPlan } from '../../shared/run/plan.js';
import type { UploadReply } from '../../shared/service.js';
import { signedBytes } from '../../shared/signing/identity.js';
import { bytesOf, sha256Of } from '../../shared/tensors/bytes.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { packTensors } from '../../shared/tensors/params.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { FakeClock } from '../support/fake-clock.js';
import { type HandFed, handFed, turns } from '../support/hand-fed.js';
import { coordinatorIdentity, identityOf } from '../support/peer.js';
import { toySpec } from '../support/toy.js';
import { until } from './fixture.js';

/** 160 kB: an update that goes by a call of its own. */
const PARAMS = 40_000;
const DEADLINE_MS = 600_000;
const SLOW = ['s1', 's2', 's3', 's4', 's5', 's6'];
const HONEST = ['h1', 'h2', 'h3'];

interface Upload {
  readonly chunks: HandFed<Uint8Array>;
  /** Why it ended; undefined while it goes on. */
  end: string | undefined;
}

/** A lab on the wire, which answers each plan by `answer`. */
class Lab {
  readonly plans: RoundPlan[] = [];
  readonly receipts: Receipt[] = [];
  readonly uploads: Upload[] = [];
  readonly connection: Connection;
  readonly service: GrpcParticipant;

  constructor(
    readonly name: string,
    address: string,
    answer: (lab: Lab, plan: RoundPlan) => void,
  ) {
    this.service = connectGrpc(address);
    this.connection = new Connection({
      ...{ service: this.service, client: name, identity: identityOf(name), version: '0', rng: rngFromEntropy() },
      ...{
        coordinatorKey: coordinatorIdentity.publicKey,
        clock: new FakeClock(),
        pending: () => [],
        shown: () => ({ tasks: [], heads: [] }),
      },
      ...{ connected() {}, disconnected() {}, sentAway() {}, notice() {} },
      receive: (frame) => {
        if (frame.kind === 'receipt') this.receipts.push(frame.receipt);
        if (frame.kind !== 'plan') return;
        const plan = JSON.parse(new TextDecoder().decode(frame.body)) as RoundPlan;
        this.plans.push(plan);
        answer(this, plan);
      },
    });
    this.connection.open();
  }

  /** Its whole update, or what is fed by hand. */
  upload({ run, round, attempt }: RoundPlan, whole: boolean): Upload {
    const values = new Float32Array(PARAMS).fill(1);
    const sizeBytes = values.byteLength;
    const header = { run, round, attempt, sha256: sha256Of({ values }), sizeBytes, weights: [1], metrics: {} };
    const signature = identityOf(this.name).sign(signedBytes('update', header));
    const chunks = handFed<Uint8Array>();
    const upload: Upload = { chunks, end: undefined };
    this.uploads.push(upload);
    if (whole) {
      chunks.push(bytesOf(values));
      chunks.end();
    }
    const said = ({ outcome, detail }: UploadReply) => {
      upload.end = `${outcome} ${detail}`;
    };
    this.service.upload(this.connection.session!, { header, signature }, 0, chunks).then(said, ({ code, message }) => {
      upload.end = `${code} ${message}`;
    });
    return upload;
  }

  /** Bytes of its last upload that the coordinator holds. */
  held(): Promise<number> {
    const { run, round, attempt } = this.plans.at(-1)!;
    const sha256 = sha256Of({ values: new Float32Array(PARAMS).fill(1) });
    return this.service.uploadStatus(this.connection.session!, { run, round, attempt, sha256 });
  }

  close(): void {
    this.connection.close('bye');
    this.service.close();
  }
}

describe('six uploads that are slow on purpose', () => {
  let dataDir: string;
  let clock: FakeClock;
  let coordinator: Coordinator;
  let server: GrpcServer;
  let labs: Lab[];
  let run: Run;
  let refusals: string[];

  beforeEach(async () => {
    refusals = [];
    dataDir = await mkdtemp(join(tmpdir(), 'starling-slow-'));
    clock = new FakeClock();
    const registry = new Registry({ append: async () => undefined }, []);
    for (const name of [...SLOW, ...HONEST]) await registry.enrolTrusted(name, identityOf(name).publicKey, 0);
    coordinator = await Coordinator.open({
      ...{ dataDir, registry, clock, identity: coordinatorIdentity, rng: rngFromSeed(1), log: silent },
      inFlightBytes: SLOW.length * PARAMS * 4,
      addresses: () => [server.address],
      fatal: (error) => assert.fail(error),
    });
    const { admin } = coordinator;
    server = await serveGrpc({
      ...{ participant: coordinator, admin, adminToken: 'token', listen: '127.0.0.1:0' },
      onRefusal: (_, reason) => void refusals.push(reason),
    });
  });

  afterEach(async () => {
    for (const lab of labs) lab.close();
    await coordinator.close();
    await server.close();
    await rm(dataDir, { recursive: true });
  });

  /** All nine in a round of `deadlineMs`, the slow ones with a place and four bytes of theirs each. */
  async function begin(deadlineMs: number): Promise<{ slow: Lab[]; honest: Lab[] }> {
    const slow = SLOW.map((name) => new Lab(name, server.address, (lab, plan) => void lab.upload(plan, false)));
    labs = [...slow, ...HONEST.map((name) => new Lab(name, server.address, () => {}))];
    const honest = labs.slice(SLOW.length);
    await until(() => labs.every(({ connection }) => connection.session !== undefined));
    const toy = toySpec({
      cohort: 9,
      minClients: 9,
      minSurvivors: 3,
      deadlineMs,
      maxAttempts: 1,
      evaluateEvery: 0,
      rounds: 2,
    });
    const { params: model, tensors } = bigModel();
    const work = { ...toy.work, model: tensors, phases: [{ name: 'train', channels: [updateChannel(tensors)] }] };
    run = await coordinator.createRun({ ...toy, work }, model, { id: 'r', directory: join(dataDir, 'runs', 'r') });
    await until(() => slow.every(({ uploads }) => uploads.length === 1));
    for (const { uploads } of slow) uploads[0].chunks.push(new Uint8Array(4));
    for (const lab of slow) while ((await lab.held()) < 4) await turns();
    await until(() => honest.every(({ plans }) => plans.length === 1));
    return { slow, honest };
  }

  it('lose their places after 32 s, and the honest ones make the round', async () => {
    const { slow, honest } = await begin(DEADLINE_MS);
    for (const lab of honest) lab.upload(lab.plans[0], true);
    const startedAtMs = clock.nowMs();
    const goOn = () => slow.some(({ uploads }) => uploads[0].end === undefined);
    while (goOn() && clock.nowMs() < startedAtMs + DEADLINE_MS) {
      for (const { uploads } of slow) uploads[0].chunks.push(new Uint8Array(4));
      for (let i = 0; i < 5; i++) await turns();
      clock.advance(1000);
    }
    await until(() => honest.every(({ uploads }) => uploads[0].end !== undefined));
    assert.deepEqual(
      honest.map(({ uploads }) => uploads[0].end),
      ['accepted ', 'accepted ', 'accepted '],
    );
    for (const { uploads } of slow) {
      assert.match(
        uploads[0].end!,
        /^unavailable upload: expected at least 8192 bytes a second over 32 s, got fewer; next: /,
      );
    }
    const slowOnes = refusals.filter((reason) => /^upload: expected at least 8192 bytes a second/.test(reason));
    assert.equal(slowOnes.length, SLOW.length, 'each has a line in the security log');
    assert.equal(refusals.length, SLOW.length, 'and nobody else');
    const heldMs = clock.nowMs() - startedAtMs;
    assert.ok(heldMs >= UPLOAD_GRACE_MS && heldMs < 3 * UPLOAD_GRACE_MS, `${heldMs} ms`);
    clock.advance(DEADLINE_MS - heldMs); // the six are late: the round goes on with three
    await until(() => run.state.round === 2);
    assert.equal(run.state.status, 'running');
    await until(() => honest.every(({ plans }) => plans.length === 2));
    assert.deepEqual(
      slow.map(({ plans }) => plans.length),
      [1, 1, 1, 1, 1, 1],
      'they are passed over',
    );
  });

  it('lose their places at the deadline, whatever their pace, and are told what became of their updates', async () => {
    const deadlineMs = UPLOAD_GRACE_MS / 2;
    const { slow, honest } = await begin(deadlineMs);
    const refused = honest.map((lab) => lab.upload(lab.plans[0], true)); // they wait for room
    clock.advance(deadlineMs);
    await until(() => [...refused, ...slow.map(({ uploads }) => uploads[0])].every(({ end }) => end !== undefined));
    for (const { end } of [...refused, ...slow.map(({ uploads }) => uploads[0])]) assert.match(end!, /^rejected /);
    for (const lab of labs) assert.equal(await lab.held(), 0);
    await until(() => labs.every(({ receipts }) => receipts.length === 1));
    assert.deepEqual(new Set(labs.map(({ receipts }) => receipts[0].outcome)), new Set(['dropped']));
  });
});

function bigModel() {
  const params = packTensors({ w: { shape: [PARAMS], data: new Float32Array(PARAMS) } });
  return { params: encode(params), tensors: params.layout.map(({ name, shape }) => ({ name, shape })) };
}
