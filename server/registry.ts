/**
 * Who may take part: join tokens, enrolled keys and how each client stands; every change a record in `clients.log`, the
 * state their fold. Tokens are kept as hashes only; whoever reads the coordinator's disk cannot join with them. Clients of
 * a log that is older than standings are approved.
 */
import { FlError, invalidArgument } from '../shared/errors.js';
import { fromHex, toHex } from '../shared/hex.js';
import type { StandingChange, TokenInfo } from '../shared/people.js';
import type { EnrolRequest } from '../shared/service.js';
import { type HandOver, isHandOver, MAX_HAND_OVERS } from '../shared/signing/hand-over.js';
import { sha256Hex, signedBytes, verifySignature } from '../shared/signing/identity.js';
import { checkEd25519Key } from '../shared/signing/strict.js';
import { afterChange, refusalOf, type Stood } from './standing.js';

type RegistryRecord =
  /** `replaces`: it lets another key in for this client; `isPending`: who joins with it has to be approved. */
  | {
      kind: 'token';
      hash: string;
      name: string;
      uses: number;
      expiresAtMs: number;
      isPending?: true;
      replaces?: string;
    }
  | { kind: 'token-revoked'; hash: string }
  /** Of a name that is enrolled: another key takes the place of the one before. */
  | { kind: 'enrolled'; hash: string; client: string; publicKey: string; atMs: number; standing?: 'pending' }
  | ({ kind: 'standing'; client: string; atMs: number } & Stood)
  /** By its own word: the client stands as it stood. */
  | { kind: 'rotated'; client: string; handOver: HandOver; atMs: number };

/** Where records are kept; a journal, or nothing in a simulation. */
export interface RecordLog {
  append(record: unknown): Promise<void>;
}

/** Who is enrolled; `publicKey` is Ed25519, 32 bytes. */
export interface Enrolled {
  readonly client: string;
  readonly publicKey: Uint8Array;
  readonly enrolledAtMs: number;
  /** How its first key that was enrolled led to this one, oldest first; absent: it is that one. */
  readonly handOvers?: readonly HandOver[];
}

/** What a token is for. */
interface TokenAbout {
  readonly name: string;
  readonly uses: number;
  readonly expiresMs: number;
  readonly isPending?: boolean;
}

interface Token extends Omit<Extract<RegistryRecord, { kind: 'token' }>, 'kind'> {
  used: number;
  isRevoked: boolean;
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const TOKEN_ID_CHARS = 12;

/** All tokens and clients of one coordinator. */
export class Registry {
  readonly #log: RecordLog;
  /** By the hash of its secret. */
  readonly #tokens = new Map<string, Token>();
  readonly #clients = new Map<string, Enrolled>();
  readonly #standings = new Map<string, Stood>();
  readonly #rotatedAtMs = new WeakMap<HandOver, number>();
  /** Every key that was ever enrolled, hex: one that was replaced is nobody's again. */
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
    { name, uses, expiresMs, isPending }: TokenAbout,
    { secret, nowMs }: { secret: string; nowMs: number },
  ): Promise<void> {
    if (!NAME.test(name)) throw invalidArgument('name', 'lower-case letters, digits and dashes, at most 63', name);
    if (!Number.isInteger(uses) || uses < 1 || uses > 10_000) throw invalidArgument('uses', '1 to 10000', uses);
    if (uses > 1 && !NAME.test(`${name}-${uses}`))
      throw invalidArgument('name', 'room for a number in 63 letters', name);
    const waits = isPending === true && { isPending };
    await this.#record({ kind: 'token', hash: sha256Hex(secret), name, uses, ...untilOf(expiresMs, nowMs), ...waits });
  }

