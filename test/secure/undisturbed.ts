/** What the door's runs are held against: the same run in a simulation that nobody disturbs. */
import { join } from 'node:path';
import { Participant } from '../../client/round/participant.js';
import { memoryStore } from '../../client/store/updates.js';
import { Coordinator } from '../../server/coordinator.js';
import { silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import { systemClock } from '../../shared/clock.js';
import { rngFromEntropy } from '../../shared/rng.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { memoryTransport } from '../../simulations/memory-transport.js';
import { toyTrainer } from '../support/toy.js';
import { modelsOf, NAMES } from './door.js';
import { seedOf } from './hostile-coordinator.js';

/** The models of the same run in a simulation without a network. */
export async function undisturbed(directory: string): Promise<string[]> {
  const registry = new Registry({ append: async () => undefined }, []);
  for (const name of NAMES) await registry.enrolTrusted(name, identityFromSeed(seedOf(name)).publicKey, 0);
  const identity = identityFromSeed(seedOf('coordinator'));
  const coordinator = await Coordinator.open({
    ...{ dataDir: directory, identity, registry, clock: systemClock, rng: rngFromEntropy(), log: silent },
    fatal: (error) => {
      throw error;
    },
  });
  const participants = NAMES.map((client) =>
    Participant.start({
      ...{ service: memoryTransport(coordinator), client, identity: identityFromSeed(seedOf(client)), version: '0' },
      ...{ coordinatorKey: identity.publicKey, store: memoryStore(), trainer: toyTrainer() },
      ...{ clock: systemClock, rng: rngFromEntropy(), notice: () => {} },
    }),
  );
  const models = await modelsOf(coordinator, join(directory, 'simulated'));
  for (const participant of await Promise.all(participants)) participant.stop();
  await coordinator.close();
  return models;
}
