/**
 * Who may call this coordinator as an operator: named accounts, each with a role and a token of its own, records in the log
 * of clients. A token is kept as its hash. The account `admin` is always there; its token is a file of the data directory.
 */
import { FlError, invalidArgument } from '../shared/errors.js';
import type { Account, Role } from '../shared/people.js';
import { sha256Hex } from '../shared/signing/identity.js';
import type { RecordLog } from './registry.js';

/** The account of whoever has the data directory. */
export const ROOT = 'admin';

type AccountRecord =
  /** Of a name that is there: another token. */
  { kind: 'account'; name: string; role: Role; hash: string; atMs: number } | { kind: 'account-removed'; name: string };

interface Root {
  readonly token: string;
  /** Durable when it resolves. */
  keep(token: string): Promise<void>;
}

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** All accounts of one coordinator. */
export class Accounts {
  readonly #log: RecordLog;
  readonly #accounts = new Map<string, Account & { readonly hash: string }>();
  readonly #root: Root;
  /** By the hash of a token. */
  readonly #nameOfToken = new Map<string, string>();

  constructor(log: RecordLog, records: readonly unknown[], root: Root) {
    this.#log = log;
    this.#root = root;
    for (const record of records) this.#apply(record as AccountRecord);
    this.#apply({ kind: 'account', name: ROOT, role: 'admin', hash: sha256Hex(root.token), atMs: 0 });
  }

  /** Whose token this is; undefined: nobody's. Hashes are looked up, so time says nothing of how much of a guess is right. */
  accountOf(token: string): Account | undefined {
    const account = this.#accounts.get(this.#nameOfToken.get(sha256Hex(token)) ?? '');
    if (account === undefined) return undefined;
    const { hash: _, ...about } = account;
    return about;
  }

  list(): Account[] {
    const sorted = [...this.#accounts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return sorted.map(({ hash: _, ...about }) => about);
  }

  /** Durable when it resolves. @throws FlError invalid-argument · already-exists */
  async add(
    { name, role }: { readonly name: string; readonly role: Role },
    token: string,
    nowMs: number,
  ): Promise<void> {
    if (!NAME.test(name)) throw invalidArgument('name', 'lower-case letters, digits and dashes, at most 63', name);
    if (this.#accounts.has(name)) {
      throw new FlError('already-exists', `account "${name}" is there; another token: starling account rotate ${name}`);
    }
    await this.#record({ kind: 'account', name, role, hash: sha256Hex(token), atMs: nowMs });
  }

  /** The token before is nobody's any more. @throws FlError not-found */
  async rotate(name: string, token: string, nowMs: number): Promise<Account> {
    const { role } = this.get(name);
    const record = { kind: 'account', name, role, hash: sha256Hex(token), atMs: nowMs } as const;
    if (name !== ROOT) await this.#record(record);
    else {
      await this.#root.keep(token);
      this.#apply(record);
    }
    return this.get(name);
  }

  /** @throws FlError not-found · failed-precondition: `admin` */
  async remove(name: string): Promise<void> {
    if (name === ROOT) {
      throw new FlError('failed-precondition', 'account "admin" is of whoever has the data directory, and stays');
    }
    this.get(name);
    await this.#record({ kind: 'account-removed', name });
  }

  /** @throws FlError not-found */
  get(name: string): Account {
    const account = this.#accounts.get(name);
    if (account === undefined) throw new FlError('not-found', `account "${name}" is not known here`);
    return account;
  }

  async #record(record: AccountRecord): Promise<void> {
    this.#apply(record);
    await this.#log.append(record);
  }

  #apply(record: AccountRecord): void {
    if (record.kind !== 'account' && record.kind !== 'account-removed') return; // a record of the registry
    const before = this.#accounts.get(record.name);
    if (before !== undefined) this.#nameOfToken.delete(before.hash);
    this.#accounts.delete(record.name);
    if (record.kind === 'account-removed') return;
    const { name, role, hash, atMs } = record;
    this.#accounts.set(name, { name, role, sinceMs: atMs, hash });
    this.#nameOfToken.set(hash, name);
  }
}
