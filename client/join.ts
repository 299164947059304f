/** `starling client join`: a lab's machine gets its key, which is made here and stays here, and its name at a coordinator. */
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asideOf, entriesOf, putInPlace } from '../shared/disk/aside.js';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { LOCK_FILE, lockDirectory } from '../shared/disk/lock.js';
import { readSecret, writeSecret } from '../shared/disk/secrets.js';
import { FlError, invalidArgument } from '../shared/errors.js';
import { fromHex, toHex } from '../shared/hex.js';
import { decodeJoinToken } from '../shared/join-token.js';
import { rngFromEntropy } from '../shared/rng.js';
import { keysFrom } from '../shared/signing/hand-over.js';
import { identityFromSeed, newIdentitySeed, sha256Hex, signedBytes } from '../shared/signing/identity.js';
import { isIdentification } from '../shared/signing/login.js';
import { keepCertificate } from './certificate.js';
import { noteKey } from './former-keys.js';
import { connectGrpc, type GrpcParticipant } from './grpc/participant.js';
import { pinnedAuthority } from './grpc/tls.js';
import { absolute, type SiteFiles, siteTls } from './site-certificates.js';

/** What `join` leaves in a client's directory, beside its key. */
export interface Membership {
  readonly client: string;
  /** HOST:PORT of the coordinator. */
  readonly address: string;
  /** Others of its addresses, as the token said. */
  readonly others?: readonly string[];
  /** Of a lab whose certificates are its site's own. */
  readonly siteFiles?: SiteFiles;
  /** Ed25519, hex: plans and receipts of anybody else are ignored. */
  readonly coordinatorKey: string;
}

/** The file with a client's Ed25519 seed, 32 bytes, in its directory. */
export const IDENTITY_FILE = 'identity.key';
/** The seed of a key that is about to take its place, of which the coordinator may know. */
export const NEXT_KEY_FILE = `${IDENTITY_FILE}.next`;
/** The file with its {@link Membership}, as JSON. */
export const MEMBERSHIP_FILE = 'client.json';

/**
 * Enrols this machine and remembers it below `clientsDir`. The token's fingerprint pins the coordinator. The key is on the
 * disk before the coordinator hears of it: whoever was killed in between joins again with the same token and is the same.
 * @throws FlError invalid-argument: no token · permission-denied: another coordinator, or one that does not take the token ·
 *   already-exists: a client of the name that it was given is here
 */
export async function joinClient(options: {
  readonly token: string;
  readonly clientsDir: string;
  /** For a coordinator whose certificates are a site's own. */
  readonly siteFiles?: SiteFiles;
  /** By which the directory is made; default: the real ones. */
  readonly files?: Files;
}): Promise<Membership> {
  const { files = systemFiles } = options;
  const { fingerprint, secret, others } = decodeJoinToken(options.token);
  let unlock = () => {};
  const { address, service, isSecure } = await reach(options.token, options.siteFiles);
  try {
    const coordinatorKey = toHex(await checkCoordinator(service, fingerprint));
    const taken = await takeAside(join(options.clientsDir, sha256Hex(secret).slice(0, 16)), files);
    const { aside } = taken;
    unlock = taken.unlock;
    const seed = await seedIn(aside, files);
    const identity = identityFromSeed(seed);
    const signature = identity.sign(signedBytes('enrolment', secret));
    const request = { token: secret, publicKey: identity.publicKey, signature };
    const reply = await service.enrol(request).catch((thrown) => forgetRefused(aside, thrown));
    if (toHex(reply.coordinatorKey) !== coordinatorKey) throw anotherCoordinator(address);
    const { client } = reply;
    const directory = join(options.clientsDir, client);
    if ((await entriesOf(directory)).some(({ name }) => name === IDENTITY_FILE)) {
      const next = `move it away, or, if that key was revoked, remove ${IDENTITY_FILE} there (what was charged stays); then join again with the same token`;
      throw new FlError('already-exists', `${directory} holds the key of another client of that name; next: ${next}`);
    }
    const siteFiles = options.siteFiles && absolute(options.siteFiles);
    if (isSecure && siteFiles === undefined) await keepCertificate(aside, reply.issued, { seed, files });
    const membership = { client, address, coordinatorKey, ...(others?.length && { others }), siteFiles };
    await keepMembership(aside, membership, files);
    await noteKey(directory, identity.publicKey, { target: aside, files });
    await putInPlace(files, aside, directory, IDENTITY_FILE);
    await rm(join(directory, LOCK_FILE), { force: true }); // it came along
    return membership;
  } finally {
    unlock();
    service.close();
  }
}

