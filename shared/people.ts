/** The words for who may do what at a coordinator: how a client stands, and what an operator does about it. */

/** How an enrolled client stands. Only one that is approved takes part. */
export const STANDINGS = ['pending', 'approved', 'suspended', 'revoked'] as const;
/** One of them. */
export type Standing = (typeof STANDINGS)[number];

/** What an operator does about a client. */
export const STANDING_CHANGES = ['approve', 'suspend', 'resume', 'revoke'] as const;
/** One of them. */
export type StandingChange = (typeof STANDING_CHANGES)[number];

/** A join token, as a list shows it: never its secret. */
export interface TokenInfo {
  /** The first 12 hex digits of the hash of its secret. */
  readonly id: string;
  readonly name: string;
  readonly uses: number;
  readonly used: number;
  readonly expiresAtMs: number;
  /** Who joins with it waits for an operator's approval. */
  readonly isPending: boolean;
  readonly isRevoked: boolean;
}

/** What the account of an operator may do: server/roles.ts says which calls. */
export const ROLES = ['viewer', 'operator', 'auditor', 'admin'] as const;
/** One of them. */
export type Role = (typeof ROLES)[number];

/** An account of somebody who calls a coordinator as its operator. */
export interface Account {
  readonly name: string;
  readonly role: Role;
  /** When it was made, or given another token. */
  readonly sinceMs: number;
}

/** What its holder calls by: a secret. */
export interface AccountKey {
  readonly name: string;
  readonly role: Role;
  /** HOST:PORT of the coordinator. */
  readonly address: string;
  readonly token: string;
  /** PEM: key, certificate, authorities; empty: connections are in plaintext. */
  readonly tls: string;
}

/** The operator's calls about clients, their tokens, and other operators. */
export interface PeopleService {
  /**
   * `reason` is for a person, the client among them. Durable, and done to its stream and to each round, when it resolves.
   * @throws FlError not-found: no such client · failed-precondition: it does not stand so that this can be done
   */
  setStanding(request: {
    readonly client: string;
    readonly change: StandingChange;
    readonly reason: string;
  }): Promise<void>;
  /** Revokes the client's key. The join token lets one other key in under the same name. @throws FlError not-found */
  reEnrol(request: { readonly client: string; readonly expiresMs: number }): Promise<string>;
  listTokens(): Promise<readonly TokenInfo[]>;
  /** Nobody joins with it any more; who has joined stays. @throws FlError not-found */
  revokeToken(id: string): Promise<void>;
  /** @throws FlError already-exists · invalid-argument */
  addAccount(request: { readonly name: string; readonly role: Role }): Promise<AccountKey>;
  /** Another token and certificate for an account; the token before it is refused from then on. @throws FlError not-found */
  rotateAccount(name: string): Promise<AccountKey>;
  /** Another certificate for an account, whose token stays and is not told; over a network, for whoever calls. @throws FlError not-found */
  renewAccount(name: string): Promise<AccountKey>;
  listAccounts(): Promise<readonly Account[]>;
  /** @throws FlError not-found · failed-precondition: `admin`, who is always there */
  removeAccount(name: string): Promise<void>;
}
