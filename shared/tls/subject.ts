/**
 * Whom a certificate is about, and how that is written in it: clients and operators as a URI of the subject alternative
 * names, `urn:starling:client:NAME`, a coordinator by the names and addresses that lead to it.
 */
import { X509Certificate } from 'node:crypto';
import { FlError } from '../errors.js';
import type { Peer } from '../service.js';
import { sha256Hex } from '../signing/identity.js';

/** Whom a certificate is for. */
export type Subject =
  | { readonly kind: 'client' | 'operator'; readonly name: string }
  /** Host names and literal IP addresses. */
  | { readonly kind: 'server'; readonly hosts: readonly string[] };

/** What an operator's commands ask for, so that they are shown the coordinator's own certificate beside a site's. */
export const OPERATOR_SERVER_NAME = 'operator.starling.invalid';

const URI = /^URI:urn:starling:(client|operator):([a-z0-9][a-z0-9-]{0,62})$/;

const COMMON_NAME = /^CN=([a-z0-9][a-z0-9-]{0,62})$/m;

/** Of a subject that connects. */
export function uriOf({ kind, name }: Extract<Subject, { readonly name: string }>): string {
  return `urn:starling:${kind}:${name}`;
}

/**
 * Whom a certificate (DER) of a peer names; that somebody trusted has issued it was checked before.
 * @param own the federation's own authorities (PEM): a key that they vouch for is an enrolled one, and counts; a site's own
 *   authority issues for keys that nobody has enrolled, and for clients only
 * @throws FlError permission-denied: it names nobody, or several
 */
export function peerOf(certificate: Uint8Array, own: readonly string[]): Peer {
  const read = new X509Certificate(certificate);
  const isOurs = own.some((authority) => read.verify(new X509Certificate(authority).publicKey));
  const names = (read.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:urn:starling:'));
  if (names.length === 0 && !isOurs) {
    // not every authority writes URIs: the common name is the client's then
    const [, name] = COMMON_NAME.exec(read.subject) ?? [];
    if (name !== undefined) return { kind: 'client', name, fingerprint: sha256Hex(certificate) };
  }
  const [, kind, name] = (names.length === 1 && URI.exec(names[0])) || [];
  if (name === undefined || (kind === 'operator' && !isOurs)) {
    const got = names.length === 0 ? 'none' : names.join(', ');
    throw new FlError('permission-denied', `certificate: expected one name urn:starling:client:NAME, got ${got}`);
  }
  const peer = { kind: kind as Peer['kind'], name, fingerprint: sha256Hex(certificate) };
  return isOurs ? { ...peer, publicKey: ed25519Of(read) } : peer;
}

/** 32 bytes; nobody's key when it is of another kind. */
function ed25519Of({ publicKey }: X509Certificate): Uint8Array {
  if (publicKey.asymmetricKeyType !== 'ed25519') return new Uint8Array(0);
  return new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'));
}

/** SHA-256 of a certificate (PEM; the first, if there are several), hex: what a join token pins an authority by. */
export function fingerprintOf(pem: string): string {
  return sha256Hex(new X509Certificate(pem).raw);
}

/** When a certificate (PEM) begins and ends to be good. */
export function validityOf(pem: string): { readonly fromMs: number; readonly toMs: number } {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) };
}

/** When to renew it: after two thirds of its life, so that a month of trouble is not its end. */
export function renewAtMs(pem: string): number {
  const { fromMs, toMs } = validityOf(pem);
  return fromMs + (2 / 3) * (toMs - fromMs);
}

/** The certificates of a file, each PEM. */
export function certificatesIn(text: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((one) => `${one}\n`);
}
