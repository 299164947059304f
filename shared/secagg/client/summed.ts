/**
 * Whose vectors a sum would be over, as the client that is asked to go on has checked it: all of a frozen roster before it
 * deals shares, the survivors before it signs them.
 */
import { FlError } from '../../errors.js';
import { bitmapIndices } from '../codec.js';
import { TAG_BYTES } from '../constants.js';
import type { Enrolment } from '../enrolment.js';
import type { ClientState } from './state.js';

/**
 * Their enrolled Ed25519 keys, in the order of the roster; undefined in every phase but `bundles` and `signatures`.
 * @throws FlError failed-precondition: the state was saved by version 0.1, which kept no tags, or under another list
 */
export function summedKeys(enrolment: Enrolment, state: ClientState): readonly Uint8Array[] | undefined {
  if (state.phase !== 'bundles' && state.phase !== 'signatures') return undefined;
  const { tags, cohort } = state.roster;
  const everyone = Array.from({ length: cohort }, (_, index) => index);
  const indices = state.phase === 'signatures' ? bitmapIndices(state.survivors, cohort) : everyone;
  return indices.map((index) => {
    const key = tags && enrolment.keyOfTag(tags.subarray(index * TAG_BYTES, (index + 1) * TAG_BYTES));
    if (key !== undefined) return key;
    throw new FlError('failed-precondition', 'secure aggregation: begun by an older version or under another list');
  });
}
