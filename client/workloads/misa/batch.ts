/**
 * Who has which modality, and the tensors of a batch that follow from it.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { BANDS, FRAMES, type PairData } from '../../data/pairs.js';
import type { Batch, BatchContext } from '../../workload.js';
import { hyperChoice, hyperNumber } from '../parts/hyper.js';
import { DIGITS, MODALITIES, type Modality, type Presence, SIDE_LOSSES } from './model.js';

/** What speaker s has is entry s modulo 6. */
export const HELD: readonly (readonly Modality[])[] = [
  ['image', 'audio'],
  ['image', 'audio'],
  ['image'],
  ['image'],
  ['audio'],
  ['audio'],
];
const FEDERATIONS = ['all', 'image', 'audio', 'audio-only'] as const;

/** What a speaker has and the federation uses; nothing: the speaker does not take part. */
export function heldBy(speaker: number, hyper: Hyper): readonly Modality[] {
  const held = HELD[speaker % HELD.length];
  const used = usedIn(hyper);
  if (hyper.federation === 'audio-only' && held.length > 1) return [];
  return held.filter((m) => used.includes(m));
}

function usedIn(hyper: Hyper): readonly Modality[] {
  const federation = hyperChoice(hyper, 'federation', FEDERATIONS);
  return federation === 'all' ? MODALITIES : [federation === 'image' ? 'image' : 'audio'];
}

/**
 * `image` and `audio` [batch, ...], `has/MODALITY` [batch, 1], `labels` [batch, 10], `speakers` [batch, 6] and the weights of the losses. A modality
 * that nobody in a training batch has is absent. Test examples have both, and of speakers who do not take part what the
 * federation uses counts.
 */
export function batchOf(data: PairData, indices: Int32Array, { hyper, split }: BatchContext): Batch {
  const set = data[split];
  const take = (values: Float32Array, height: number, width: number) => {
    const size = height * width;
    const out = new Float32Array(indices.length * size);
    for (const [row, i] of indices.entries()) out.set(values.subarray(i * size, (i + 1) * size), row * size);
    return tf.tensor4d(out, [indices.length, height, width, 1]);
  };
  const has = (m: Modality) =>
    Array.from(indices, (i) => {
      const held = heldBy(set.speakers[i], hyper);
      return (held.length > 0 ? held : usedIn(hyper)).includes(m) ? 1 : 0;
    });
  const marks = MODALITIES.map((m) => [m, has(m)] as const).filter(([, mark]) => mark.includes(1));
  const isThere = (m: Modality) => split === 'test' || marks.some(([held]) => held === m);
  const labels = tf.oneHot(
    tf.tensor1d(
      Array.from(indices, (i) => set.labels[i]),
      'int32',
    ),
    DIGITS,
  );
  const weights = SIDE_LOSSES.filter((name) => hyperNumber(hyper, name) > 0);
  const speakers = tf.oneHot(
    tf.tensor1d(
      Array.from(indices, (i) => set.speakers[i]),
      'int32',
    ),
    HELD.length,
  );
  return {
    speakers: tf.cast(speakers, 'float32'),
    labels: tf.cast(labels, 'float32'),
    ...(isThere('image') && { image: take(set.images, data.side, data.side) }),
    ...(isThere('audio') && { audio: take(set.sounds, FRAMES, BANDS) }),
    ...Object.fromEntries(marks.map(([m, mark]) => [`has/${m}`, tf.tensor2d(mark, [indices.length, 1])])),
    ...Object.fromEntries(weights.map((name) => [`weight/${name}`, tf.scalar(hyperNumber(hyper, name))])),
  };
}

/** Who of the batch has which modality, by the `has/MODALITY` of {@link batchOf}. */
export function presenceIn(batch: Batch): Presence {
  return Object.fromEntries(MODALITIES.flatMap((m) => (batch[`has/${m}`] ? [[m, batch[`has/${m}`]]] : [])));
}
