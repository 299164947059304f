/** Words by which keys follow one another, on the wire: bytes there, hex here. */
import { invalidArgument } from '../errors.js';
import { fromHex, toHex } from '../hex.js';
import type { Issued, RotateKeyRequest } from '../service.js';
import { type HandOver, MAX_HAND_OVERS } from '../signing/hand-over.js';
import { issuedFromWire, issuedToWire } from './certificates.js';
import { checkAtMost, checkLength, checkName, parse, serialise } from './checks.js';
import * as gen from './gen/starling/v1/participant.js';
import { KEY_BYTES, SIGNATURE_BYTES } from './limits.js';

/** @throws FlError invalid-argument naming the field */
export function handOversToWire(handOvers: readonly HandOver[] = []): gen.HandOver[] {
  checkAtMost('hand_overs', handOvers.length, MAX_HAND_OVERS);
  return handOvers.map(({ from, to, signature, proof }) => ({
    ...{ from: fromHex(from), to: fromHex(to), signature: fromHex(signature), proof: fromHex(proof) },
  }));
}

/** @throws FlError invalid-argument naming the field */
export function handOversFromWire(messages: readonly gen.HandOver[]): HandOver[] {
  checkAtMost('hand_overs', messages.length, MAX_HAND_OVERS);
  const hex = (field: string, bytes: Uint8Array, sizeBytes: number) => toHex(checkLength(field, bytes, sizeBytes));
  return messages.map(({ from, to, signature, proof }) => ({
    ...{ from: hex('hand_over.from', from, KEY_BYTES), to: hex('hand_over.to', to, KEY_BYTES) },
    signature: hex('hand_over.signature', signature, SIGNATURE_BYTES),
    proof: hex('hand_over.proof', proof, SIGNATURE_BYTES),
  }));
}

/** @throws FlError invalid-argument naming the field */
export function encodeRotateKeyRequest({ client, handOver }: RotateKeyRequest): Uint8Array {
  const message = { client: checkName('client', client), handOver: handOversToWire([handOver])[0] };
  return serialise('RotateKeyRequest', gen.RotateKeyRequest, message);
}

/** @throws FlError invalid-argument naming the field */
export function decodeRotateKeyRequest(bytes: Uint8Array): RotateKeyRequest {
  const { client, handOver } = parse('RotateKeyRequest', gen.RotateKeyRequest, bytes);
  if (handOver === undefined) throw invalidArgument('hand_over', 'two keys and their signatures', undefined);
  return { client: checkName('client', client), handOver: handOversFromWire([handOver])[0] };
}

/** Nothing in it: connections are in plaintext, or the site issues its own. @throws FlError invalid-argument naming the field */
export function encodeRotateKeyReply(issued: Issued | undefined): Uint8Array {
  return serialise('RotateKeyResponse', gen.RotateKeyResponse, issuedToWire(issued));
}

/** @throws FlError invalid-argument naming the field */
export function decodeRotateKeyReply(bytes: Uint8Array): Issued | undefined {
  return issuedFromWire(parse('RotateKeyResponse', gen.RotateKeyResponse, bytes));
}
