/**
 * A coordinator's process over mutual TLS, and four toy labs of the test's own process which are in the middle of a round of
 * it: round 1 is over, one lab has answered in round 2, and the other three wait until the attack is. What it may not have
 * changed is checked, and what it left in the security log, in memory and in descriptors is told.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { ClientHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { certificateIn } from '../../client/certificate.js';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { IDENTITY_FILE, joinClient } from '../../client/join.js';
import { Participant } from '../../client/round/participant.js';
import { memoryStore } from '../../client/store/updates.js';
import { readSecurityLog } from '../../server/audit/log.js';
import { openAuthority } from '../../server/tls/authority.js';
import { systemClock } from '../../shared/clock.js';
import { fromHex } from '../../shared/hex.js';
import { rngFromEntropy } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { ClientFrame, ControlEnd, ParticipantService } from '../../shared/service.js';
import { type Identity, identityFromSeed } from '../../shared/signing/identity.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import type { KeyPair } from '../../shared/tls/certificate.js';
import { CLI } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { dialRaw } from '../support/raw-call.js';
import { toyExpected, toyModel, toySpec, toyTrainer } from '../support/toy.js';
import { succeed } from './support.js';

const LABS = ['c-1', 'c-2', 'c-3', 'c-4'];
const ROUNDS = 3;
/** In which the attack comes. */
const UNDER_ATTACK = 2;
const HOUR_MS = 3_600_000;
/** What a process may keep open for a while: files that it writes, timers of the system. */
const FEW_DESCRIPTORS = 8;

/** What the system says of a process. */
export interface Figures {
  readonly residentBytes: number;
  /** The most so far. */
  readonly peakBytes: number;
  readonly descriptors: number;
}

/** A lab that has joined. */
export interface Home {
  readonly identity: Identity;
  readonly tls: ClientTls & { readonly certificate: string };
  readonly coordinatorKey: Uint8Array;
}

