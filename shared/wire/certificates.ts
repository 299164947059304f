/** What an authority has issued, on the wire: DER there, PEM here; whatever is no certificate is refused. */
import { X509Certificate } from 'node:crypto';
import { invalidArgument } from '../errors.js';
import type { Issued } from '../service.js';
import { checkAtMost, checkMaxLength } from './checks.js';
import { MAX_AUTHORITIES, MAX_CERTIFICATE_BYTES } from './limits.js';

/** The fields of a message that carry certificates; both empty where connections are in plaintext. */
interface IssuedFields {
  readonly certificate: Uint8Array;
  readonly authorities: readonly Uint8Array[];
}

/** @throws FlError invalid-argument naming the field */
export function issuedToWire(issued: Issued | undefined): { certificate: Uint8Array; authorities: Uint8Array[] } {
  if (issued === undefined) return { certificate: new Uint8Array(0), authorities: [] };
  checkAtMost('authorities', issued.authorities.length, MAX_AUTHORITIES);
  return { certificate: derOf(issued.certificate), authorities: issued.authorities.map(derOf) };
}

/** @throws FlError invalid-argument naming the field */
export function issuedFromWire({ certificate, authorities }: IssuedFields): Issued | undefined {
  checkAtMost('authorities', authorities.length, MAX_AUTHORITIES);
  if (certificate.length === 0 && authorities.length === 0) return undefined;
  return {
    certificate: pemOf('certificate', certificate),
    authorities: authorities.map((one) => pemOf('authorities', one)),
  };
}

function derOf(pem: string): Uint8Array {
  return new X509Certificate(pem).raw;
}

function pemOf(field: string, der: Uint8Array): string {
  try {
    return new X509Certificate(checkMaxLength(field, der, MAX_CERTIFICATE_BYTES)).toString();
  } catch {
    throw invalidArgument(field, 'an X.509 certificate, DER', der);
  }
}
