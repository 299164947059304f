/** `starling client join`: a lab's machine gets its key, which is made here and stays here, and its name at a coordinator. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { decodeJoinToken } from '../shared/join-token.js';
import { rngFromEntropy } from '../shared/rng.js';
import { identityFromSeed, newIdentitySeed, sha256Hex, signedBytes } from '../shared/signing/identity.js';
import { isIdentification } from '../shared/signing/login.js';
import { connectGrpc, type GrpcParticipant } from './grpc/participant.js';

/** What `join` leaves in a client's directory, beside its key. */
export interface Membership {
  readonly client: string;
  /** HOST:PORT of the coordinator. */
  readonly address: string;
  /** Ed25519, hex: plans and receipts of anybody else are ignored. */
  readonly coordinatorKey: string;
}

/** The file with a client's Ed25519 seed, 32 bytes, in its directory. */
export const IDENTITY_FILE = 'identity.key';
/** The file with its {@link Membership}, as JSON. */
export const MEMBERSHIP_FILE = 'client.json';

/**
 * Enrols this machine and remembers it below `clientsDir`. The token's fingerprint pins the coordinator.
 * @throws FlError invalid-argument: no token · permission-denied: another coordinator, or one that does not take the token ·
 *   already-exists: a client of the name that it was given is here
 */
export async function joinClient(options: { token: string; clientsDir: string }): Promise<Membership> {
  const { address, fingerprint, secret } = decodeJoinToken(options.token);
  const identitySeed = newIdentitySeed();
  const identity = identityFromSeed(identitySeed);
  const service = connectGrpc(address);
  try {
    await checkCoordinator(service, options.token);
    const signature = identity.sign(signedBytes('enrolment', secret));
    const reply = await service.enrol({ token: secret, publicKey: identity.publicKey, signature });
    if (sha256Hex(reply.coordinatorKey) !== fingerprint) throw anotherCoordinator(address);
    const { client } = reply;
    const directory = join(options.clientsDir, client);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if ((await readdir(directory)).includes(IDENTITY_FILE)) {
      throw new FlError('already-exists', `${directory} holds the key of another client of that name`);
    }
    const membership = { client, address, coordinatorKey: toHex(reply.coordinatorKey) };
    await writeFileDurably(join(directory, IDENTITY_FILE), identitySeed);
    await writeFileDurably(join(directory, MEMBERSHIP_FILE), Buffer.from(`${JSON.stringify(membership, null, 2)}\n`));
    return membership;
  } finally {
    service.close();
  }
}

/** Before the token's secret goes out: who holds an address that a coordinator has left could join with it. */
async function checkCoordinator(service: GrpcParticipant, token: string): Promise<void> {
  const { address, fingerprint } = decodeJoinToken(token);
  const { dialled } = service;
  const clientNonce = rngFromEntropy().bytes(32);
  const { coordinatorKey, signature } = await service.identify({ address: dialled, nonce: clientNonce });
  const isSigned = isIdentification({ address: dialled, coordinatorKey, clientNonce }, signature);
  if (sha256Hex(coordinatorKey) !== fingerprint || !isSigned) throw anotherCoordinator(address);
}

function anotherCoordinator(address: string): FlError {
  return new FlError('permission-denied', `the coordinator at ${address} is not the one that made this token`);
}
