/** `starling client set-address`: a coordinator has moved where nobody could tell its clients, and a person does. */
import { fromHex, toHex } from '../shared/hex.js';
import { sha256Hex } from '../shared/signing/identity.js';
import { formatAddress, parseAddress } from '../shared/wire/address.js';
import { certificateIn } from './certificate.js';
import { membershipIn, seedIn } from './directory.js';
import { connectGrpc } from './grpc/participant.js';
import { checkCoordinator, keepMembership, type Membership, membershipDirectory } from './join.js';
import { siteTls } from './site-certificates.js';

/**
 * Writes down where the coordinator is from now on, if it is there: it shows the key that this client has joined. A client
 * that runs goes there when it connects next.
 * @throws FlError invalid-argument: no HOST:PORT · unavailable: nobody is there · permission-denied: somebody else is
 */
export async function setAddress(options: {
  readonly clientsDir: string;
  readonly name?: string;
  readonly address: string;
}): Promise<Membership> {
  const directory = await membershipDirectory(options);
  const membership = await membershipIn(directory);
  const address = formatAddress(parseAddress('address', options.address));
  const { siteFiles, coordinatorKey } = membership;
  const certificate = await certificateIn(directory, await seedIn(directory));
  const tls = siteFiles === undefined ? certificate && (() => certificate) : siteTls(siteFiles);
  const service = connectGrpc(address, tls && { tls });
  try {
    const key = await checkCoordinator(service, sha256Hex(fromHex(coordinatorKey)));
    const moved = { ...membership, address, coordinatorKey: toHex(key) };
    await keepMembership(directory, moved);
    return moved;
  } finally {
    service.close();
  }
}
