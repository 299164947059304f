/** A coordinator behind TLS with four toy clients that have joined it by token: real authority, real gRPC, real homes. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateIn } from '../../client/certificate.js';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { IDENTITY_FILE, joinClient } from '../../client/join.js';
import { Participant } from '../../client/round/participant.js';
import { memorySecaggStore } from '../../client/store/secagg.js';
import { memoryStore } from '../../client/store/updates.js';
import { Accounts } from '../../server/accounts.js';
import { type Audit, openAudit } from '../../server/audit/audit.js';
import { Coordinator } from '../../server/coordinator.js';
import type { GrpcLimits } from '../../server/grpc/limits.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import { openAuthority } from '../../server/tls/authority.js';
import { type Certificates, openCertificates } from '../../server/tls/certificates.js';
import { systemClock } from '../../shared/clock.js';
import { fromHex } from '../../shared/hex.js';
import { rngFromEntropy } from '../../shared/rng.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, Issued, ParticipantService } from '../../shared/service.js';
import { type Identity, identityFromSeed } from '../../shared/signing/identity.js';
import { encode } from '../../shared/tensors/safetensors.js';
import type { KeyPair } from '../../shared/tls/certificate.js';
import { toyModel, toySpec, toyTrainer } from '../support/toy.js';
import { ADMIN_TOKEN } from '../transport/fake-coordinator.js';
import { seedOf } from './hostile-coordinator.js';
import { ANY } from './sites.js';

export const NAMES = ['c-1', 'c-2', 'c-3', 'c-4'];

/** A client's machine: its key, what it shows, whom it trusts. */
export interface Home {
  readonly seed: Uint8Array;
  readonly identity: Identity;
  readonly directory: string;
  readonly tls: ClientTls;
}

