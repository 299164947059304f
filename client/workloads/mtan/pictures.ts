/**
 * What multi-task learning leaves to look at: for some test scenes the picture, and in a row for each task the truth, the
 * answer and the attention masks of the five stages (mean over channels, stretched to black and white).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { Canvas, type Colour, INK, PAPER } from '../../artefacts/canvas.js';
import type { Scenes } from '../../data/scenes.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Artefact, Batch } from '../../workload.js';
import { unit } from './measures.js';
import { forward, TASKS, type Task } from './model.js';

const SCENES = 4;
const TILE = 96;
const GAP = 6;
const MARGIN = 26;
const LABEL = 150;
const ROW_GAP = 14;
const CLASS_COLOURS: readonly Colour[] = [
  [209, 213, 219],
  [37, 99, 235],
  [220, 38, 38],
  [217, 119, 6],
];
const HEADINGS = ['scene', 'truth', 'answer', 'mask s', 'mask s/2', 'mask s/4', 'mask s/2', 'mask s'];

/** A square image: the colour of each pixel. */
interface Tile {
  readonly size: number;
  colour(pixel: number): Colour;
}

/** @param batchOf tensors of the test scenes of these indices */
export async function scenesArtefact(
  shared: HostTensors,
  scenes: Scenes,
  batchOf: (indices: Int32Array) => Batch,
): Promise<Artefact> {
  const count = Math.min(SCENES, scenes.count);
  const width = 2 * MARGIN + LABEL + HEADINGS.length * (TILE + GAP);
  const canvas = new Canvas(width, 2 * MARGIN + 60 + count * (TASKS.length * (TILE + GAP) + ROW_GAP), PAPER);
  canvas.text('tasks of one network, and where each looks', MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [i, heading] of HEADINGS.entries()) {
    const x = MARGIN + LABEL + i * (TILE + GAP) + TILE / 2;
    canvas.text(heading, x, MARGIN + 44, { colour: INK, scale: 1, align: 'centre' });
  }
  for (let scene = 0; scene < count; scene++) {
    for (const [row, task] of TASKS.entries()) {
      const top = MARGIN + 60 + scene * (TASKS.length * (TILE + GAP) + ROW_GAP) + row * (TILE + GAP);
      canvas.text(task, MARGIN, top + TILE / 2, { colour: INK, scale: 2 });
      const tiles = await rowOf(shared, scenes, { scene, task, batchOf });
      for (const [i, tile] of tiles.entries()) draw(canvas, tile, MARGIN + LABEL + i * (TILE + GAP), top);
    }
  }
  return { path: 'tasks.png', mime: 'image/png', title: 'Tasks and attention', bytes: canvas.png() };
}

async function rowOf(
  shared: HostTensors,
  scenes: Scenes,
  { scene, task, batchOf }: { scene: number; task: Task; batchOf: (indices: Int32Array) => Batch },
): Promise<Tile[]> {
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
  const image = scenes.images.subarray(3 * from, 3 * (from + size * size));
  const picture = { size, colour: (pixel: number) => rgb([0, 1, 2].map((c) => image[3 * pixel + c])) };
  return [picture, answerTile(task, size, truth), answerTile(task, size, answer), ...masks.map(maskTile)];
}

/** Classes by colour; depth from near (white) to far (black); normals as red, green, blue of x, y, z. */
function answerTile(task: Task, size: number, values: ArrayLike<number>): Tile {
  const colour = (pixel: number): Colour => {
    if (task === 'segmentation') return CLASS_COLOURS[Math.round(values[pixel])];
    if (task === 'depth') return rgb([0, 0, 0].map(() => 1.15 - values[pixel] / 2.5));
    return rgb([0, 1, 2].map((c) => 0.5 + 0.5 * values[3 * pixel + c]));
  };
  return { size, colour };
}

function maskTile(values: Float32Array): Tile {
  const low = Math.min(...values);
  const spread = Math.max(1e-6, Math.max(...values) - low);
  const colour = (pixel: number) => rgb([0, 0, 0].map(() => (values[pixel] - low) / spread));
  return { size: Math.round(Math.sqrt(values.length)), colour };
}

function draw(canvas: Canvas, { size, colour }: Tile, left: number, top: number): void {
  for (let y = 0; y < TILE; y++) {
    for (let x = 0; x < TILE; x++) {
      const [row, column] = [Math.floor((y * size) / TILE), Math.floor((x * size) / TILE)];
      canvas.set(left + x, top + y, colour(row * size + column));
    }
  }
}

function rgb(values: readonly number[]): Colour {
  return values.map((value) => Math.round(255 * Math.min(1, Math.max(0, value)))) as unknown as Colour;
}
