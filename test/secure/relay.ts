/**
 * Somebody who sits between a client and its coordinator: at an address that the coordinator has left, or at one that the
 * operator has named (a tunnel). It speaks the real protocol over real gRPC on both sides, keeps all that it sees, changes
 * what it likes and says things of its own.
 */
import { connectGrpc, type GrpcParticipant } from '../../client/grpc/participant.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import type { Shown } from '../../server/tls/certificates.js';
import type {
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  IdentifyRequest,
  ParticipantService,
} from '../../shared/service.js';
import { ADMIN_TOKEN, FakeAdmin } from '../transport/fake-coordinator.js';

export class Relay implements ParticipantService {
  readonly fromClient: ClientFrame[] = [];
  readonly fromCoordinator: CoordinatorFrame[] = [];
  /** Requests that a client made before it was one. */
  readonly asked: unknown[] = [];
  /** What goes on in place of a frame; called in its turn. */
  up: (frame: ClientFrame, relay: Relay) => readonly ClientFrame[] = (frame) => [frame];
  down: (frame: CoordinatorFrame, relay: Relay) => readonly CoordinatorFrame[] = (frame) => [frame];
  /** Of `identify`. */
  asks: (request: IdentifyRequest) => IdentifyRequest = (request) => request;
  #toClient: ControlEnd<CoordinatorFrame> | undefined;
  #toCoordinator: ControlEnd<ClientFrame> | undefined;
  readonly #behind: GrpcParticipant;
  #server: GrpcServer | undefined;

  private constructor(behind: GrpcParticipant) {
    this.#behind = behind;
  }

  /** @param tls what it shows and trusts towards clients, and what it shows the coordinator */
  static async start(target: string, tls?: { readonly front: Shown; readonly behind: ClientTls }): Promise<Relay> {
    const relay = new Relay(connectGrpc(target, tls && { tls: () => tls.behind }));
    const front = tls && { current: () => tls.front, onChange: () => {} };
    relay.#server = await serveGrpc({
      ...{ participant: relay, admin: new FakeAdmin(), adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0', tls: front },
    });
    return relay;
  }

  forPeer(): this {
    return this;
  }

  get address(): string {
    return this.#server!.address;
  }

  async close(): Promise<void> {
    this.#behind.close();
    await this.#server?.close();
  }

  /** Says something to the coordinator in the client's stead. */
  forge(frame: ClientFrame): void {
    this.#toCoordinator?.send(frame);
  }

  /** Says something to the client in the coordinator's stead. */
  pretend(frame: CoordinatorFrame): void {
    this.#toClient?.send(frame);
  }

  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    this.#toClient = toClient;
    const toCoordinator = this.#behind.connect({
      send: (frame) => {
        this.fromCoordinator.push(frame);
        for (const passed of this.down(frame, this)) toClient.send(passed);
      },
      close: (reason) => toClient.close(reason),
    });
    this.#toCoordinator = toCoordinator;
    return {
      send: (frame) => {
        this.fromClient.push(frame);
        for (const passed of this.up(frame, this)) toCoordinator.send(passed);
      },
      close: (reason) => toCoordinator.close(reason),
    };
  }

  identify(request: Parameters<ParticipantService['identify']>[0]) {
    this.asked.push(request);
    return this.#behind.identify(this.asks(request));
  }

  enrol(request: Parameters<ParticipantService['enrol']>[0]) {
    this.asked.push(request);
    return this.#behind.enrol(request);
  }

  download(...args: Parameters<ParticipantService['download']>) {
    return this.#behind.download(...args);
  }

  uploadStatus(...args: Parameters<ParticipantService['uploadStatus']>) {
    return this.#behind.uploadStatus(...args);
  }

  upload(...args: Parameters<ParticipantService['upload']>) {
    return this.#behind.upload(...args);
  }
}
