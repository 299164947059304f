/**
 * What multi-task learning leaves to look at: for some test scenes the picture, and in a row for each task the truth, the
 * answer and the attention masks of the five stages (mean over channels, stretched to black and white).
 */
import tf = require('@tensorflow/tfjs-core');

import { extent } from 'd3-array';
import { type Html, html } from '../../../shared/charts/markup.js';
import { picture, text, widthOf } from '../../../shared/charts/picture.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { Scenes } from '../../data/scenes.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { coloured, grey, image, type Pixels } from '../../pictures/pixels.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Artefact, Batch } from '../../workload.js';
import { unit } from './measures.js';
import { forward, TASKS, type Task } from './model.js';

const SCENES = 4;
const TILE = 76;
const STEP = TILE + 4;
const LABEL = widthOf(TASKS) + 8;
const ROW_GAP = 14;
const CLASS_COLOURS = [
  [209, 213, 219],
  [37, 99, 235],
  [220, 38, 38],
  [217, 119, 6],
];
const HEADINGS = ['scene', 'truth', 'answer', 'mask s', 'mask s/2', 'mask s/4', 'mask s/2', 'mask s'];

/** @param batchOf tensors of the test scenes of these indices */
export async function scenesArtefact(
  shared: HostTensors,
  scenes: Scenes,
  batchOf: (indices: Int32Array) => Batch,
): Promise<Artefact> {
  const count = Math.min(SCENES, scenes.count);
  const drawn: Html[] = HEADINGS.map((heading, i) =>
    text(heading, { x: LABEL + i * STEP + TILE / 2, y: 12, anchor: 'middle' }),
  );
  const sceneHeight = TASKS.length * STEP + ROW_GAP;
  for (let scene = 0; scene < count; scene++) {
    for (const [row, task] of TASKS.entries()) {
      const y = 20 + scene * sceneHeight + row * STEP;
      const tiles = await rowOf(shared, scenes, { scene, task, batchOf });
      drawn.push(text(task, { x: 0, y: y + TILE / 2 + 4 }));
      drawn.push(...tiles.map((tile, i) => image(tile, { x: LABEL + i * STEP, y, width: TILE })));
    }
  }
  const size = { width: LABEL + HEADINGS.length * STEP, height: 20 + count * sceneHeight };
  return svgArtefact(
    'tasks',
    'Tasks and attention',
    picture('tasks of one network, and where each looks', size, html`${drawn}`),
  );
}

async function rowOf(
  shared: HostTensors,
  scenes: Scenes,
  { scene, task, batchOf }: { scene: number; task: Task; batchOf: (indices: Int32Array) => Batch },
): Promise<Pixels[]> {
  const { size } = scenes;
  const tensors = tf.tidy(() => {
    const { images } = batchOf(Int32Array.of(scene));
    const { output, masks } = forward(uploadTensors(shared), images as tf.Tensor4D, [task])[task]!;
    const answer = task === 'segmentation' ? tf.cast(tf.argMax(output, 3), 'float32') : output;
    return [task === 'normals' ? unit(answer) : answer, ...masks.map((mask) => tf.mean(mask, 3))];
  });
  const [answer, ...masks] = await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()));
  tf.dispose(tensors);
  const from = scene * size * size;
  const truth = {
    segmentation: scenes.classes.subarray(from, from + size * size),
    depth: scenes.depths.subarray(from, from + size * size),
    normals: scenes.normals.subarray(3 * from, 3 * (from + size * size)),
  }[task];
  const seen = scenes.images.subarray(3 * from, 3 * (from + size * size));
  const view = coloured(size * size, size, (pixel) => [0, 1, 2].map((c) => 255 * seen[3 * pixel + c]));
  return [view, answerTile(task, size, truth), answerTile(task, size, answer), ...masks.map(maskTile)];
}

/** Classes by colour; depth from near (white) to far (black); normals as red, green, blue of x, y, z. */
function answerTile(task: Task, size: number, values: Float32Array | Uint8Array): Pixels {
  if (task === 'depth')
    return grey(
      Float32Array.from(values, (depth) => 1.15 - depth / 2.5),
      size,
    );
  return coloured(size * size, size, (pixel) => {
    if (task === 'segmentation') return CLASS_COLOURS[Math.round(values[pixel])];
    return [0, 1, 2].map((c) => 127.5 * (1 + values[3 * pixel + c]));
  });
}

function maskTile(values: Float32Array): Pixels {
  const [low = 0, high = 0] = extent(values);
  const spread = Math.max(1e-6, high - low);
  return grey(
    values.map((value) => (value - low) / spread),
    Math.round(Math.sqrt(values.length)),
  );
}