  /** A token by which one other key is enrolled for `client`, whose own is revoked from now on. @throws FlError not-found */
  async createReplacement(
    { client, expiresMs }: { client: string; expiresMs: number },
    { secret, nowMs }: { secret: string; nowMs: number },
  ): Promise<void> {
    const until = untilOf(expiresMs, nowMs);
    this.#known(client);
    const hash = sha256Hex(secret);
    if (this.standingOf(client).standing !== 'revoked') {
      const reason = 'its key is replaced by another';
      await this.#record({ kind: 'standing', client, standing: 'revoked', reason, atMs: nowMs });
    }
    await this.#record({ kind: 'token', hash, name: client, uses: 1, ...until, replaces: client });
  }

  /** Nobody joins with it any more. `id` is what `tokens` says. @throws FlError not-found */
  async revokeToken(id: string): Promise<void> {
    const found = [...this.#tokens.values()].filter(({ hash }) => hash.slice(0, TOKEN_ID_CHARS) === id);
    if (found.length === 0) {
      throw new FlError('not-found', `token: expected an id of \`starling token list\`, got "${id.slice(0, 64)}"`);
    }
    for (const { hash } of found) await this.#record({ kind: 'token-revoked', hash });
  }

  /** Without their secrets, in the order in which they were made. */
  tokens(): TokenInfo[] {
    return [...this.#tokens.values()].map(({ hash, name, uses, used, expiresAtMs, isPending = false, isRevoked }) => {
      return { id: hash.slice(0, TOKEN_ID_CHARS), name, uses, used, expiresAtMs, isPending, isRevoked };
    });
  }

