/** What a coordinator lends to all its runs. */
import { toHex } from '../shared/hex.js';
import type { Connections } from './connections.js';
import type { CoordinatorOptions } from './options.js';
import type { SharedDeps } from './run/directory.js';
import type { UnmaskPool } from './unmask-pool.js';
import type { UpdateReceiver } from './updates/receive.js';

/** Its own parts, as far as runs may use them. */
interface Lender {
  readonly connections: Connections;
  readonly receiver: UpdateReceiver;
  readonly unmasking: UnmaskPool;
}

/** Clients are known by their names here: keys are those of when they are asked for. */
export function lentBy(
  { clock, identity, isNoiseSeeded, fatal, rng, registry, files, journalBytes }: CoordinatorOptions,
  { connections, receiver, unmasking }: Lender,
): SharedDeps {
  return {
    ...{ clock, identity, isNoiseSeeded, fatal, rng, files, journalBytes, unmasking },
    send: (client, frame) => connections.send(client, frame),
    releaseUpload: (client, run) => receiver.release(client, run),
    enrolled: () => registry.names(),
    keysOf: (clients) => Object.fromEntries(clients.map((client) => [client, toHex(registry.get(client).publicKey)])),
    handOversOf: (clients, sinceMs) =>
      clients.flatMap((client) => registry.handOversOf(client, sinceMs).map((one) => ({ client, ...one }))),
  };
}
