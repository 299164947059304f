/** What meta-learning leaves for a person: accuracy after each step of adaptation, and one task with its answers. */
import tf = require('@tensorflow/tfjs-core');

import type { SumMetrics } from '../../../shared/run/metrics.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { CharacterData } from '../../data/characters.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { galleryPicture } from '../../pictures/gallery.js';
import { linePlot } from '../../pictures/line-plot.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Artefact, TensorMap } from '../../workload.js';
import { drawingsOf, type Episode, imageTensor } from './episodes.js';

/** Drawings of each class that the picture asks about. */
const ASKED = 3;

/** From the pooled sums of the test tasks. */
export function curveArtefact(sums: SumMetrics): Artefact {
  const percent = (share: number) => `${Math.round(100 * share)}%`;
  const series = ['one-shot', 'five-shot'].map((name) => {
    const { sum, count } = sums[`curve.${name}`];
    const points = sum.map((value, step) => ({ x: step, y: value / count }));
    return { label: `${name} ${percent(points[points.length - 1].y)}`, points };
  });
  const title = 'accuracy on tasks of unseen alphabets';
  const axes = { xName: 'steps of adaptation', yName: 'accuracy', range: [0, 1], format: percent } as const;
  return svgArtefact('adaptation', 'Accuracy by adaptation step', linePlot({ title, ...axes, series }));
}

export interface TaskContext {
  readonly shared: HostTensors;
  readonly characters: CharacterData;
  readonly task: Episode;
}

/**
 * The task's one drawing of each class, and below, drawings of the same characters with what the adapted model says.
 * `answer` gives the logits [ways · 3, ways] of the queries, which lie class after class.
 */
export async function taskArtefact(
  { shared, characters, task }: TaskContext,
  answer: (params: TensorMap, images: { support: tf.Tensor4D; query: tf.Tensor4D }) => tf.Tensor2D,
): Promise<Artefact> {
  const { side, test } = characters;
  const ways = task.length;
  const support = drawingsOf(test, side, [task], [0, 1]);
  const last = task[0].order.length;
  const query = drawingsOf(test, side, [task], [last - ASKED, last]);
  const logits = tf.tidy(() => {
    const images = { support: imageTensor(support, side), query: imageTensor(query, side) };
    return tf.argMax(answer(uploadTensors(shared), images), 1);
  });
  const said = await logits.data();
  logits.dispose();
  const image = (values: Float32Array, at: number) =>
    values.slice(at * side * side, (at + 1) * side * side).map((ink) => 1 - ink);
  const learned = task.map((_, at) => ({ pixels: image(support, at), caption: `learn ${at + 1}` }));
  const asked = Array.from({ length: ASKED * ways }, (_, cell) => {
    const [row, truth] = [Math.floor(cell / ways), cell % ways]; // a column is a class
    const at = truth * ASKED + row;
    const pixels = image(query, at);
    return said[at] === truth
      ? { pixels, caption: 'right' }
      : { pixels, caption: 'wrong', alert: `said ${said[at] + 1}` };
  });
  const right = asked.filter(({ caption }) => caption === 'right').length;
  const alphabet = test.alphabets[task[0].character];
  const title = `${alphabet}: learned from the top row, ${right} of ${asked.length} right`;
  const size = { height: side, width: side, columns: ways, shownWidth: 96 };
  return svgArtefact('task', 'A task of an unseen alphabet', galleryPicture(title, [...learned, ...asked], size));
}
