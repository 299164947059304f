/** What an operator does about clients, their tokens, and other operators; a change is durable before it is carried out. */
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import type { AccountKey, PeopleService } from '../shared/people.js';
import type { Rng } from '../shared/rng.js';
import type { Accounts } from './accounts.js';
import type { Registry } from './registry.js';

interface PeopleDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Absent: there is nobody but `admin`. */
  readonly accounts?: Accounts;
  addresses(): readonly string[];
  /** Makes certificates; absent, or without a way for operators: connections are in plaintext. */
  readonly issuer?: { issueOperator?(name: string): Promise<string> };
  /** The join token of a secret. */
  tokenOf(secret: string): string;
  /** Ends what a client does here, unless it is approved. */
  shutOut(client: string): void;
}

/** The calls, on this coordinator. */
export function peopleOf(deps: PeopleDeps): PeopleService {
  const { registry, clock, rng, tokenOf, shutOut } = deps;
  return {
    ...accountsOf(deps),
    async setStanding({ client, change, reason }) {
      await registry.setStanding(client, change, { reason, nowMs: clock.nowMs() });
      shutOut(client);
    },
    async reEnrol(request) {
      const secret = newSecret(rng);
      await registry.createReplacement(request, { secret, nowMs: clock.nowMs() });
      shutOut(request.client);
      return tokenOf(secret);
    },
    listTokens: async () => registry.tokens(),
    revokeToken: (id) => registry.revokeToken(id),
  };
}

function accountsOf({
  accounts,
  clock,
  rng,
  issuer,
  addresses,
}: PeopleDeps): Pick<
  PeopleService,
  'addAccount' | 'rotateAccount' | 'renewAccount' | 'listAccounts' | 'removeAccount'
> {
  const book = (): Accounts => {
    if (accounts !== undefined) return accounts;
    throw new FlError('failed-precondition', 'accounts: there are none at a coordinator without a data directory');
  };
  const keyOf = async ({ name, role }: Pick<AccountKey, 'name' | 'role'>, token: string): Promise<AccountKey> => {
    return { name, role, token, address: addresses()[0], tls: (await issuer?.issueOperator?.(name)) ?? '' };
  };
  return {
    async addAccount(request) {
      const token = newSecret(rng);
      await book().add(request, token, clock.nowMs());
      return keyOf(request, token);
    },
    async rotateAccount(name) {
      const token = newSecret(rng);
      return keyOf(await book().rotate(name, token, clock.nowMs()), token);
    },
    renewAccount: async (name) => keyOf(book().get(name), ''),
    listAccounts: async () => book().list(),
    removeAccount: (name) => book().remove(name),
  };
}

/** Of a token: 32 bytes, base64url. */
export function newSecret(rng: Rng): string {
  return Buffer.from(rng.bytes(32)).toString('base64url');
}
