/** A figure that is not finite: the data's fault or the learning rate's, told at the site, and what of it leaves the site. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { createTaskRunner, initialModel, type Task } from '../../../client/training/task.js';
import { withoutExamples } from '../../../client/training/withheld.js';
import { defineWorkload } from '../../../client/workload.js';
import type { WorkSpec } from '../../../shared/run/spec.js';
import { packTensors } from '../../../shared/tensors/params.js';
import { toySpec } from '../../support/toy.js';

interface Rows {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** A line through points: y = w x + b, by logs of y where `logs` says so. */
const line = ({ x, y }: Rows, loss: 'squares' | 'logs' = 'squares') => {
  const error = (p: Record<string, tf.Tensor>, b: Record<string, tf.Tensor>) =>
    tf.square(tf.sub(tf.add(tf.mul(b.x, p.w), p.b), loss === 'logs' ? tf.log(b.y) : b.y));
  return defineWorkload<Rows>({
    manifest: {
      ...{ name: 'line', topic: '', paper: '', data: '', privacyUnits: ['client'] },
      headline: { metric: 'test.error', better: 'lower' },
      scales: {} as never,
    },
    init: () => ({
      shared: { w: { shape: [1], data: new Float32Array(1) }, b: { shape: [1], data: new Float32Array(1) } },
    }),
    load: async () => ({ x, y }),
    examples: () => ({ train: { count: x.length }, test: { count: x.length } }),
    batch: (_, indices) => ({
      x: tf.tensor1d(Float32Array.from(indices, (i) => x[i])),
      y: tf.tensor1d(Float32Array.from(indices, (i) => y[i])),
    }),
    loss: (p, b) => tf.mean(error(p, b)) as tf.Scalar,
    metrics: (p, b) => ({ error: { sum: tf.sum(error(p, b)), count: b.x.shape[0]! } }),
  });
};

const ROWS = 40;
const points = (change: (rows: Rows) => void = () => {}): Rows => {
  const rows = { x: Float32Array.from({ length: ROWS }, (_, i) => i / ROWS), y: new Float32Array(ROWS).fill(1) };
  change(rows);
  return rows;
};

describe('a figure that is not finite', () => {
  before(() => selectBackend('cpu'));

  async function why(
    workload: ReturnType<typeof line>,
    { clientLr = 0.1, kind = 'train' }: { clientLr?: number; kind?: Task['kind'] } = {},
  ): Promise<string> {
    const { work } = toySpec();
    const tensors = ['w', 'b'].map((name) => ({ name, shape: [1] }));
    const training = { ...work.training, localSteps: 20, batchSize: 4, clientLr };
    const channel = { ...work.phases[0].channels[0], tensors };
    const asked: WorkSpec = {
      ...work,
      workload: 'line',
      training,
      model: tensors,
      phases: [{ name: 'train', channels: [channel] }],
    };
    const model = packTensors(initialModel(workload, asked).shared).values;
    const runner = createTaskRunner({ loadWorkload: async () => workload });
    const before = tf.memory().numTensors;
    const message = await runner.run({ kind, work: asked, client: 'c1', round: 1, model } as Task).then(
      () => assert.fail('it is finite'),
      (error: Error) => error.message,
    );
    assert.equal(tf.memory().numTensors, before, 'a tensor is left');
    return message;
  }

  const CASES: readonly [what: string, given: () => Promise<string>, site: RegExp, outside: string | RegExp][] = [
    [
      'an input that is no number: its example, counted from 1, and its tensor',
      () => why(line(points(({ x }) => (x[16] = Number.NaN)))),
      /^an input of example 17 is NaN \(x\)/,
      "an example here is not finite; which one is in the site's own log",
    ],
    [
      'a target that is infinite',
      () => why(line(points(({ y }) => (y[0] = Number.POSITIVE_INFINITY)))),
      /^an input of example 1 is Infinity \(y\)/,
      "an example here is not finite; which one is in the site's own log",
    ],
    [
      'a finite value that the loss cannot take, among others that it can',
      () =>
        why(
          line(
            points(({ y }) => (y[30] = -1)),
            'logs',
          ),
        ),
      /^the loss of example 31 is not finite before any step, while those of others are: look at its values$/,
      "an example here is not finite; which one is in the site's own log",
    ],
    [
      'a loss that is never finite: no learning rate is at fault before the first step',
      () =>
        why(
          line(
            points(({ y }) => y.fill(-1)),
            'logs',
          ),
        ),
      /^loss is not finite before the first step of round 1: look at the data and at init, not at client-lr$/,
      /^loss is not finite before the first step of round 1/,
    ],
    [
      'a learning rate that is too large',
      () => why(line(points()), { clientLr: 1e30 }),
      /^(loss is not finite at step \d+ of|parameters are not finite after training in) round 1: lower client-lr$/,
      /^(loss is not finite in|parameters are not finite after training in) round 1: lower client-lr$/,
    ],
    [
      'a test example that is no number',
      () => why(line(points(({ x }) => (x[16] = Number.NaN))), { kind: 'evaluate' }),
      /^an input of test example 17 is NaN \(x\): metric "error" of the test split is not finite$/,
      "an example here is not finite; which one is in the site's own log",
    ],
  ];
  for (const [what, given, site, outside] of CASES) {
    it(`is ${what}`, async () => {
      const said = await given();
      assert.match(said, site);
      if (typeof outside === 'string') assert.equal(withoutExamples(said), outside);
      else assert.match(withoutExamples(said), outside);
    });
  }
});
