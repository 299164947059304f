/**
 * One key takes the place of another of the same owner, by a word that both have signed: the old one gives, the new one
 * takes. Whoever knows an old key follows such words to the one of now, and nobody who has neither key can make one. What
 * was signed by an earlier key stays signed; nothing new counts by it.
 */
import { z } from 'zod';
import { fromHex, toHex } from '../hex.js';
import { type Identity, signedBytes, verifySignature } from './identity.js';

/** Whose keys they are: the coordinator's, or those of the client of this name. */
export type KeyOwner = { readonly client: string } | 'coordinator';

const hexOf = (sizeBytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * sizeBytes}}$`));

/** `from` and `to` are Ed25519 keys; `signature` is by the one, `proof` by the other, both over the two and their owner. Hex. */
export const handOverSchema = z.strictObject({
  ...{ from: hexOf(32), to: hexOf(32) },
  ...{ signature: hexOf(64), proof: hexOf(64) },
});

/** A word of {@link handOverSchema}. */
export type HandOver = Readonly<z.infer<typeof handOverSchema>>;

/** Nobody rotates a key more often. */
export const MAX_HAND_OVERS = 256;

/** The word by which `from` gives and `to` takes. */
export function signHandOver(owner: KeyOwner, from: Identity, to: Identity): HandOver {
  const about = { from: toHex(from.publicKey), to: toHex(to.publicKey) };
  const message = bytesOf(owner, about);
  return { ...about, signature: toHex(from.sign(message)), proof: toHex(to.sign(message)) };
}

/** Whether both keys have signed it, for this owner. */
export function isHandOver(owner: KeyOwner, { from, to, signature, proof }: HandOver): boolean {
  const message = bytesOf(owner, { from, to });
  if (from === to) return false;
  return [
    { key: from, by: signature },
    { key: to, by: proof },
  ].every(({ key, by }) => verifySignature(fromHex(key), message, fromHex(by)));
}

/**
 * The keys that `first` leads to by these words, itself first and the last of them last; words from before `first` are
 * passed over. Hex. A word that does not hold, or that leads back, ends it there.
 */
export function keysFrom(owner: KeyOwner, first: string, handOvers: readonly HandOver[]): readonly string[] {
  const keys = [first];
  for (const handOver of handOvers.slice(0, MAX_HAND_OVERS)) {
    if (handOver.from !== keys.at(-1)) continue;
    if (keys.includes(handOver.to) || !isHandOver(owner, handOver)) break;
    keys.push(handOver.to);
  }
  return keys;
}

function bytesOf(owner: KeyOwner, about: { readonly from: string; readonly to: string }): Uint8Array {
  if (owner === 'coordinator') return signedBytes('coordinator-hand-over', about);
  return signedBytes('client-hand-over', { ...about, client: owner.client });
}