export class Door {
  readonly refusals: string[] = [];
  /** Others that lead here, as the operator has said. */
  readonly addresses: string[] = [];
  readonly notices: string[] = [];
  readonly homes = new Map<string, Home>();
  /** The last session of each client, and the connection that it was given on. */
  readonly sessions = new Map<string, { readonly session: Uint8Array; readonly service: ParticipantService }>();
  readonly directory: string;
  coordinator!: Coordinator;
  certificates!: Certificates;
  server!: GrpcServer;
  authority!: KeyPair;
  registry!: Registry;
  audit!: Audit;
  /** What clients have said on their streams, by client. */
  readonly said: { readonly client: string; readonly frame: ClientFrame }[] = [];
  /** The open stream of each client, as itself sees it. */
  readonly streams = new Map<string, ControlEnd<ClientFrame>>();
  /** Runs in each task of a client, before it trains. */
  duringRound: (client: string) => Promise<void> | void = () => {};
  /** Sees each frame that a client was sent. */
  heard: (client: string, frame: CoordinatorFrame) => void = () => {};
  /** Sees each frame that a client has sent, and may send more. */
  sent: (client: string, frame: ClientFrame, send: (frame: ClientFrame) => void) => void = () => {};
  readonly #accounts = new Accounts({ append: async () => undefined }, [], {
    ...{ token: ADMIN_TOKEN, keep: async () => undefined },
  });
  readonly #participants: Participant[] = [];
  readonly #streams: (() => void)[] = [];
  readonly #connections: { close(): void }[] = [];

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async open(hosts = ['127.0.0.1']): Promise<Door> {
    const door = new Door(await mkdtemp(join(tmpdir(), 'starling-door-')));
    const dataDir = door.directory;
    const onFault = (thrown: unknown) => {
      throw thrown;
    };
    door.certificates = await openCertificates({ dataDir, hosts, clock: systemClock, onFault });
    door.authority = (await openAuthority(dataDir, systemClock.nowMs())).current;
    const registry = new Registry({ append: async () => undefined }, []);
    door.registry = registry;
    const identity = identityFromSeed(seedOf('coordinator'));
    door.audit = await openAudit(dataDir, { identity, clock: systemClock, log: silent });
    door.coordinator = await Coordinator.open({
      ...{ dataDir, identity: identityFromSeed(seedOf('coordinator')), registry, clock: systemClock },
      ...{ rng: rngFromEntropy(), log: silent, issuer: door, fatal: onFault, accounts: door.#accounts },
      addresses: () => [door.server.address, ...door.addresses],
    });
    await door.serve(door.certificates);
    const token = await door.token('c', 4);
    for (let i = 1; i <= 4; i++) {
      const { client } = await joinClient({ token, clientsDir: join(door.directory, 'clients') });
      door.homes.set(client, await door.homeOf(client));
    }
    return door;
  }

  /** From now on by these certificates; closes the server that was there. */
  async serve(tls: Certificates, limits: Partial<GrpcLimits> = {}): Promise<void> {
    await this.server?.close();
    this.server = await serveGrpc({
      ...{ participant: this.coordinator, admin: this.coordinator.admin, adminToken: ADMIN_TOKEN },
      ...{ listen: '127.0.0.1:0', tls, accounts: this.#accounts },
      limits,
      isTokenGood: (token) => this.registry.isTokenGood(token, systemClock.nowMs()),
      onRefusal: (peer, reason) => {
        this.refusals.push(reason);
        this.audit.refused(peer, reason);
      },
      witness: this.audit,
    });
  }

  get authorityFingerprint(): string {
    return this.certificates.authorityFingerprint;
  }

  issueOperator(name: string): Promise<string> {
    return this.certificates.issueOperator(name);
  }

  issueFor(client: string, publicKey: Uint8Array): Promise<Issued | undefined> {
    return this.certificates.issueFor(client, publicKey);
  }

  /** From now on. */
  issueBy(certificates: Certificates): void {
    this.certificates.close();
    this.certificates = certificates;
  }

  /** Breaks every client's stream; they come back. */
  cut(): void {
    for (const cut of this.#streams.splice(0)) cut();
  }

  token(name: string, uses = 1): Promise<string> {
    return this.coordinator.admin.createToken({ name, uses, expiresMs: 60_000 });
  }

  async homeOf(client: string): Promise<Home> {
    const directory = join(this.directory, 'clients', client);
    const seed = new Uint8Array(await readFile(join(directory, IDENTITY_FILE)));
    const tls = (await certificateIn(directory, seed))!;
    return { directory, seed, identity: identityFromSeed(seed), tls };
  }

  /** A connection that `close` closes. */
  dial(tls: ClientTls | (() => ClientTls) | undefined, address = this.server.address): GrpcParticipant {
    const service = connectGrpc(address, tls && { tls: typeof tls === 'function' ? tls : () => tls });
    this.#connections.push(service);
    return service;
  }

  /** A client at work, over `service`. */
  async start(client: string, service: GrpcParticipant): Promise<Participant> {
    const { coordinatorKey } = JSON.parse(
      await readFile(join(this.homes.get(client)!.directory, 'client.json'), 'utf8'),
    );
    const participant = await Participant.start({
      ...{
        service: this.#overheard(client, service),
        client,
        identity: this.homes.get(client)!.identity,
        coordinatorKey: fromHex(coordinatorKey),
      },
      ...{ version: '0', store: memoryStore(), clock: systemClock, rng: rngFromEntropy() },
      trainer: toyTrainer((task) => this.duringRound(task.client)),
      secure: {
        ...{ signingSeed: this.homes.get(client)!.seed, policy: ANY, store: memorySecaggStore() },
        rng: rngFromEntropy(),
      },
      notice: (message, fields) => void this.notices.push(`${client}: ${message} ${JSON.stringify(fields)}`),
    });
    participant.done.catch((error: Error) => void this.notices.push(`${client}: ended ${error.message}`));
    this.#participants.push(participant);
    return participant;
  }

  #overheard(client: string, service: ParticipantService): ParticipantService {
    const connect: ParticipantService['connect'] = (toClient) => {
      const stream = service.connect({
        send: (frame) => {
          if (frame.kind === 'welcome') this.sessions.set(client, { session: frame.session, service });
          this.heard(client, frame);
          toClient.send(frame);
        },
        close: (reason) => toClient.close(reason),
      });
      this.#streams.push(() => {
        stream.close('cut');
        toClient.close('cut');
      });
      this.streams.set(client, stream);
      return {
        close: (reason) => stream.close(reason),
        send: (frame) => {
          this.said.push({ client, frame });
          stream.send(frame);
          this.sent(client, frame, (more) => stream.send(more));
        },
      };
    };
    return new Proxy(service, { get: (of, key) => (key === 'connect' ? connect : Reflect.get(of, key)) });
  }

  /** Three rounds of all four; the hashes of their models. */
  async run(): Promise<string[]> {
    for (const [client, { tls }] of this.homes) await this.start(client, this.dial(tls));
    return modelsOf(this.coordinator, join(this.directory, 'run'));
  }

  async online(): Promise<string[]> {
    return (await this.coordinator.admin.listClients()).filter(({ online }) => online).map(({ name }) => name);
  }

  async close(): Promise<void> {
    for (const participant of this.#participants) participant.stop();
    for (const connection of this.#connections) connection.close();
    await this.coordinator.close();
    this.certificates.close();
    await this.server.close();
    await this.audit.close();
    await rm(this.directory, { recursive: true });
  }
}

/** Three rounds of `coordinator`'s four clients; the hashes of their models. */
export async function modelsOf(coordinator: Coordinator, directory: string): Promise<string[]> {
  await coordinator.createRun(toySpec({ rounds: 3 }), encode(toyModel()), { id: 'r', directory });
  const models: string[] = [];
  for await (const line of coordinator.admin.watchRun('r')) {
    const event = JSON.parse(line);
    if (event.kind === 'round-ended') models.push(event.summary.modelSha256 ?? JSON.stringify(event.summary));
  }
  return models;
}
