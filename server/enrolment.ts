/** What a coordinator answers before anybody has logged in: who it is, a join, and a certificate anew. */
import { FlError } from '../shared/errors.js';
import { fromHex } from '../shared/hex.js';
import type {
  EnrolReply,
  EnrolRequest,
  IdentifyReply,
  IdentifyRequest,
  Issued,
  RenewRequest,
  RotateKeyRequest,
} from '../shared/service.js';
import { allKeysOf, type Identity } from '../shared/signing/identity.js';
import { isRenewal, signIdentification } from '../shared/signing/login.js';
import { wrongAddress } from './login.js';
import type { CoordinatorOptions } from './options.js';

/** @throws FlError permission-denied: the client has dialled another address than one of `addresses` */
export async function identify(
  { address, nonce: clientNonce }: IdentifyRequest,
  identity: Identity,
  addresses: readonly string[],
): Promise<IdentifyReply> {
  const reason = wrongAddress(address, addresses);
  if (reason !== undefined) throw new FlError('permission-denied', reason);
  const { publicKey: coordinatorKey } = identity;
  const signature = signIdentification(identity, { address, coordinatorKey, clientNonce });
  return { coordinatorKey, signature, handOvers: identity.handOvers };
}

/** @throws FlError permission-denied, already-exists, invalid-argument: as `Registry.enrol` */
export async function enrol(
  request: EnrolRequest,
  { registry, clock, identity, log, issuer }: CoordinatorOptions,
): Promise<EnrolReply> {
  const { client, publicKey } = await registry.enrol(request, clock.nowMs());
  log.info({ client, standing: registry.standingOf(client).standing }, 'client enrolled');
  const issued = await issuer?.issueFor(client, publicKey);
  return { client, coordinatorKey: identity.publicKey, ...(issued && { issued }) };
}

/**
 * For the key that is enrolled and no other, so that who asks in a client's name has nothing of it.
 * @throws FlError permission-denied: another key, or the client is shut out; failed-precondition: nothing is issued here
 */
export async function renew(
  { client, signature }: RenewRequest,
  { registry, identity, issuer, log }: CoordinatorOptions,
): Promise<Issued> {
  if (issuer === undefined) throw new FlError('failed-precondition', 'renew: connections are in plaintext here');
  const { publicKey } = registry.get(client);
  // who was away while this coordinator's key was replaced asks as it knows it
  const isOwn = (key: string) => isRenewal(publicKey, { client, coordinatorKey: fromHex(key) }, signature);
  if (!allKeysOf(identity).some(isOwn)) {
    throw new FlError('permission-denied', `renew: the signature is not by the key of client "${client}"`);
  }
  const refusal = registry.refusalOf(client);
  if (refusal?.retry === false) throw new FlError('permission-denied', `renew: ${refusal.reason}`);
  const issued = await issuer.issueFor(client, publicKey);
  if (issued === undefined) throw new FlError('failed-precondition', "renew: the site's own authority issues here");
  log.info({ client }, 'certificate renewed');
  return issued;
}

/** @throws FlError permission-denied, already-exists: as `Registry.rotate` */
export async function rotateKey(
  { client, handOver }: RotateKeyRequest,
  { registry, clock, issuer, log }: CoordinatorOptions,
): Promise<Issued | undefined> {
  if (await registry.rotate(client, handOver, clock.nowMs())) {
    log.info({ client, from: handOver.from, to: handOver.to }, 'client has another key');
  }
  return issuer?.issueFor(client, registry.get(client).publicKey);
}
