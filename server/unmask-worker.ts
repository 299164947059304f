/** A thread that takes the masks off a range of a sum: see unmask-pool.ts. */
import { KEY_BYTES } from '../shared/secagg/constants.js';
import { createKernel, nodeSuite, unmaskRange } from '../shared/secagg/index.js';
import { serveTasks } from '../shared/workers/serve.js';

/** One range of a sum. */
export interface UnmaskRange {
  /** The first coordinate of the range; `masked` are the sums from there on. */
  readonly first: number;
  readonly masked: Uint32Array<ArrayBuffer>;
  readonly ringBits: number;
  /** KEY_BYTES for each mask, and its sign. */
  readonly keys: Uint8Array;
  readonly signs: Int8Array;
}

const kernel = createKernel();

await serveTasks<UnmaskRange, Int32Array>({
  run({ first, masked, ringBits, keys, signs }) {
    const masks = Array.from(signs, (sign, i) => {
      const key = keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES);
      return { key, sign: sign === 1 ? (1 as const) : (-1 as const) };
    });
    const integers = unmaskRange({ suite: nodeSuite, kernel, ringBits }, { first, masked }, masks);
    return { result: integers, transfer: [integers.buffer as ArrayBuffer] };
  },
});
