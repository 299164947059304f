/** How often the answer is right: by sight, by sound, by both, and for each speaker. */
import tf = require('@tensorflow/tfjs-core');

import type { Formula } from '../../../shared/run/formula.js';
import type { Batch, TensorMap, Workload } from '../../workload.js';
import { crossEntropy, predictionOf } from '../parts/layers.js';
import { HELD, presenceIn } from './batch.js';
import { answer, encode, type Presence } from './model.js';

/** Right answers by what is seen, heard and both; and with the modalities that each speaker has. For the caller's tidy. */
export function metricsOf(params: TensorMap, batch: Batch): ReturnType<Workload['metrics']> {
  const labels = batch.labels as tf.Tensor2D;
  const count = labels.shape[0];
  const encodings = encode(params, batch);
  const right = (logits: tf.Tensor2D) => tf.sum(tf.mul(labels, predictionOf(logits)), 1); // [batch]
  const rightWith = (presence: Presence) => tf.sum(right(answer(params, encodings, presence)));
  const all = tf.ones([count, 1]);
  const logits = answer(params, encodings, presenceIn(batch));
  const own = right(logits);
  const bySpeaker = tf.matMul(tf.stack([own, tf.ones([count])]) as tf.Tensor2D, batch.speakers as tf.Tensor2D);
  return {
    loss: { sum: tf.sum(crossEntropy(logits, labels)), count },
    accuracy: { sum: tf.sum(own), count },
    'fusion.accuracy': { sum: rightWith({ image: all, audio: all }), count },
    'image.accuracy': { sum: rightWith({ image: all }), count },
    'audio.accuracy': { sum: rightWith({ audio: all }), count },
    // [right answers, examples] of each speaker, from what the speaker has
    speakers: { sum: tf.reshape(bySpeaker, [2 * HELD.length]), count },
  };
}

/** The accuracy of each speaker, and of those who only hear. */
export const FIGURES: Readonly<Record<string, Formula>> = figures();

function figures(): Record<string, Formula> {
  const everyone = [...HELD.keys()];
  const accuracy = (among: readonly number[]): Formula => {
    const tested: Formula = ['sum', 'speakers', ...among.map((speaker) => HELD.length + speaker)];
    // under secure aggregation with older clients zero is zero up to the grid
    return ['when', tested, 0.5, ['div', ['sum', 'speakers', ...among], tested]];
  };
  const hearers = everyone.filter((speaker) => !HELD[speaker].includes('image'));
  const each = everyone.map((speaker) => [`accuracy.speaker-${speaker}`, accuracy([speaker])] as const);
  return { ...Object.fromEntries(each), 'audio-only.accuracy': accuracy(hearers) };
}
