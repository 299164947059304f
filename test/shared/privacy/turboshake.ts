/**
 * TurboSHAKE128 (RFC 9861) as a source of coins, only to replay published noise vectors: they were drawn from the VDAF draft's
 * XofTurboShake128 with an empty domain tag. Slow and simple on purpose.
 */
import type { Coins } from '../../../shared/privacy/noise/rational.js';

const RATE_BYTES = 168;
const MASK = (1n << 64n) - 1n;
const ROUNDS = 12;
const ROTATIONS = rotationOffsets();
const CONSTANTS = roundConstants().slice(24 - ROUNDS);

/** Uniform integers as libprio-rs draws them: little-endian words, surplus bits of the last word shifted out. */
export function coinsFromTurboShake(seed: Uint8Array): Coins {
  const message = Uint8Array.from([0, 0, seed.length, ...seed]);
  const nextByte = squeeze(message, 1);
  return {
    below(bound) {
      const bits = bound.toString(2).length;
      const words = Math.ceil(bits / 32);
      for (;;) {
        let value = 0n;
        for (let w = 0; w < words; w++) {
          let word = 0n;
          for (let b = 0; b < 4; b++) word |= BigInt(nextByte()) << BigInt(8 * b);
          if (w === words - 1 && bits % 32 !== 0) word >>= BigInt(32 - (bits % 32));
          value |= word << BigInt(32 * w);
        }
        if (value < bound) return value;
      }
    },
  };
}

/** The output stream of a message shorter than one block. */
export function squeeze(message: Uint8Array, domain: number): () => number {
  const block = new Uint8Array(200);
  block.set(message);
  block[message.length] = domain;
  block[RATE_BYTES - 1] ^= 0x80;
  const view = new DataView(block.buffer);
  let lanes = Array.from({ length: 25 }, (_, i) => view.getBigUint64(8 * i, true));
  let position = RATE_BYTES;
  return () => {
    if (position === RATE_BYTES) {
      lanes = permute(lanes);
      lanes.forEach((lane, i) => {
        view.setBigUint64(8 * i, lane, true);
      });
      position = 0;
    }
    return block[position++];
  };
}

/** Keccak-p[1600, 12]; lane (x, y) at x + 5y. */
function permute(lanes: bigint[]): bigint[] {
  let a = lanes;
  for (const constant of CONSTANTS) {
    const at = (x: number, y: number) => a[(x % 5) + 5 * (y % 5)];
    const columns = [0, 1, 2, 3, 4].map((x) => at(x, 0) ^ at(x, 1) ^ at(x, 2) ^ at(x, 3) ^ at(x, 4));
    const theta = [0, 1, 2, 3, 4].map((x) => columns[(x + 4) % 5] ^ rotate(columns[(x + 1) % 5], 1n));
    const moved = new Array<bigint>(25);
    for (let i = 0; i < 25; i++) {
      const x = i % 5;
      const y = (i - x) / 5;
      moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(a[i] ^ theta[x], ROTATIONS[i]);
    }
    const pick = (x: number, y: number) => moved[(x % 5) + 5 * y];
    a = moved.map((lane, i) => {
      const x = i % 5;
      const y = (i - x) / 5;
      return lane ^ (~pick(x + 1, y) & MASK & pick(x + 2, y));
    });
    a[0] ^= constant;
  }
  return a;
}

function rotate(lane: bigint, by: bigint): bigint {
  return ((lane << by) | (lane >> (64n - by))) & MASK;
}

function rotationOffsets(): bigint[] {
  const offsets = new Array<bigint>(25).fill(0n);
  let [x, y] = [1, 0];
  for (let t = 0; t < 24; t++) {
    offsets[x + 5 * y] = BigInt((((t + 1) * (t + 2)) / 2) % 64);
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  return offsets;
}

function roundConstants(): bigint[] {
  const constants: bigint[] = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) {
      if (register & 1) constant |= 1n << BigInt(2 ** j - 1);
      register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1;
    }
    constants.push(constant);
  }
  return constants;
}
