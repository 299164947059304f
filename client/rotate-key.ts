/**
 * `starling client rotate-key`: another key for a client, made here, for which the one before vouches. The new key is on the
 * disk before the coordinator hears of it, and takes the place of the old one after; whoever is killed in between goes on
 * with it at the next start, as the coordinator gives the same answer to the same word.
 */
import { join } from 'node:path';
import { systemClock } from '../shared/clock.js';
import { type Files, systemFiles } from '../shared/disk/files.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { readSecret, writeSecret } from '../shared/disk/secrets.js';
import { FlError } from '../shared/errors.js';
import { fromHex } from '../shared/hex.js';
import type { Issued } from '../shared/service.js';
import { type HandOver, signHandOver } from '../shared/signing/hand-over.js';
import { identityFromSeed, newIdentitySeed, sha256Hex } from '../shared/signing/identity.js';
import { addressesKnown } from './addresses.js';
import { certificateIn, isCertificateOf, keepCertificate } from './certificate.js';
import { membershipIn, seedIn } from './directory.js';
import { noteKey } from './former-keys.js';
import { connectGrpc } from './grpc/participant.js';
import type { ClientTls } from './grpc/tls.js';
import { checkCoordinator, IDENTITY_FILE, type Membership, membershipDirectory, NEXT_KEY_FILE } from './join.js';
import { siteTls } from './site-certificates.js';
import { openSiteLog } from './store/site-log.js';

/** Which client has which key now; keys are public, hex. */
export interface Rotated {
  readonly client: string;
  readonly from: string;
  readonly to: string;
}

/** What a rotation is done with. */
interface RotationDeps {
  /** By which the directory is changed; default: the real ones. */
  readonly files?: Files;
}

/**
 * The client must not be running; a run that it takes part in goes on, and finds it again by its new key.
 * @throws FlError unavailable: the coordinator is not there, try again · permission-denied: it does not take the word
 */
export async function rotateKey(
  options: { readonly clientsDir: string; readonly name?: string } & RotationDeps,
): Promise<Rotated> {
  const { files = systemFiles } = options;
  const directory = await membershipDirectory(options);
  const unlock = lockDirectory(directory);
  try {
    const membership = await membershipIn(directory);
    const next = join(directory, NEXT_KEY_FILE);
    await seedIn(directory);
    if ((await readSecret(next, { files })) === undefined) await writeSecret(next, newIdentitySeed(), { files });
    return (await endRotation(directory, membership, { files }))!;
  } finally {
    unlock();
  }
}

/** Brings a rotation that was begun to its end; undefined: none was. @throws FlError as {@link rotateKey} */
export async function endRotation(
  directory: string,
  membership: Membership,
  { files = systemFiles }: RotationDeps = {},
): Promise<Rotated | undefined> {
  const nextPath = join(directory, NEXT_KEY_FILE);
  const nextSeed = await readSecret(nextPath, { files });
  if (nextSeed === undefined) return undefined;
  const { client, siteFiles } = membership;
  const seed = await seedIn(directory);
  const [old, next] = [seed, nextSeed].map(identityFromSeed);
  const handOver = signHandOver({ client }, old, next);
  const { from, to } = handOver;
  const certificate = await certificateIn(directory, seed);
  const isTold = certificate !== undefined && isCertificateOf(certificate, next.publicKey); // killed after it was written
  if (!isTold) {
    const tls = siteFiles === undefined ? certificate && (() => certificate) : siteTls(siteFiles);
    const issued = await tell(directory, membership, { tls, handOver, forget: () => files.remove(nextPath) });
    await noteKey(directory, next.publicKey, { files });
    if (certificate !== undefined && siteFiles === undefined)
      await keepCertificate(directory, issued, { seed: nextSeed, files });
  }
  const siteLog = await openSiteLog(directory, { identity: next, clock: systemClock });
  const message = 'this client has another key, by its own word';
  await siteLog.add({ event: 'noticed', message, fields: { from, to } }); // before it is so: killed after it, it is said twice
  await files.rename(nextPath, join(directory, IDENTITY_FILE));
  await files.syncDirectory(directory);
  return { client, from, to };
}

/** To the coordinator that was joined, at the first of its addresses where it is; `forget`: it has not taken the key. */
async function tell(
  directory: string,
  membership: Membership,
  {
    tls,
    handOver,
    forget,
  }: { readonly tls?: () => ClientTls; readonly handOver: HandOver; readonly forget: () => Promise<void> },
): Promise<Issued | undefined> {
  const coordinatorKey = fromHex(membership.coordinatorKey);
  let failure: unknown;
  for (const address of addressesKnown(directory, membership, coordinatorKey)) {
    const service = connectGrpc(address, tls && { tls });
    try {
      await checkCoordinator(service, sha256Hex(coordinatorKey)); // whoever else is there decides nothing about a key
      return await service.rotateKey?.({ client: membership.client, handOver }).catch(async (thrown) => {
        const { code, message } = FlError.from(thrown);
        if (code !== 'permission-denied' && code !== 'already-exists') throw thrown;
        await forget();
        throw new FlError(code, `${message}; the key stays as it was`, { cause: thrown });
      });
    } catch (thrown) {
      failure ??= thrown;
      if (FlError.from(thrown).code !== 'unavailable') throw thrown;
    } finally {
      service.close();
    }
  }
  throw failure;
}
