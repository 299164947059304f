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
  /** Other addresses of the coordinator, in the order in which they are tried. */
  readonly others?: readonly string[];
  /**
   * SHA-256 of the certificate of the coordinator's authority, hex; `site`: the client is given its site's authorities.
   * Absent: the address is called in plaintext.
   */
  readonly authority?: string;
}

const SCHEME = 'starling1';
/** Addresses beside the first. */
export const MAX_OTHERS = 7;

/** One word, for a command line: the scheme, a dot, and base64url of canonical JSON. */
export function encodeJoinToken({ address, fingerprint, secret, others, authority }: JoinToken): string {
  const said = { address, fingerprint, secret, others, authority };
  return `${SCHEME}.${Buffer.from(canonicalJson(said)).toString('base64url')}`;
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
  const { address, fingerprint, secret, others, authority } = value ?? {};
  if (typeof address !== 'string' || address === '') throw refused('one without address');
  if (typeof fingerprint !== 'string' || !HEX_32_BYTES.test(fingerprint)) throw refused('one without fingerprint');
  if (typeof secret !== 'string' || secret === '') throw refused('one without secret');
  const token: { -readonly [Key in keyof JoinToken]: JoinToken[Key] } = { address, fingerprint, secret };
  if (authority !== undefined) {
    if (typeof authority !== 'string' || !(authority === 'site' || HEX_32_BYTES.test(authority)))
      throw refused('one with half an authority');
    token.authority = authority;
  }
  if (others !== undefined) {
    const isList = Array.isArray(others) && others.length <= MAX_OTHERS;
    if (!isList || !others.every((one) => typeof one === 'string')) throw refused('one with a wrong list of addresses');
    token.others = others;
  }
  return token;
}

function refused(got: string): FlError {
  return new FlError(
    'invalid-argument',
    `token: expected a token from \`starling token create\` (${SCHEME}.…), got ${got}`,
  );
}
