/**
 * Whoever sits on an address that a coordinator has left gets nothing: no session, no token, no word in a round; and where
 * an operator has let a tunnel in between, what it forges is not taken. Real coordinator, real clients, real gRPC.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import { joinClient } from '../../client/join.js';
import { Participant } from '../../client/round/participant.js';
import { memoryStore } from '../../client/store/updates.js';
import { Coordinator } from '../../server/coordinator.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { Registry } from '../../server/registry.js';
import { systemClock } from '../../shared/clock.js';
import { decodeJoinToken, encodeJoinToken } from '../../shared/join-token.js';
import { rngFromEntropy } from '../../shared/rng.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import type { ClientFrame, CoordinatorFrame } from '../../shared/service.js';
import { signAnswer } from '../../shared/signing/answers.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { identityFromSeed, signedBytes } from '../../shared/signing/identity.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { toyModel, toySpec, toyTrainer } from '../support/toy.js';
import { ADMIN_TOKEN } from '../transport/fake-coordinator.js';
import { seedOf } from './hostile-coordinator.js';
import { Relay } from './relay.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const identityOf = (name: string) => identityFromSeed(seedOf(name));
const identity = identityOf('coordinator');
const relayKey = identityOf('relay');

class Site {
  readonly log: string[] = [];
  readonly notices: string[] = [];
  readonly addresses: string[] = [];
  readonly directory: string;
  readonly #participants: Participant[] = [];
  readonly #connections: GrpcParticipant[] = [];
  coordinator!: Coordinator;
  server!: GrpcServer;
  relay!: Relay;
  /** How the participant of `victim` ended, if it has. */
  ended: string | undefined;

  constructor(directory: string) {
    this.directory = directory;
  }

  static async open(): Promise<Site> {
    const site = new Site(await mkdtemp(join(tmpdir(), 'starling-relay-')));
    const registry = new Registry({ append: async () => undefined }, []);
    for (const name of NAMES) await registry.enrolTrusted(name, identityOf(name).publicKey, 0);
    const warn = (fields: object, message: string) => void site.log.push(`${message} ${JSON.stringify(fields)}`);
    site.coordinator = await Coordinator.open({
      ...{ dataDir: site.directory, identity, registry, clock: systemClock, rng: rngFromEntropy() },
      ...{ log: { debug() {}, info() {}, warn }, addresses: () => site.addresses },
      fatal: (error) => {
        throw error;
      },
    });
    const { coordinator } = site;
    site.server = await serveGrpc({
      ...{ participant: coordinator, admin: coordinator, adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' },
    });
    site.addresses.push(site.server.address);
    site.relay = await Relay.start(site.server.address);
    return site;
  }

  async close(): Promise<void> {
    for (const participant of this.#participants) participant.stop();
    for (const connection of this.#connections) connection.close();
    await this.relay.close();
    await this.coordinator.close();
    await this.server.close();
    await rm(this.directory, { recursive: true });
  }

  async client(name: string, address: string): Promise<void> {
    const service = connectGrpc(address);
    this.#connections.push(service);
    const participant = await Participant.start({
      ...{ service, client: name, identity: identityOf(name), coordinatorKey: identity.publicKey, version: '0' },
      ...{ store: memoryStore(), trainer: toyTrainer(), clock: systemClock, rng: rngFromEntropy() },
      notice: (message, fields) => void this.notices.push(`${name}: ${message} ${JSON.stringify(fields)}`),
    });
    participant.done.then(
      () => {
        this.ended ??= name;
      },
      (error: Error) => {
        this.ended = error.message;
      },
    );
    this.#participants.push(participant);
  }

  async online(): Promise<string[]> {
    return (await this.coordinator.listClients()).filter(({ online }) => online).map(({ name }) => name);
  }

  /** A run of all clients to its end. */
  async run(): Promise<{ readonly rounds: readonly RoundSummary[]; readonly status: string }> {
    const directory = join(this.directory, 'run');
    const run = await this.coordinator.createRun(toySpec({ rounds: 2 }), encode(toyModel()), { id: 'r', directory });
    const rounds: RoundSummary[] = [];
    for await (const line of this.coordinator.watchRun('r')) {
      const event = JSON.parse(line);
      if (event.kind === 'round-ended') rounds.push(event.summary);
    }
    return { rounds, status: run.state.status };
  }
}

const kinds = (frames: readonly (ClientFrame | CoordinatorFrame)[]) => frames.map(({ kind }) => kind);

/** Lets the network do its work until `condition` holds; Mocha's timeout is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a relay at an address that the coordinator has left', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.open();
  });
  afterEach(() => site.close());

  const refusedHere = () => site.notices.some((notice) => /c1: disconnected/.test(notice));
  const nothingWasTaken = async () => {
    assert.deepEqual(
      kinds(site.relay.fromClient).filter((kind) => kind !== 'hello'),
      [],
    );
    assert.deepEqual(
      kinds(site.relay.fromCoordinator).filter((kind) => kind === 'welcome'),
      [],
    );
    assert.deepEqual(await site.online(), []);
    assert.equal(site.ended, undefined, 'the client goes on trying');
  };

  it('gets no session when it passes on what it hears', async () => {
    await site.client('c1', site.relay.address);
    await until(refusedHere);
    await nothingWasTaken();
    const { relay, server } = site;
    const [goodbye] = relay.fromCoordinator;
    assert.ok(goodbye.kind === 'goodbye');
    assert.match(goodbye.reason, new RegExp(`^address: expected ${server.address}.*, got ${relay.address}: correct`));
    assert.ok(
      site.notices.some((notice) => notice.includes(goodbye.reason)),
      'and the client is told why',
    );
  });

  it('gets no session when it changes the address that the client has dialled', async () => {
    site.relay.up = (frame) => [frame.kind === 'hello' ? { ...frame, address: site.server.address } : frame];
    await site.client('c1', site.relay.address);
    await until(refusedHere);
    assert.deepEqual(kinds(site.relay.fromCoordinator), ['challenge'], 'the honest coordinator has signed');
    await nothingWasTaken();
    assert.match(site.notices.at(-1)!, /challenge: expected a signature .* over the address .*, got another/);
  });

  it('gets no session by a challenge that was signed for an earlier stream', async () => {
    // what the coordinator really signed, at this very address, while that was its own
    site.addresses.push(site.relay.address);
    await site.client('c1', site.relay.address);
    await until(() => kinds(site.relay.fromCoordinator).includes('welcome'));
    const [challenge] = site.relay.fromCoordinator;
    site.addresses.pop();
    const seen = site.relay.fromClient.length;
    site.relay.up = (frame, relay) => {
      if (frame.kind === 'hello') relay.pretend(challenge);
      return [];
    };
    await site.client('c1', site.relay.address); // the same client and address, another nonce
    await until(() => site.notices.some((notice) => notice.includes('got another')));
    assert.deepEqual(kinds(site.relay.fromClient.slice(seen)), ['hello']);
  });

  it('hears nothing by playing the coordinator, and cannot send the client away for good', async () => {
    const plan = { run: 'r', kind: 'evaluate', round: 1, attempt: 1 } as unknown as RoundPlan;
    const body = new TextEncoder().encode(canonicalJson(plan));
    const signature = relayKey.sign(signedBytes('plan', plan));
    const lies: CoordinatorFrame[] = [
      { kind: 'goodbye', reason: 'not enrolled', retry: false },
      { kind: 'welcome', session: new Uint8Array(32) },
      { kind: 'plan', body, signature, model: new Uint8Array(0) },
      { kind: 'challenge', nonce: new Uint8Array(32), signature: new Uint8Array(0) },
      { kind: 'challenge', nonce: new Uint8Array(32), signature: new Uint8Array(64) },
    ];
    for (const [i, lie] of lies.entries()) {
      const seen = site.relay.fromClient.length;
      site.relay.up = (_, relay) => {
        relay.pretend(lie);
        if (lie.kind === 'goodbye') relay.pretend({ kind: 'withdrawal', task: plan, reason: '' });
        return [];
      };
      await site.client(NAMES[i % 4], site.relay.address);
      await until(() => site.notices.filter((notice) => notice.includes('disconnected')).length > i);
      assert.deepEqual(
        kinds(site.relay.fromClient.slice(seen)).filter((kind) => kind !== 'hello'),
        [],
        lie.kind,
      );
    }
    await nothingWasTaken();
  });

  it('learns of no update that the client keeps', async () => {
    await site.client('c1', site.relay.address);
    await until(refusedHere);
    const [hello] = site.relay.fromClient;
    assert.deepEqual(Object.keys(hello).sort(), ['address', 'client', 'kind', 'nonce', 'version']);
  });

  const joinsNowhere = async () => {
    const token = decodeJoinToken(await site.coordinator.createToken({ name: 'lab', uses: 1, expiresMs: 60_000 }));
    const clientsDir = join(site.directory, 'clients');
    const old = encodeJoinToken({ ...token, address: site.relay.address });
    await assert.rejects(joinClient({ token: old, clientsDir }), { code: 'permission-denied' });
    assert.equal(site.relay.asked.length, 1);
    assert.ok(!JSON.stringify(site.relay.asked).includes(token.secret));
    assert.deepEqual(await readdir(clientsDir).catch(() => []), []);
    const good = encodeJoinToken({ ...token, address: site.server.address });
    assert.equal((await joinClient({ token: good, clientsDir })).client, 'lab', 'which is still good');
  };

  it('gets no join token when it passes on the question who is there', () => joinsNowhere());

  it('gets no join token when it changes the question who is there', () => {
    site.relay.asks = (request) => ({ ...request, address: site.server.address });
    return joinsNowhere();
  });
});

describe('a tunnel that the operator has named', () => {
  let site: Site;
  beforeEach(async () => {
    site = await Site.open();
    site.addresses.push(site.relay.address);
  });
  afterEach(() => site.close());

  const disturbed = async (disturb: (relay: Relay, plan: RoundPlan) => void) => {
    site.relay.down = (frame, relay) => {
      if (frame.kind === 'plan') disturb(relay, JSON.parse(new TextDecoder().decode(frame.body)));
      return [frame];
    };
    for (const name of NAMES) await site.client(name, name === 'c1' ? site.relay.address : site.server.address);
    const { rounds, status } = await site.run();
    assert.ok(kinds(site.relay.fromCoordinator).includes('welcome'), 'it has the session');
    return { status, rounds: rounds.map(({ survivors, dropped, metrics }) => ({ survivors, dropped, metrics })) };
  };
  const taskOf = ({ run, kind, round, attempt }: TaskId) => ({ run, kind, round, attempt });
  const undisturbed = async () => {
    const other = await Site.open();
    try {
      for (const name of NAMES) await other.client(name, other.server.address);
      const { rounds, status } = await other.run();
      return { status, rounds: rounds.map(({ survivors, dropped, metrics }) => ({ survivors, dropped, metrics })) };
    } finally {
      await other.close();
    }
  };
  const notTaken = () => site.log.filter((line) => line.includes('its signature is not by the client'));

  it('forges no decline in the name of its client or of another', async () => {
    const outcome = await disturbed((relay, plan) => {
      const decline = { kind: 'decline', task: taskOf(plan), reason: 'refused', detail: 'forged' } as const;
      relay.forge({ ...decline, signature: new Uint8Array(64) });
      relay.forge(signAnswer(relayKey, 'c1', decline));
      relay.forge(signAnswer(identityOf('c2'), 'c2', decline)); // c2's own, in the stream of c1
      relay.forge(signAnswer(identityOf('c2'), 'c1', decline));
    });
    assert.deepEqual(outcome, await undisturbed());
    assert.equal(notTaken().length, 16, 'four for each of four plans');
    assert.match(notTaken()[0], /^decline: not taken.*"client":"c1"/);
  });

  it('forges no evaluation, and changes none', async () => {
    site.relay.up = (frame) =>
      frame.kind === 'evaluation' ? [{ ...frame, metrics: { loss: { sum: [1e6], count: 1 } } }, frame] : [frame];
    const outcome = await disturbed((relay, plan) => {
      if (plan.kind !== 'evaluate') return;
      const metrics = { loss: { sum: [1e6], count: 1 } };
      relay.forge(signAnswer(relayKey, 'c1', { kind: 'evaluation', task: taskOf(plan), metrics }));
    });
    assert.deepEqual(outcome, await undisturbed());
    assert.ok(notTaken().length >= 4);
  });

  it('replays no evaluation of an earlier round, whatever task it says it answers', async () => {
    let replayed = 0;
    const outcome = await disturbed((relay, plan) => {
      const old = relay.fromClient.find((frame) => frame.kind === 'evaluation');
      if (old === undefined) return;
      relay.forge(old);
      relay.forge({ ...old, task: taskOf(plan) });
      replayed++;
    });
    assert.deepEqual(outcome, await undisturbed());
    assert.equal(replayed, 2, 'at both plans of the second round');
    assert.equal(notTaken().length, 2);
  });
});
