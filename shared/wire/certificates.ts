/** What an authority has issued, on the wire: DER there, PEM here; whatever is no certificate is refused. */
import { X509Certificate } from 'node:crypto';
import { invalidArgument } from '../errors.js';
import type { Issued, RenewRequest } from '../service.js';
import { checkAtMost, checkLength, checkMaxLength, checkName, own, parse, serialise } from './checks.js';
import * as gen from './gen/starling/v1/participant.js';
import { MAX_AUTHORITIES, MAX_CERTIFICATE_BYTES, SIGNATURE_BYTES } from './limits.js';

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

/** @throws FlError invalid-argument naming the field */
export function encodeRenewRequest(request: RenewRequest): Uint8Array {
  return serialise('RenewRequest', gen.RenewRequest, checkRenewRequest(request));
}

/** The signature is a copy that the caller owns. @throws FlError invalid-argument naming the field */
export function decodeRenewRequest(bytes: Uint8Array): RenewRequest {
  return checkRenewRequest(parse('RenewRequest', gen.RenewRequest, bytes));
}

function checkRenewRequest({ client, signature }: RenewRequest): RenewRequest {
  return {
    client: checkName('client', client),
    signature: own(checkLength('signature', signature, SIGNATURE_BYTES)),
  };
}

/** @throws FlError invalid-argument naming the field */
export function encodeRenewReply(issued: Issued): Uint8Array {
  return serialise('RenewResponse', gen.RenewResponse, issuedToWire(issued));
}

/** @throws FlError invalid-argument naming the field */
export function decodeRenewReply(bytes: Uint8Array): Issued {
  const issued = issuedFromWire(parse('RenewResponse', gen.RenewResponse, bytes));
  if (issued === undefined) throw invalidArgument('certificate', 'an X.509 certificate, DER', undefined);
  return issued;
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
