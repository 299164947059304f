/** The operator's calls about clients and tokens: their messages in proto/starling/v1/admin.proto, and limits as in admin.ts. */
import { invalidArgument } from '../errors.js';
import {
  type Account,
  type AccountKey,
  ROLES,
  type Role,
  STANDING_CHANGES,
  type StandingChange,
  type TokenInfo,
} from '../people.js';
import {
  checkName,
  checkText,
  checkUint32,
  clipText,
  fromUint64,
  oneOf,
  parse,
  present,
  serialise,
  toUint64,
} from './checks.js';
import * as gen from './gen/starling/v1/admin.js';
import { MAX_ADDRESS_CHARS, MAX_CERTIFICATE_BYTES, MAX_TEXT_CHARS, MAX_TOKEN_CHARS } from './limits.js';

/** SetStandingRequest. */
export interface StandingRequest {
  readonly client: string;
  readonly change: StandingChange;
  readonly reason: string;
}

/** SetStandingRequest; a reason that is too long is cut. */
export function encodeStandingRequest({ client, change, reason }: StandingRequest): Uint8Array {
  const value = { client: checkName('client', client), change, reason: clipText(reason) };
  return serialise('SetStandingRequest', gen.SetStandingRequest, value);
}

/** Inverse of {@link encodeStandingRequest}. */
export function decodeStandingRequest(bytes: Uint8Array): StandingRequest {
  const { client, change, reason } = parse('SetStandingRequest', gen.SetStandingRequest, bytes);
  return {
    client: checkName('client', client),
    change: oneOf('change', STANDING_CHANGES, change),
    reason: checkText('reason', reason, MAX_TEXT_CHARS),
  };
}

/** ReEnrolRequest. */
export interface ReEnrolment {
  readonly client: string;
  readonly expiresMs: number;
}

/** ReEnrolRequest. */
export function encodeReEnrolRequest({ client, expiresMs }: ReEnrolment): Uint8Array {
  const value = { client: checkName('client', client), expiresMs: toUint64('expires_ms', expiresMs) };
  return serialise('ReEnrolRequest', gen.ReEnrolRequest, value);
}

/** Inverse of {@link encodeReEnrolRequest}. */
export function decodeReEnrolRequest(bytes: Uint8Array): ReEnrolment {
  const { client, expiresMs } = parse('ReEnrolRequest', gen.ReEnrolRequest, bytes);
  return { client: checkName('client', client), expiresMs: fromUint64('expires_ms', expiresMs) };
}

/** ReEnrolResponse. */
export function encodeReEnrolReply(token: string): Uint8Array {
  const value = { token: checkText('token', token, MAX_TOKEN_CHARS) };
  return serialise('ReEnrolResponse', gen.ReEnrolResponse, value);
}

/** Inverse of {@link encodeReEnrolReply}. */
export function decodeReEnrolReply(bytes: Uint8Array): string {
  return checkText('token', parse('ReEnrolResponse', gen.ReEnrolResponse, bytes).token, MAX_TOKEN_CHARS);
}

/** ListTokensResponse. */
export function encodeTokenList(tokens: readonly TokenInfo[]): Uint8Array {
  const rows = tokens.map((token) => ({
    ...token,
    id: checkTokenId(token.id),
    name: checkName('name', token.name),
    uses: checkUint32('uses', token.uses),
    used: checkUint32('used', token.used),
    expiresAtMs: toUint64('expires_at_ms', token.expiresAtMs),
  }));
  return serialise('ListTokensResponse', gen.ListTokensResponse, { tokens: rows });
}

/** Inverse of {@link encodeTokenList}. */
export function decodeTokenList(bytes: Uint8Array): TokenInfo[] {
  return parse('ListTokensResponse', gen.ListTokensResponse, bytes).tokens.map((token) => ({
    id: checkTokenId(token.id),
    name: checkName('name', token.name),
    uses: token.uses,
    used: token.used,
    expiresAtMs: fromUint64('expires_at_ms', token.expiresAtMs),
    isPending: token.isPending,
    isRevoked: token.isRevoked,
  }));
}

/** RevokeTokenRequest. */
export function encodeTokenId(id: string): Uint8Array {
  return serialise('RevokeTokenRequest', gen.RevokeTokenRequest, { id: checkTokenId(id) });
}

/** Inverse of {@link encodeTokenId}. */
export function decodeTokenId(bytes: Uint8Array): string {
  return checkTokenId(parse('RevokeTokenRequest', gen.RevokeTokenRequest, bytes).id);
}

function checkTokenId(id: string): string {
  if (!/^[0-9a-f]{12}$/.test(id))
    throw invalidArgument('token', '12 hex digits, as `starling token list` prints them', id);
  return id;
}

/** AddAccountRequest. */
export interface AccountRequest {
  readonly name: string;
  readonly role: Role;
}

/** AddAccountRequest. */
export function encodeAccountRequest({ name, role }: AccountRequest): Uint8Array {
  return serialise('AddAccountRequest', gen.AddAccountRequest, { name: checkName('name', name), role });
}

/** Inverse of {@link encodeAccountRequest}. */
export function decodeAccountRequest(bytes: Uint8Array): AccountRequest {
  const { name, role } = parse('AddAccountRequest', gen.AddAccountRequest, bytes);
  return { name: checkName('name', name), role: oneOf('role', ROLES, role) };
}

/** RotateAccountRequest and RemoveAccountRequest. */
export function encodeAccountName(name: string): Uint8Array {
  return serialise('account', gen.RemoveAccountRequest, { name: checkName('name', name) });
}

/** Inverse of {@link encodeAccountName}. */
export function decodeAccountName(bytes: Uint8Array): string {
  return checkName('name', parse('account', gen.RemoveAccountRequest, bytes).name);
}

/** PEM of a key, a certificate and the authorities. */
const MAX_TLS_CHARS = 8 * MAX_CERTIFICATE_BYTES;

/** AddAccountResponse and RotateAccountResponse, which are alike. */
export function encodeAccountKey(key: AccountKey): Uint8Array {
  return serialise('account', gen.AddAccountResponse, { key: checkKey(key) });
}

/** Inverse of {@link encodeAccountKey}. */
export function decodeAccountKey(bytes: Uint8Array): AccountKey {
  return checkKey(present('key', parse('account', gen.AddAccountResponse, bytes).key));
}

function checkKey({
  name,
  role,
  address,
  token,
  tls,
}: Omit<AccountKey, 'role'> & { readonly role: string }): AccountKey {
  return {
    name: checkName('name', name),
    role: oneOf('role', ROLES, role),
    address: checkText('address', address, MAX_ADDRESS_CHARS),
    token: checkText('token', token, MAX_TOKEN_CHARS),
    tls: checkText('tls', tls, MAX_TLS_CHARS),
  };
}

/** ListAccountsResponse. */
export function encodeAccountList(accounts: readonly Account[]): Uint8Array {
  const rows = accounts.map(({ name, role, sinceMs }) => {
    return { name: checkName('name', name), role, sinceMs: toUint64('since_ms', sinceMs) };
  });
  return serialise('ListAccountsResponse', gen.ListAccountsResponse, { accounts: rows });
}

/** Inverse of {@link encodeAccountList}. */
export function decodeAccountList(bytes: Uint8Array): Account[] {
  return parse('ListAccountsResponse', gen.ListAccountsResponse, bytes).accounts.map(({ name, role, sinceMs }) => ({
    name: checkName('name', name),
    role: oneOf('role', ROLES, role),
    sinceMs: fromUint64('since_ms', sinceMs),
  }));
}
