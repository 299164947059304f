/** `starling client set-address`: a coordinator has moved where nobody could tell its clients, and a person does. */
import { join } from 'node:path';
import { systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { fromHex } from '../shared/hex.js';
import { sha256Hex } from '../shared/signing/identity.js';
import { formatAddress, parseAddress } from '../shared/wire/address.js';
import { certificateIn } from './certificate.js';
import { connectGrpc } from './grpc/participant.js';
import { checkCoordinator, IDENTITY_FILE, MEMBERSHIP_FILE, type Membership, membershipDirectory } from './join.js';
import { membershipIn } from './run.js';
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
  const seed = (await systemFiles.read(join(directory, IDENTITY_FILE))) ?? new Uint8Array(0);
  const certificate = await certificateIn(directory, seed);
  const tls = siteFiles === undefined ? certificate && (() => certificate) : siteTls(siteFiles);
  const service = connectGrpc(address, tls && { tls });
  try {
    await checkCoordinator(service, sha256Hex(fromHex(coordinatorKey)));
  } finally {
    service.close();
  }
  const moved = { ...membership, address };
  await writeFileDurably(join(directory, MEMBERSHIP_FILE), Buffer.from(`${JSON.stringify(moved, null, 2)}\n`));
  return moved;
}
