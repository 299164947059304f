/** A thread that takes the masks off a range of a sum: see unmask-pool.ts. */
import { parentPort } from 'node:worker_threads';
import { createKernel, nodeSuite, unmaskRange } from '../shared/secagg/index.js';
import { type FromUnmaskWorker, KEY_BYTES, type ToUnmaskWorker } from './unmask-messages.js';

const kernel = createKernel();

parentPort!.on('message', ({ id, first, masked, ringBits, keys, signs }: ToUnmaskWorker) => {
  const masks = Array.from(signs, (sign, i) => {
    const key = keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES);
    return { key, sign: sign === 1 ? (1 as const) : (-1 as const) };
  });
  const integers = unmaskRange({ suite: nodeSuite, kernel, ringBits }, { first, masked }, masks);
  const reply: FromUnmaskWorker = { id, integers };
  parentPort!.postMessage(reply, [integers.buffer as ArrayBuffer]);
});
