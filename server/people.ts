/** What an operator does about clients and their tokens; a change is durable before it is carried out. */
import type { Clock } from '../shared/clock.js';
import type { PeopleService } from '../shared/people.js';
import type { Rng } from '../shared/rng.js';
import type { Registry } from './registry.js';

interface PeopleDeps {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly rng: Rng;
  /** The join token of a secret. */
  tokenOf(secret: string): string;
  /** Ends what a client does here, unless it is approved. */
  shutOut(client: string): void;
}

/** The calls, on this coordinator. */
export function peopleOf({ registry, clock, rng, tokenOf, shutOut }: PeopleDeps): PeopleService {
  return {
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

/** Of a token: 32 bytes, base64url. */
export function newSecret(rng: Rng): string {
  return Buffer.from(rng.bytes(32)).toString('base64url');
}
