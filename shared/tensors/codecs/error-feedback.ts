/**
 * Error feedback: what an encoding lost in one round is added to the update of the next, so that nothing is lost for
 * good (Karimireddy et al. 2019, "Error Feedback Fixes SignSGD", https://arxiv.org/abs/1901.09847).
 *
 * The residual is the client's own state: it is journaled with its round and never sent.
 */
import { invalidArgument } from '../../errors.js';
import type { Codec } from './codec.js';

/** Encodes update + residual; the new residual is what the receiver will not see of it. Pure. */
export function encodeWithFeedback(
  codec: Codec,
  update: Float32Array,
  residual: Float32Array,
): { bytes: Uint8Array; residual: Float32Array } {
  if (residual.length !== update.length)
    throw invalidArgument('residual', `${update.length} elements`, residual.length);
  const wanted = new Float32Array(update.length);
  for (let i = 0; i < wanted.length; i++) wanted[i] = update[i] + residual[i];
  const bytes = codec.encode(wanted);
  const sent = codec.decode(bytes, wanted.length);
  for (let i = 0; i < wanted.length; i++) wanted[i] -= sent[i];
  return { bytes, residual: wanted };
}