  /** Whether somebody could join by it now. */
  isTokenGood(secret: string, nowMs: number): boolean {
    const token = this.#tokens.get(sha256Hex(secret));
    return token !== undefined && !token.isRevoked && nowMs < token.expiresAtMs && token.used < token.uses;
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
    if (known !== undefined) return this.#again(known, publicKey);
    const token = this.#usable(sha256Hex(request.token), nowMs);
    const { hash, replaces, isPending } = token;
    const client = replaces ?? (token.uses === 1 ? token.name : this.#freeName(token));
    if (replaces === undefined && this.#clients.has(client)) {
      const next = `if its key is lost: starling client re-enrol ${client}`;
      throw new FlError('already-exists', `client "${client}" is enrolled already; ${next}`);
    }
    const waits = isPending === true && { standing: 'pending' as const };
    await this.#record({ kind: 'enrolled', hash, client, publicKey, atMs: nowMs, ...waits });
    return this.get(client);
  }

  /**
   * Another key in the place of the one by which a client is enrolled; durable when it resolves. False: it was so before.
   * @throws FlError permission-denied: not by this client's key of now, or it is shut out · already-exists: a key of before
   */
  async rotate(client: string, handOver: HandOver, nowMs: number): Promise<boolean> {
    const enrolled = toHex(this.get(client).publicKey);
    const refused = (why: string) => new FlError('permission-denied', `rotate-key: ${why}`);
    if (!isHandOver({ client }, handOver)) {
      throw refused(`expected a word of two keys of client "${client}", got one that they have not both signed`);
    }
    const refusal = this.refusalOf(client);
    if (refusal?.retry === false) throw refused(refusal.reason);
    if (handOver.to === enrolled) return false; // its answer was lost
    if (handOver.from !== enrolled) throw refused(`client "${client}" is not enrolled by the key that gives any more`);
    checkEd25519Key(`the new public key of ${client}`, fromHex(handOver.to));
    if (this.#clientOfKey.has(handOver.to)) {
      throw new FlError(
        'already-exists',
        'rotate-key: expected a key that is new here, got one that was enrolled before',
      );
    }
    if ((this.get(client).handOvers?.length ?? 0) >= MAX_HAND_OVERS) {
      const next = `a new beginning: starling client re-enrol ${client}`;
      throw refused(`expected at most ${MAX_HAND_OVERS} keys, one after another; next: ${next}`);
    }
    await this.#record({ kind: 'rotated', client, handOver, atMs: nowMs });
    return true;
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

  /** By which the keys of a client have followed one another since that time, oldest first. */
  handOversOf(client: string, sinceMs: number): readonly HandOver[] {
    const { handOvers = [] } = this.#clients.get(client) ?? {};
    return handOvers.filter((handOver) => (this.#rotatedAtMs.get(handOver) ?? 0) >= sinceMs);
  }

  list(): Enrolled[] {
    return [...this.#clients.values()].sort((a, b) => (a.client < b.client ? -1 : 1));
  }

  /** Of those that take part, in the order in which they came. */
  names(): string[] {
    return [...this.#clients.keys()].filter((client) => this.standingOf(client).standing === 'approved');
  }

  /** Of an enrolled client. */
  standingOf(client: string): Stood {
    return this.#standings.get(client) ?? { standing: 'approved', reason: '' };
  }

  /** Durable when it resolves, and true of everybody who asks from now on. @throws FlError not-found · failed-precondition */
  async setStanding(client: string, change: StandingChange, { reason, nowMs }: { reason: string; nowMs: number }) {
    this.#known(client);
    const standing = afterChange(client, this.standingOf(client), change);
    await this.#record({ kind: 'standing', client, standing, reason, atMs: nowMs });
  }

  /** Why a client is kept out; undefined: it takes part. @throws FlError permission-denied: nobody of that name */
  refusalOf(client: string): ReturnType<typeof refusalOf> {
    return refusalOf(this.get(client).client, this.standingOf(client));
  }

  /** The client of a key that was enrolled before: its reply was lost, unless it has lost its place since. */
  #again(client: string, publicKey: string): Enrolled {
    const enrolled = this.get(client);
    const { standing } = this.standingOf(client);
    if (toHex(enrolled.publicKey) === publicKey && standing !== 'revoked') return enrolled;
    const next = 'join with a new key: move the directory of the client away, and ask for a token';
    throw new FlError('permission-denied', `enrolment: this key of client "${client}" is revoked; ${next}`);
  }

  #usable(hash: string, nowMs: number): Token {
    const refused = (why: string) => new FlError('permission-denied', `token: ${why}`);
    const token = this.#tokens.get(hash);
    if (token === undefined) throw refused('not known to this coordinator');
    if (token.isRevoked) throw refused('revoked, ask for a new one');
    if (nowMs >= token.expiresAtMs) throw refused('expired, ask for a new one');
    if (token.used >= token.uses) throw refused('used up, ask for a new one');
    return token;
  }

  #known(client: string): void {
    if (!this.#clients.has(client)) throw new FlError('not-found', `client "${client}" is not enrolled here`);
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
    switch (record.kind) {
      case 'token': {
        const { kind: _, ...token } = record;
        this.#tokens.set(record.hash, { ...token, used: 0, isRevoked: false });
        return;
      }
      case 'token-revoked': {
        const token = this.#tokens.get(record.hash);
        if (token !== undefined) token.isRevoked = true;
        return;
      }
      case 'standing': {
        const { client, standing, reason } = record;
        this.#standings.set(client, { standing, reason });
        return;
      }
      case 'rotated': {
        const { client, handOver } = record;
        const before = this.get(client);
        const handOvers = [...(before.handOvers ?? []), handOver];
        this.#rotatedAtMs.set(handOver, record.atMs);
        this.#clientOfKey.set(handOver.to, client);
        this.#clients.set(client, { ...before, publicKey: fromHex(handOver.to), handOvers });
        return;
      }
      case 'enrolled': {
        const { client, publicKey, atMs, hash, standing = 'approved' } = record;
        const token = this.#tokens.get(hash);
        if (token !== undefined) token.used++;
        for (const other of this.#tokens.values()) if (other.replaces === client) other.isRevoked = true;
        this.#clientOfKey.set(publicKey, client);
        this.#clients.set(client, { client, publicKey: fromHex(publicKey), enrolledAtMs: atMs });
        this.#standings.set(client, { standing, reason: '' });
        return;
      }
    }
  }
}

function untilOf(expiresMs: number, nowMs: number): { readonly expiresAtMs: number } {
  if (!(expiresMs > 0)) throw invalidArgument('expires', 'a time above 0 ms', expiresMs);
  return { expiresAtMs: nowMs + expiresMs };
}
