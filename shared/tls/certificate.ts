/**
 * X.509 certificates (RFC 5280) of a federation: an authority of its own, and what it issues. All keys are Ed25519
 * (RFC 8410), so that a client's certificate is the authority's word on the very key that the client is enrolled by, and
 * nothing new has to be kept. node:crypto reads certificates and makes none: @peculiar/x509 does.
 */
import 'reflect-metadata'; // before @peculiar/x509, which finds its parts by it
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { fromHex, toHex } from '../hex.js';
import { isIpAddress } from '../wire/address.js';
import type { Subject } from './subject.js';
import { uriOf } from './subject.js';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
/** How long an authority is good for; a new one is made long before (docs/decisions/0100). */
export const AUTHORITY_LIFE_MS = 3_650 * DAY_MS;
/** How long what it issues is good for; renewed after two thirds. */
export const CERTIFICATE_LIFE_MS = 90 * DAY_MS;
/** A lab's clock may be behind the coordinator's by this much. */
const CLOCK_SKEW_MS = 3_600_000;
/** RFC 8410: what stands before the 32 bytes of an Ed25519 public key. */
const SPKI_PREFIX = fromHex('302a300506032b6570032100');
const ALGORITHM = { name: 'Ed25519' };
const { KeyUsageFlags } = x509;

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);

/** A new authority, which has signed itself. */
export async function newAuthority(nowMs: number): Promise<KeyPair> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...{ name: `CN=Starling authority ${toHex(randomBytes(4))}`, keys, signingAlgorithm: ALGORITHM },
      ...{ serialNumber: serialNumber(), ...validity(nowMs, AUTHORITY_LIFE_MS) },
      extensions: await authorityExtensions(keys.publicKey),
    },
    webcrypto as never,
  );
  return { certificate: pem(certificate), key: await keyPem(keys.privateKey) };
}

/**
 * The word of an authority on the one that follows it: who trusts `authority` alone then trusts what `next` issues. PEM.
 */
export async function crossSign(authority: KeyPair, next: KeyPair, nowMs: number): Promise<string> {
  const [issuer, subject] = [authority, next].map(({ certificate }) => new x509.X509Certificate(certificate));
  const { notAfter } = issuer;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...{ subject: subject.subject, issuer: issuer.subject, publicKey: subject.publicKey },
      ...{ signingKey: await signingKeyOf(authority.key), signingAlgorithm: ALGORITHM },
      ...{ serialNumber: serialNumber(), ...validity(nowMs, 0), notAfter },
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(subject.publicKey, false, webcrypto as never),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto as never),
      ],
    },
    webcrypto as never,
  );
  return pem(certificate);
}

/** A certificate for `publicKey`, Ed25519, 32 bytes, whose private half stays where it is. PEM. */
export async function issueFor(
  authority: KeyPair,
  about: {
    readonly subject: Subject;
    readonly publicKey: Uint8Array;
    readonly nowMs: number;
    readonly lifeMs?: number;
  },
): Promise<string> {
  const { subject, publicKey, nowMs, lifeMs = CERTIFICATE_LIFE_MS } = about;
  const issuer = new x509.X509Certificate(authority.certificate);
  const isServer = subject.kind === 'server';
  const usage = isServer ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: `CN=${isServer ? 'Starling coordinator' : subject.name}`,
      issuer: issuer.subject,
      publicKey: Buffer.concat([SPKI_PREFIX, publicKey]),
      ...{ signingKey: await signingKeyOf(authority.key), signingAlgorithm: ALGORITHM },
      ...{ serialNumber: serialNumber(), ...validity(nowMs, lifeMs) },
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(namesOf(subject)),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto as never),
      ],
    },
    webcrypto as never,
  );
  return pem(certificate);
}

/** A new key with its certificate. */
export async function issue(
  authority: KeyPair,
  about: { readonly subject: Subject; readonly nowMs: number; readonly lifeMs?: number },
): Promise<KeyPair> {
  const keys = await newKeys();
  const publicKey = new Uint8Array(await webcrypto.subtle.exportKey('raw', keys.publicKey));
  return { certificate: await issueFor(authority, { ...about, publicKey }), key: await keyPem(keys.privateKey) };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
}

function signingKeyOf(keyPem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(keyPem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

async function authorityExtensions(publicKey: webcrypto.CryptoKey): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, 1, true), // 1: it may vouch for the authority that follows it
    new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await x509.SubjectKeyIdentifierExtension.create(publicKey, false, webcrypto as never),
  ];
}

function namesOf(subject: Subject): x509.JsonGeneralNames {
  if (subject.kind !== 'server') return [{ type: 'url', value: uriOf(subject) }];
  return subject.hosts.map((value) => ({ type: isIpAddress(value) ? 'ip' : 'dns', value }));
}

function validity(nowMs: number, lifeMs: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - CLOCK_SKEW_MS), notAfter: new Date(nowMs + lifeMs) };
}

/** RFC 5280, 4.1.2.2: positive, at most 20 bytes; ours are random, so that none comes twice. */
function serialNumber(): string {
  return `4${toHex(randomBytes(16)).slice(1)}`;
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