export class Siege {
  readonly homes = new Map<string, Home>();
  /** What labs have said on their streams. */
  readonly said: { readonly client: string; readonly frame: ClientFrame }[] = [];
  /** Of labs that are connected: by what they say it, and the session that they were given. */
  readonly streams = new Map<string, ControlEnd<ClientFrame>>();
  readonly sessions = new Map<string, { readonly session: Uint8Array; readonly service: GrpcParticipant }>();
  readonly notices: string[] = [];
  readonly admin: GrpcAdmin;
  readonly authority: KeyPair;
  /** The run under attack. */
  run = '';
  readonly folder: string;
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #participants: Participant[] = [];
  readonly #closing: (() => void)[] = [];
  readonly #waiting = new Set<string>();
  #release: () => void = () => {};
  readonly #gate = new Promise<void>((resolve) => {
    this.#release = resolve;
  });

  private constructor(folder: string, child: ChildProcess, parts: Pick<Siege, 'address' | 'admin' | 'authority'>) {
    this.folder = folder;
    this.#child = child;
    this.address = parts.address;
    this.admin = parts.admin;
    this.authority = parts.authority;
  }

  /** @param descriptors that the process may have */
  static async open(descriptors = 1_024): Promise<Siege> {
    const folder = await mkdtemp(join(tmpdir(), 'starling-siege-'));
    const dataDir = join(folder, 'coordinator');
    const args = ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--public-address', '127.0.0.1'];
    const child = spawn('sh', ['-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh', process.execPath, CLI, ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const address = /listens on (\S+)/.exec(line)![1];
    const authority = (await openAuthority(dataDir, systemClock.nowMs())).current;
    const siege = new Siege(folder, child, { address, authority, admin: await openAdmin({ dataDir }) });
    for (const name of LABS) await siege.join(name);
    return siege;
  }

  get dataDir(): string {
    return join(this.folder, 'coordinator');
  }

  get port(): number {
    return Number(this.address.split(':').at(-1));
  }

  token(name: string): Promise<string> {
    return this.admin.createToken({ name, uses: 1, expiresMs: HOUR_MS });
  }

  /** Enrols a lab. */
  async join(name: string): Promise<Home> {
    const clientsDir = join(this.folder, 'clients');
    await joinClient({ token: await this.token(name), clientsDir });
    const seed = new Uint8Array(await readFile(join(clientsDir, name, IDENTITY_FILE)));
    const { coordinatorKey } = JSON.parse(await readFile(join(clientsDir, name, 'client.json'), 'utf8'));
    const home: Home = {
      identity: identityFromSeed(seed),
      tls: (await certificateIn(join(clientsDir, name), seed))!,
      coordinatorKey: fromHex(coordinatorKey),
    };
    this.homes.set(name, home);
    return home;
  }

  /** A connection that is closed with the siege. */
  dial(tls: ClientTls | undefined, address = this.address): GrpcParticipant {
    const service = connectGrpc(address, tls && { tls: () => tls });
    this.#closing.push(() => service.close());
    return service;
  }

  /** By hand; as a lab, or as a stranger. */
  async raw(client?: string): Promise<ClientHttp2Session> {
    const { certificate: cert, key } = client === undefined ? ({} as Partial<ClientTls>) : this.homes.get(client)!.tls;
    const session = await dialRaw(this.address, { ca: this.authority.certificate, cert, key });
    this.#closing.push(() => session.destroy());
    return session;
  }

  /** A lab at work, over `service`. */
  async start(client: string, service = this.dial(this.homes.get(client)!.tls)): Promise<Participant> {
    const { identity, coordinatorKey } = this.homes.get(client)!;
    const participant = await Participant.start({
      ...{ service: this.#overheard(client, service), client, identity, coordinatorKey, version: '0' },
      ...{ store: memoryStore(), clock: systemClock, rng: rngFromEntropy() },
      trainer: toyTrainer(async ({ kind, round }) => {
        if (kind !== 'train' || round !== UNDER_ATTACK || client === LABS[0]) return;
        this.#waiting.add(client);
        await this.#gate;
      }),
      notice: (message, fields) => void this.notices.push(`${client}: ${message} ${JSON.stringify(fields)}`),
    });
    participant.done.catch(({ message }: Error) => void this.notices.push(`${client}: ended ${message}`));
    this.#participants.push(participant);
    return participant;
  }

  #overheard(client: string, service: GrpcParticipant): ParticipantService {
    const connect: ParticipantService['connect'] = (toClient) => {
      const stream = service.connect({
        send: (frame) => {
          if (frame.kind === 'welcome') this.sessions.set(client, { session: frame.session, service });
          toClient.send(frame);
        },
        close: (reason) => toClient.close(reason),
      });
      this.streams.set(client, stream);
      return {
        send: (frame) => {
          this.said.push({ client, frame });
          stream.send(frame);
        },
        close: (reason) => stream.close(reason),
      };
    };
    return new Proxy(service, { get: (of, key) => (key === 'connect' ? connect : Reflect.get(of, key)) });
  }

  /** What `client` has said of that kind, the last. */
  frameOf<Kind extends ClientFrame['kind']>(client: string, kind: Kind): Extract<ClientFrame, { kind: Kind }> {
    return this.said.findLast((one) => one.client === client && one.frame.kind === kind)!.frame as never;
  }

  /** Reasons of the refusals in the security log, as its readers check it. */
  async refusals(): Promise<string[]> {
    const key = fromHex(await readFile(join(this.dataDir, 'identity.pub'), 'utf8'));
    const reasons: string[] = [];
    for await (const { entry } of readSecurityLog(this.dataDir, key)) {
      if (entry.event === 'refused') reasons.push(entry.reason);
    }
    return reasons;
  }

  /** Until the security log has a line for each. */
  async hasLines(...wanted: readonly RegExp[]): Promise<void> {
    for (const line of wanted) while (!(await this.refusals()).some((reason) => line.test(reason))) await turn();
  }

  async figures(): Promise<Figures> {
    const proc = `/proc/${this.#child.pid}`;
    const status = await readFile(`${proc}/status`, 'utf8');
    const bytes = (field: string) => 1_024 * Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)![1]);
    return {
      ...{ residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') },
      descriptors: (await readdir(`${proc}/fd`)).length,
    };
  }

  /** `starling ARGS` of who has the data directory. */
  operator(...args: string[]): Promise<string> {
    return succeed([...args, '--data-dir', this.dataDir], { cwd: this.folder });
  }

  audit(...args: string[]): Promise<string> {
    return succeed(['audit', ...args], { cwd: this.folder });
  }

  /** Tells it to stop, and resolves when it has. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.kill('SIGTERM')) await once(this.#child, 'exit');
  }

  async online(): Promise<string[]> {
    return (await this.admin.listClients()).filter(({ online }) => online).map(({ name }) => name);
  }

  /** In round 2 of a run; which then ends in the model that nobody disturbed. @param name of the attack, for its figures */
  async inMidRound(name: string, attack: (before: Figures) => Promise<void>): Promise<void> {
    for (const client of LABS) await this.start(client);
    const spec = toySpec({ rounds: ROUNDS, deadlineMs: HOUR_MS, clients: LABS });
    this.run = await this.admin.startRun(spec, encode(toyModel()));
    const answered = () => this.said.filter(({ frame }) => frame.kind === 'small-update').length;
    while (this.#waiting.size < LABS.length - 1 || answered() < LABS.length + 1) await turn();
    const before = await this.figures();
    await attack(before);
    const hereStill = (await this.online()).filter((name) => LABS.includes(name));
    assert.deepEqual(hereStill, LABS, 'who is in stays in');
    this.#release();
    let last = '';
    for await (const line of this.admin.watchRun(this.run)) {
      const event = JSON.parse(line) as RunEvent;
      assert.notEqual(event.kind, 'round-aborted');
      if (event.kind !== 'round-ended') continue;
      assert.deepEqual([event.summary.survivors, event.summary.dropped], [LABS.length, []]);
      last = event.summary.modelSha256!;
    }
    const { status } = (await this.admin.listRuns()).find(({ run }) => run === this.run)!;
    assert.equal(status, 'completed');
    const model = await readFile(join(this.dataDir, 'runs', this.run, 'models', `${last}.safetensors`));
    const values = [...decode(model).params.values];
    assert.deepEqual(values, Array(values.length).fill(toyExpected(LABS, ROUNDS)), 'the model nobody disturbed');
    await this.#leftNothing(name, before);
  }

  /** Descriptors go back to what they were; the figures go where SIEGE_FIGURES says, for whoever writes them down. */
  async #leftNothing(attack: string, before: Figures): Promise<void> {
    this.#leave();
    while ((await this.figures()).descriptors > before.descriptors + FEW_DESCRIPTORS) await turn();
    const { SIEGE_FIGURES } = process.env;
    const row = { attack, before, after: await this.figures() };
    if (SIEGE_FIGURES !== undefined) await appendFile(SIEGE_FIGURES, `${JSON.stringify(row)}\n`);
  }

  #leave(): void {
    for (const participant of this.#participants.splice(0)) participant.stop();
    for (const close of this.#closing.splice(0)) close();
  }

  async close(): Promise<void> {
    this.#release();
    this.#leave();
    this.admin.close();
    if (this.#child.exitCode === null && this.#child.kill('SIGKILL')) await once(this.#child, 'exit');
    await rm(this.folder, { recursive: true, force: true });
  }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
