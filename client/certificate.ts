/**
 * A client's certificate in its directory, beside the key that it is for: what it shows on its connections, and the
 * authorities by which it knows its coordinator.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { type Clock, systemClock } from '../shared/clock.js';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { corrupt, FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { Issued, ParticipantService } from '../shared/service.js';
import { identityFromSeed, keyPemOf } from '../shared/signing/identity.js';
import { signRenewal } from '../shared/signing/login.js';
import { certificatesIn, peerOf, renewAtMs, validityOf } from '../shared/tls/subject.js';
import type { ClientTls } from './grpc/tls.js';

/** The client's certificate, and the authorities after it, PEM; absent where the coordinator is called in plaintext. */
export const CERTIFICATE_FILE = 'certificate.pem';

/** Writes it down, durable. @throws FlError permission-denied: it is not for the key of `seed` */
export async function keepCertificate(
  directory: string,
  issued: Issued | undefined,
  { seed, files = systemFiles }: { readonly seed: Uint8Array; readonly files?: Files },
): Promise<void> {
  if (issued === undefined || !isCertificateOf(issued, identityFromSeed(seed).publicKey)) {
    const got = issued === undefined ? 'none' : 'one for another';
    throw new FlError('permission-denied', `certificate: expected one for the key that was shown, got ${got}`);
  }
  const text = [issued.certificate, ...issued.authorities].join('');
  await writeFileDurably(join(directory, CERTIFICATE_FILE), Buffer.from(text), files);
}

/** What is shown, where there is something to show. */
export type Certified = ClientTls & { readonly certificate: string };

/** What is there, with the key of `seed`; undefined: none is. @throws FlError corrupt */
export async function certificateIn(directory: string, seed: Uint8Array): Promise<Certified | undefined> {
  const path = join(directory, CERTIFICATE_FILE);
  const stored = await systemFiles.read(path);
  if (stored === undefined) return undefined;
  const [certificate, ...authorities] = certificatesIn(new TextDecoder().decode(stored));
  if (authorities.length === 0) throw corrupt(path, 'a certificate and its authorities, PEM', 'less');
  return { certificate, authorities, key: keyPemOf(seed) };
}

/** Whether it is for this key: Ed25519, 32 bytes. */
export function isCertificateOf({ certificate, authorities }: Issued, publicKey: Uint8Array): boolean {
  const named = peerOf(new X509Certificate(certificate).raw, authorities);
  return named.publicKey !== undefined && toHex(named.publicKey) === toHex(publicKey);
}

/** Timers of the system hold 24 days, and a machine may sleep: it is looked at this often whether renewal is due. */
const CHECK_MS = 6 * 3_600_000;
/** After a try that has failed. */
const RETRY_MS = 600_000;

interface RenewalDeps {
  readonly seed: Uint8Array;
  readonly client: string;
  readonly coordinatorKey: Uint8Array;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly notice: (message: string, fields: object) => void;
}

/** What a client shows for as long as it runs. */
export interface Renewal {
  current(): ClientTls;
  /** Renews what is due over `service`, now and later. */
  start(service: Pick<ParticipantService, 'renew'>): void;
  stop(): void;
}

/**
 * Asks for another certificate after two thirds of its life, also when it has expired: the key is what counts. It is on the
 * disk before it is shown, and shown from the next control stream on. Undefined: there is none, the client speaks plaintext.
 */
export async function renewalIn(directory: string, deps: RenewalDeps): Promise<Renewal | undefined> {
  const { seed, client, coordinatorKey, clock = systemClock, notice } = deps;
  const first = await certificateIn(directory, seed);
  if (first === undefined) return undefined;
  let current = first;
  let cancel = () => {};
  let isStopped = false;
  const renew = async (service: Pick<ParticipantService, 'renew'>) => {
    const signature = signRenewal(identityFromSeed(seed), { client, coordinatorKey });
    const issued = await service.renew?.({ client, signature });
    await keepCertificate(directory, issued, { seed });
    current = (await certificateIn(directory, seed)) ?? current;
    notice('certificate renewed', { until: new Date(validityOf(current.certificate).toMs).toISOString() });
  };
  const check = async (service: Pick<ParticipantService, 'renew'>) => {
    let nextMs = CHECK_MS;
    if (clock.nowMs() >= renewAtMs(current.certificate)) {
      await renew(service).catch((thrown) => {
        nextMs = RETRY_MS;
        notice('certificate not renewed', { reason: FlError.from(thrown).message });
      });
    }
    if (!isStopped) cancel = clock.after(nextMs, () => void check(service));
  };
  return {
    current: () => current,
    start: (service) => void check(service),
    stop() {
      isStopped = true;
      cancel();
    },
  };
}
