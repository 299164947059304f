/**
 * What the network has to be better than, without one: the mean answer; the mean answer at each place of the picture; and a
 * colour rule, which asks what the pixels of a colour were in the training scenes, and of a solid of that kind how far away
 * and which way it was in that row. The labels of all sites lie in one place, but each task is learned from those who own it.
 */
import tf = require('@tensorflow/tfjs-core');

import { addMetrics, type SumMetrics } from '../../../shared/run/metrics.js';
import { CLASS_NAMES } from '../../data/scenes.js';
import type { Batch, Floor, FloorContext, FloorJudge, Shard } from '../../workload.js';
import { type MtanData, owns } from './batch.js';
import { SIZES, taskSums } from './measures.js';
import { TASKS, type Task } from './model.js';

const CLASSES = CLASS_NAMES.length;
/** Numbers that a task's answer for a pixel has. */
const OUTPUTS = { segmentation: CLASSES, depth: 1, normals: 3 } as const;
/** Steps of each colour. */
const SHADES = 10;
const SCENES_AT_ONCE = 20;

/** Where a pixel's answer is looked up, by colour (red, green, blue, 0..1) and place (0..1); and how many drawers there are. */
interface Drawers {
  readonly count: number;
  at(pixel: { readonly colour: Float32Array; readonly x: number; readonly y: number; readonly kind: number }): number;
}

const PLACES = 24;
const ONE: Drawers = { count: 1, at: () => 0 };
const BY_PLACE: Drawers = { count: PLACES ** 2, at: ({ x, y }) => step(y, PLACES) * PLACES + step(x, PLACES) };
const BY_COLOUR: Drawers = {
  count: SHADES ** 3,
  at: ({ colour }) => colour.reduce((number, part) => number * SHADES + step(part, SHADES), 0),
};
const BY_KIND: Drawers = { count: CLASSES * PLACES, at: ({ y, kind }) => kind * PLACES + step(y, PLACES) };

/** Rows `floor/mean`, `floor/place` and `floor/colour`. */
export const mtanFloors: readonly Floor<MtanData>[] = [
  { name: 'mean', label: 'the mean answer', kind: 'trivial', fit: (context) => fitted(context, () => ONE) },
  {
    name: 'place',
    label: 'the mean answer at each place of the picture',
    kind: 'raw-features',
    fit: (context) => fitted(context, () => BY_PLACE),
  },
  {
    name: 'colour',
    label: 'a colour rule',
    kind: 'classical',
    fit: (context) => fitted(context, (task) => (task === 'segmentation' ? BY_COLOUR : BY_KIND)),
  },
];

/** A task's mean answers by drawer; an empty drawer has the mean of all. */
type Table = (drawer: number) => Float64Array;

function fitted(context: FloorContext<MtanData>, drawersOf: (task: Task) => Drawers): FloorJudge {
  const tables = new Map<Task, Table>();
  for (const task of TASKS) tables.set(task, learned(context, task, drawersOf(task), tables.get('segmentation')));
  return (shard) => {
    let total: SumMetrics = {};
    for (let start = 0; start < shard.test.length; start += SCENES_AT_ONCE) {
      const indices = shard.test.slice(start, start + SCENES_AT_ONCE);
      total = addMetrics(total, judged(context, { indices, shard }, drawersOf, tables));
    }
    return total;
  };
}

function judged(
  { data: { test }, batch }: FloorContext<MtanData>,
  { indices, shard }: { readonly indices: Int32Array; readonly shard: Shard },
  drawersOf: (task: Task) => Drawers,
  tables: ReadonlyMap<Task, Table>,
): SumMetrics {
  const { size } = test;
  const pixels = size * size;
  return tf.tidy(() => {
    const truth: Batch = batch(indices, { shard, split: 'test' });
    const sums = TASKS.map((task) => {
      const owned = truth[`owns/${task}`] as tf.Tensor1D | undefined;
      const count = indices.length;
      if (owned === undefined) return [task, { sum: new Array<number>(SIZES[task]).fill(0), count }] as const;
      const answers = new Float32Array(count * pixels * OUTPUTS[task]);
      for (const [row, scene] of indices.entries()) {
        for (let p = 0; p < pixels; p++) {
          const at = drawersOf(task).at(pixelOf(test, scene, p, tables.get('segmentation')));
          answers.set((tables.get(task) as Table)(at), (row * pixels + p) * OUTPUTS[task]);
        }
      }
      const output = tf.tensor4d(answers, [count, size, size, OUTPUTS[task]]);
      return [task, { sum: Array.from(taskSums(task, output, truth, owned).dataSync()), count }] as const;
    });
    return Object.fromEntries(sums);
  });
}

function learned(
  { data: { train }, shards }: FloorContext<MtanData>,
  task: Task,
  drawers: Drawers,
  classes: Table | undefined,
): Table {
  const width = OUTPUTS[task];
  const [sums, counts] = [new Float64Array((drawers.count + 1) * width), new Float64Array(drawers.count + 1)];
  const pixels = train.size ** 2;
  for (const scene of shards.flatMap((shard) => [...shard.train])) {
    if (!owns(train.sites[scene], task)) continue;
    for (let p = 0; p < pixels; p++) {
      const answer = answerAt(train, task, scene * pixels + p);
      for (const at of [drawers.at(pixelOf(train, scene, p, classes)), drawers.count]) {
        counts[at]++;
        for (let k = 0; k < width; k++) sums[at * width + k] += answer[k];
      }
    }
  }
  return (drawer) => {
    const at = counts[drawer] > 0 ? drawer : drawers.count;
    return sums.slice(at * width, (at + 1) * width).map((sum) => sum / Math.max(1, counts[at]));
  };
}

function pixelOf({ images, size }: MtanData['train'], scene: number, p: number, classes: Table | undefined) {
  const first = (scene * size * size + p) * 3;
  const colour = images.subarray(first, first + 3);
  const [x, y] = [(p % size) / size, Math.floor(p / size) / size];
  const pixel = { colour, x, y, kind: 0 };
  if (classes === undefined) return pixel;
  const shares = classes(BY_COLOUR.at(pixel));
  return { ...pixel, kind: shares.indexOf(Math.max(...shares)) };
}

function answerAt({ classes, depths, normals }: MtanData['train'], task: Task, at: number): ArrayLike<number> {
  if (task === 'depth') return [depths[at]];
  if (task === 'normals') return normals.subarray(at * 3, at * 3 + 3);
  return Array.from({ length: CLASSES }, (_, c) => (classes[at] === c ? 1 : 0));
}

function step(share: number, steps: number): number {
  return Math.min(steps - 1, Math.max(0, Math.floor(share * steps)));
}
