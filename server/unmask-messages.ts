/** What an unmasking thread is asked, and what it answers. Arrays are handed over, not copied, except the keys. */

export const KEY_BYTES = 32;

export interface ToUnmaskWorker {
  readonly id: number;
  /** The first coordinate of the range; `masked` are the sums from there on. */
  readonly first: number;
  readonly masked: Uint32Array;
  readonly ringBits: number;
  /** KEY_BYTES for each mask, and its sign. */
  readonly keys: Uint8Array;
  readonly signs: Int8Array;
}

export interface FromUnmaskWorker {
  readonly id: number;
  readonly integers: Int32Array;
}
