/**
 * Real clients of a hostile coordinator, each over a gRPC connection of its own, with what each site insists on.
 */
import { connectGrpc } from '../../client/grpc/participant.js';
import { Participant, type ParticipantOptions } from '../../client/round/participant.js';
import type { SecaggSite } from '../../client/round/secagg-task.js';
import { memorySecaggStore } from '../../client/store/secagg.js';
import { memoryStore } from '../../client/store/updates.js';
import type { Clock } from '../../shared/clock.js';
import { rngFromEntropy } from '../../shared/rng.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { toyTrainer } from '../support/toy.js';
import { coordinator, type HostileCoordinator, keyOf, seedOf } from './hostile-coordinator.js';

/** Whatever the protocol itself allows: a test raises the one floor that it is about. */
export const ANY = { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0 };

export interface Site extends Partial<Pick<SecaggSite, 'policy' | 'store' | 'enrolled'>> {
  readonly declineReason?: ParticipantOptions['declineReason'];
  readonly trainer?: ParticipantOptions['trainer'];
  readonly privacy?: ParticipantOptions['privacy'];
  readonly clock?: Clock;
}

export interface Wired {
  readonly name: string;
  /** What the site's own log says. */
  readonly notices: { readonly message: string; readonly fields: object }[];
  /** As if its process had been killed: no more is sent, not even a word of leave. */
  kill(): void;
}

/** Reconnects come at once: the back-off of a broken connection is another test's. */
export const atOnce: Clock = {
  nowMs: () => 0,
  after: (_, fire) => {
    const turn = setImmediate(fire);
    return () => clearImmediate(turn);
  },
};

/** Starts the client `name` and resolves when it has been let in. */
export async function enter(hostile: HostileCoordinator, name: string, site: Site = {}): Promise<Wired> {
  const { policy = ANY, store = memorySecaggStore(), enrolled, declineReason, trainer = toyTrainer() } = site;
  const { privacy, clock = atOnce } = site;
  const service = connectGrpc(hostile.address);
  const notices: Wired['notices'] = [];
  const signingSeed = seedOf(name);
  const participant = await Participant.start({
    ...{ service, client: name, identity: identityFromSeed(signingSeed), coordinatorKey: coordinator.publicKey },
    ...{ store: memoryStore(), trainer, clock, rng: rngFromEntropy(), version: '0' },
    ...{ declineReason, privacy },
    secure: { signingSeed, policy, store, rng: rngFromEntropy(), ...(enrolled && { enrolled }) },
    notice: (message, fields) => {
      notices.push({ message, fields });
      hostile.stir();
    },
  });
  participant.done.catch(() => undefined);
  await hostile.when(() => hostile.isHere(name));
  return {
    ...{ name, notices },
    kill() {
      service.close();
      participant.stop();
    },
  };
}

/** The enrolment list that the sites agreed on among themselves. */
export const listOf = (names: readonly string[]): ReadonlyMap<string, Uint8Array> =>
  new Map(names.map((name) => [name, Buffer.from(keyOf(name), 'hex')]));