/** Writes it into the directory of a client; durable when it resolves. */
export function keepMembership(directory: string, membership: Membership, files: Files = systemFiles): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(membership, null, 2)}\n`);
  return writeFileDurably(join(directory, MEMBERSHIP_FILE), text, files);
}

/** A key that the coordinator did not take is nobody's; one that it may have taken, its answer lost, is kept. */
async function forgetRefused(aside: string, thrown: unknown): Promise<never> {
  const { code } = FlError.from(thrown);
  if (code === 'permission-denied' || code === 'already-exists') await rm(aside, { recursive: true, force: true });
  throw thrown;
}

/** A place for one membership that no living process is at: several may join with one token at a time. */
async function takeAside(path: string, files: Files): Promise<{ aside: string; unlock: () => void }> {
  for (let i = 0; ; i++) {
    const aside = await asideOf(`${path}-${i}`);
    await files.makeDirectory(aside);
    try {
      return { aside, unlock: lockDirectory(aside) };
    } catch (thrown) {
      const { code } = thrown as { code?: string };
      if (code !== 'already-exists' && code !== 'ENOENT') throw thrown; // ENOENT: it has just been put in its place
    }
  }
}

/** The seed that an earlier `join` with this token made and was killed after; otherwise a new one, durable. */
async function seedIn(aside: string, files: Files): Promise<Uint8Array> {
  const path = join(aside, IDENTITY_FILE);
  const stored = await readSecret(path, { files });
  if (stored !== undefined) return stored;
  const seed = newIdentitySeed();
  await writeSecret(path, seed, { files });
  await files.syncDirectory(dirname(aside));
  return seed;
}

/** A connection to the first of the token's addresses where the coordinator that made it is; by TLS, if it says so. */
async function reach(
  token: string,
  siteFiles: SiteFiles | undefined,
): Promise<{ address: string; service: GrpcParticipant; isSecure: boolean }> {
  const { address: first, others = [], authority } = decodeJoinToken(token);
  if ((authority === 'site') !== (siteFiles !== undefined)) {
    const wanted = authority === 'site' ? 'those of your site, as the token says' : 'none, as the token brings its own';
    throw invalidArgument('--tls-cert, --tls-key, --tls-ca', wanted, siteFiles === undefined ? 'none' : 'some');
  }
  if (siteFiles !== undefined) {
    return { address: first, service: connectGrpc(first, { tls: siteTls(siteFiles) }), isSecure: true };
  }
  if (authority === undefined) return { address: first, service: connectGrpc(first), isSecure: false };
  const failures: FlError[] = [];
  for (const address of [first, ...others]) {
    try {
      const authorities = [await pinnedAuthority(address, authority)];
      return { address, service: connectGrpc(address, { tls: () => ({ authorities }) }), isSecure: true };
    } catch (thrown) {
      failures.push(FlError.from(thrown));
    }
  }
  const [{ code }] = failures;
  throw new FlError(code, failures.map(({ message }) => message).join('; '));
}

/**
 * Before the token's secret goes out: who holds an address that a coordinator has left could join with it.
 * @param fingerprint SHA-256 of the coordinator's key, or of one that has led to it, hex
 * @returns the key
 * @throws FlError permission-denied: somebody else is there
 */
export async function checkCoordinator(service: GrpcParticipant, fingerprint: string): Promise<Uint8Array> {
  const { dialled } = service;
  const clientNonce = rngFromEntropy().bytes(32);
  const reply = await service.identify({ address: dialled, nonce: clientNonce });
  const { coordinatorKey, signature, handOvers = [] } = reply;
  const isSigned = isIdentification({ address: dialled, coordinatorKey, clientNonce }, signature);
  const known = handOvers.map(({ from }) => from).find((key) => sha256Hex(fromHex(key)) === fingerprint);
  const led = known === undefined ? toHex(coordinatorKey) : keysFrom('coordinator', known, handOvers).at(-1);
  const isKnown = known !== undefined || sha256Hex(coordinatorKey) === fingerprint;
  if (!isKnown || led !== toHex(coordinatorKey) || !isSigned) throw anotherCoordinator(dialled);
  return coordinatorKey;
}

function anotherCoordinator(address: string): FlError {
  return new FlError('permission-denied', `the coordinator at ${address} is not the one that made this token`);
}

/**
 * The directory of a membership of this machine; without `name`, of the only one.
 * @throws FlError not-found: there is none, or none of that name · invalid-argument: there are several
 */
export async function membershipDirectory({
  clientsDir,
  name,
}: {
  readonly clientsDir: string;
  readonly name?: string;
}): Promise<string> {
  const known = (await readdir(clientsDir).catch(() => [])).filter((entry) => !entry.startsWith('.')).sort();
  if (name !== undefined) {
    if (!known.includes(name))
      throw new FlError('not-found', `no client "${name}" here; first: starling client join TOKEN`);
    return join(clientsDir, name);
  }
  if (known.length === 0)
    throw new FlError('not-found', 'this machine is no client yet; first: starling client join TOKEN');
  if (known.length > 1) throw invalidArgument('name', `--name, one of ${known.join(', ')}`, 'nothing');
  return join(clientsDir, known[0]);
}
