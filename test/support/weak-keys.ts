/**
 * Public keys that nobody may be known by, as they are published: the twelve X25519 encodings of
 * https://cr.yp.to/ecdh.html#validate, and the fourteen Ed25519 encodings of points of low order, canonical or not
 * ("Taming the many EdDSAs", Chalkias, Garillot, Nikolaenko 2020, table 1, with both sign bits).
 */

const P = 2n ** 255n - 19n;
const littleEndian = (number: bigint): Uint8Array =>
  Uint8Array.from(Buffer.from(number.toString(16).padStart(64, '0'), 'hex')).toReversed();

const U1 = 325606250916557431795983626356110631294008115727848805560023387167927233504n;
const U2 = 39382357235489614581723060781553021112529911719440698176882885853963445705823n;

/** 0, 1, the two of order 8, p-1, p, p+1, p+u1, p+u2, 2p-1, 2p, 2p+1, in the order of the page. */
export const WEAK_X25519: readonly Uint8Array[] = [
  ...[0n, 1n, U1, U2, P - 1n, P, P + 1n, P + U1, P + U2, 2n * P - 1n, 2n * P, 2n * P + 1n].map(littleEndian),
];

/** y of order 1, 2, 4, 8 and 8; those below 19 have a second encoding, y + p. */
const Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
const Y = [1n, P - 1n, 0n, Y8, P - Y8];
const SIGN = 2n ** 255n;

export const WEAK_ED25519: readonly Uint8Array[] = [...Y, P, P + 1n].flatMap((y) => [y, y + SIGN]).map(littleEndian);
