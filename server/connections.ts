/** Who is here: the connections of clients that have proved who they are, by name and by session. */
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { CoordinatorFrame, Peer } from '../shared/service.js';
import type { Connection } from './login.js';
import type { Registry } from './registry.js';

/** One connection a client, and one session a connection. */
export class Connections {
  readonly #registry: Pick<Registry, 'refusalOf' | 'get'>;
  readonly #byClient = new Map<string, Connection>();
  /** In hex. */
  readonly #bySession = new Map<string, Connection>();

  constructor(registry: Pick<Registry, 'refusalOf' | 'get'>) {
    this.#registry = registry;
  }

  enter(connection: Connection): void {
    this.#byClient.set(connection.client, connection);
    this.#bySession.set(toHex(connection.session), connection);
  }

  leave({ client, session }: Connection): void {
    this.#byClient.delete(client);
    this.#bySession.delete(toHex(session));
  }

  all(): Iterable<Connection> {
    return this.#byClient.values();
  }

  get(client: string): Connection | undefined {
    return this.#byClient.get(client);
  }

  /** Whether it has neither ended nor been sent away: a frame that comes after that is nobody's. */
  isOpen(connection: Connection): boolean {
    return this.#byClient.get(connection.client) === connection;
  }

  /** To a client, if it is here. */
  send(client: string, frame: CoordinatorFrame): void {
    this.#byClient.get(client)?.end.send(frame);
  }

  /**
   * Whose call it is; a session that was opened by one certificate is worth nothing beside another.
   * @throws FlError permission-denied
   */
  of(session: Uint8Array, peer: Peer | undefined): Connection {
    if (peer !== undefined) this.#checkStanding(peer.name); // the certificate of a client that is revoked is worth nothing
    const connection = this.#bySession.get(toHex(session));
    if (connection === undefined) {
      throw new FlError('permission-denied', 'session: not known; open a control stream first');
    }
    if (connection.peer?.fingerprint !== peer?.fingerprint) {
      throw new FlError('permission-denied', 'session: expected the certificate that it was opened by, got another');
    }
    return connection;
  }

  /** For a call that has begun: throws once the client may not take part, or its key of now is another. */
  checkOf(client: string): () => void {
    const { publicKey } = this.#registry.get(client);
    return () => {
      this.#checkStanding(client);
      if (this.#registry.get(client).publicKey === publicKey) return;
      throw new FlError('permission-denied', `client "${client}" has another key since this call began: log in again`);
    };
  }

  /** @throws FlError permission-denied, in the words that its stream ended by */
  #checkStanding(client: string): void {
    const refusal = this.#registry.refusalOf(client);
    if (refusal !== undefined) throw new FlError('permission-denied', refusal.reason);
  }
}
