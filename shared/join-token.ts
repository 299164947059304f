/** Join tokens: what a coordinator hands to a lab, and a client finds its coordinator by and pins its key with. */
import { FlError } from './errors.js';
import { HEX_32_BYTES } from './hex.js';
import { canonicalJson } from './signing/canonical-json.js';

/** What a token says. */
export interface JoinToken {
  /** Of the coordinator, host:port. */
  readonly address: string;
  /** SHA-256 of the coordinator's Ed25519 public key, hex. */
  readonly fingerprint: string;
  /** Lets its holder enrol; the coordinator keeps its hash only. */
  readonly secret: string;
}

const SCHEME = 'starling1';

/** One word, for a command line: the scheme, a dot, and base64url of canonical JSON. */
export function encodeJoinToken({ address, fingerprint, secret }: JoinToken): string {
  return `${SCHEME}.${Buffer.from(canonicalJson({ address, fingerprint, secret })).toString('base64url')}`;
}

/** Inverse of {@link encodeJoinToken}. @throws FlError invalid-argument naming the field, and never telling the secret */
export function decodeJoinToken(text: string): JoinToken {
  const [scheme, body, ...rest] = text.trim().split('.');
  if (scheme !== SCHEME || body === undefined || rest.length > 0) throw refused('another text');
  let value: Partial<Record<keyof JoinToken, unknown>> | null;
  try {
    value = JSON.parse(Buffer.from(body, 'base64url').toString());
  } catch {
    throw refused('a damaged one'); // without the cause, which would quote it
  }
  const { address, fingerprint, secret } = value ?? {};
  if (typeof address !== 'string' || address === '') throw refused('one without address');
  if (typeof fingerprint !== 'string' || !HEX_32_BYTES.test(fingerprint)) throw refused('one without fingerprint');
  if (typeof secret !== 'string' || secret === '') throw refused('one without secret');
  return { address, fingerprint, secret };
}

function refused(got: string): FlError {
  return new FlError(
    'invalid-argument',
    `token: expected a token from \`starling token create\` (${SCHEME}.…), got ${got}`,
  );
}
