/**
 * Who may take part: join tokens and enrolled keys, each a record in `clients.log`, the state their fold. Tokens are
 * kept as hashes only; whoever reads the coordinator's disk cannot join with them.
 */
import { FlError, invalidArgument } from '../shared/errors.js';
import { fromHex, toHex } from '../shared/hex.js';
import type { EnrolRequest } from '../shared/service.js';
import { sha256Hex, signedBytes, verifySignature } from '../shared/signing/identity.js';
import { checkEd25519Key } from '../shared/signing/strict.js';

type RegistryRecord =
  | { kind: 'token'; hash: string; name: string; uses: number; expiresAtMs: number }
  | { kind: 'enrolled'; hash: string; client: string; publicKey: string; atMs: number };

/** Where records are kept; a journal, or nothing in a simulation. */
export interface RecordLog {
  append(record: unknown): Promise<void>;
}

/** Who may take part; `publicKey` is Ed25519, 32 bytes. */
export interface Enrolled {
  readonly client: string;
  readonly publicKey: Uint8Array;
  readonly enrolledAtMs: number;
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** All tokens and clients of one coordinator. */
export class Registry {
  readonly #log: RecordLog;
  readonly #tokens = new Map<string, { name: string; uses: number; used: number; expiresAtMs: number }>();
  readonly #clients = new Map<string, Enrolled>();
  readonly #clientOfKey = new Map<string, string>();

  constructor(log: RecordLog, records: readonly unknown[]) {
    this.#log = log;
    for (const record of records) this.#apply(record as RegistryRecord);
  }

  /**
   * A token that `uses` clients can join with until `expiresMs` from now; they are called `name`, or `name-1`,
   * `name-2` ... when there are several. Returns its secret, of which only the hash is kept.
   */
  async createToken(
    { name, uses, expiresMs }: { name: string; uses: number; expiresMs: number },
    { secret, nowMs }: { secret: string; nowMs: number },
  ): Promise<void> {
    if (!NAME.test(name)) throw invalidArgument('name', 'lower-case letters, digits and dashes, at most 63', name);
    if (!Number.isInteger(uses) || uses < 1 || uses > 10_000) throw invalidArgument('uses', '1 to 10000', uses);
    if (uses > 1 && !NAME.test(`${name}-${uses}`))
      throw invalidArgument('name', 'room for a number in 63 letters', name);
    if (!(expiresMs > 0)) throw invalidArgument('expires', 'a time above 0 ms', expiresMs);
    await this.#record({ kind: 'token', hash: sha256Hex(secret), name, uses, expiresAtMs: nowMs + expiresMs });
  }

  /** Whether somebody could join by it now. */
  isTokenGood(secret: string, nowMs: number): boolean {
    const token = this.#tokens.get(sha256Hex(secret));
    return token !== undefined && nowMs < token.expiresAtMs && token.used < token.uses;
  }

  /** Enrols a new key, or finds the client again whose reply was lost. Durable when it resolves. */
  async enrol(request: EnrolRequest, nowMs: number): Promise<Enrolled> {
    if (!verifySignature(request.publicKey, signedBytes('enrolment', request.token), request.signature)) {
      throw new FlError(
        'permission-denied',
        'enrolment: the signature is not by the public key shown, or anybody could sign for that key',
      );
    }
    const publicKey = toHex(request.publicKey);
    const known = this.#clientOfKey.get(publicKey);
    if (known !== undefined) return this.get(known);
    const hash = sha256Hex(request.token);
    const token = this.#tokens.get(hash);
    if (token === undefined) throw new FlError('permission-denied', 'token: not known to this coordinator');
    if (nowMs >= token.expiresAtMs) throw new FlError('permission-denied', `token: expired, ask for a new one`);
    if (token.used >= token.uses) throw new FlError('permission-denied', 'token: used up, ask for a new one');
    const client = token.uses === 1 ? token.name : this.#freeName(token);
    if (this.#clients.has(client)) throw new FlError('already-exists', `client "${client}" is enrolled already`);
    await this.#record({ kind: 'enrolled', hash, client, publicKey, atMs: nowMs });
    return this.get(client);
  }

  /** Enrols a key that the operator, or a simulation, vouches for; no token. */
  async enrolTrusted(client: string, publicKey: Uint8Array, nowMs: number): Promise<void> {
    if (!NAME.test(client))
      throw invalidArgument('client', 'lower-case letters, digits and dashes, at most 63', client);
    const key = toHex(checkEd25519Key(`public key of ${client}`, publicKey));
    await this.#record({ kind: 'enrolled', hash: '', client, publicKey: key, atMs: nowMs });
  }

  /** @throws FlError permission-denied when nobody of that name is enrolled. */
  get(client: string): Enrolled {
    const enrolled = this.#clients.get(client);
    if (enrolled === undefined) throw new FlError('permission-denied', `client "${client}" is not enrolled here`);
    return enrolled;
  }

  list(): Enrolled[] {
    return [...this.#clients.values()].sort((a, b) => (a.client < b.client ? -1 : 1));
  }

  /** In the order in which they came. */
  names(): string[] {
    return [...this.#clients.keys()];
  }

  #freeName({ name, used }: { name: string; used: number }): string {
    let number = used + 1;
    while (this.#clients.has(`${name}-${number}`)) number++; // another token may have had the same name
    return `${name}-${number}`;
  }

  /** Applied before it is durable: two requests in one turn of the event loop cannot both use the last token. */
  async #record(record: RegistryRecord): Promise<void> {
    this.#apply(record);
    await this.#log.append(record);
  }

  #apply(record: RegistryRecord): void {
    if (record.kind === 'token') {
      const { hash, name, uses, expiresAtMs } = record;
      this.#tokens.set(hash, { name, uses, used: 0, expiresAtMs });
      return;
    }
    const { client, publicKey, atMs, hash } = record;
    const token = this.#tokens.get(hash);
    if (token !== undefined) token.used++;
    this.#clientOfKey.set(publicKey, client);
    this.#clients.set(client, { client, publicKey: fromHex(publicKey), enrolledAtMs: atMs });
  }
}
