/**
 * What every workload promises, as claims that are checked at smoke scale: over the registry by conformance.spec.ts, over
 * the example of docs/workloads.md by user-module.spec.ts.
 */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { uploadTensors } from '../../../client/training/evaluate.js';
import { createTaskRunner, initialModel, type TaskRunner } from '../../../client/training/task.js';
import type { Shard, Workload } from '../../../client/workload.js';
import { checkWorkload } from '../../../client/workloads/user-module.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { figuresOf } from '../../../shared/run/figures.js';
import type { Hyper, WorkSpec } from '../../../shared/run/spec.js';
import {
  contributionLayout,
  type PhaseSpec,
  phaseOfRound,
  UPDATE_CHANNEL,
  updateChannel,
} from '../../../shared/tensors/channels.js';
import { firstNonFinite, layoutOf, packTensors, sizeOf } from '../../../shared/tensors/params.js';
import { figuresOfWorkload } from '../../../simulations/config/figures.js';
import { SECURE } from '../../secure/hostile-coordinator.js';

const SEED = 11;

/** One workload, ready to be judged. */
export interface Subject {
  readonly name: string;
  readonly workload: Workload;
  readonly hyper: Hyper;
  readonly work: WorkSpec;
  readonly runner: TaskRunner;
}

export function subjectOf(workload: Workload): Subject {
  const { name, scales } = workload.manifest;
  const runner = createTaskRunner({ loadWorkload: async () => workload });
  return { name, workload, hyper: scales.smoke.hyper, work: smokeWork(workload), runner };
}

/** The run that `--scale smoke` would make, with one client's share of it. */
function smokeWork(workload: Workload): WorkSpec {
  const { hyper, partition, rounds, training } = workload.manifest.scales.smoke;
  const { shared } = initialModel(workload, { hyper, seed: SEED });
  const model = packTensors(shared).layout.map(({ name, shape }) => ({ name, shape }));
  return {
    workload: workload.manifest.name,
    scale: 'smoke',
    hyper,
    training: {
      momentum: 0,
      weightDecay: 0,
      gradientClipNorm: 0,
      lrSchedule: 'constant',
      proximalMu: 0,
      ...training,
    },
    partition,
    seed: SEED,
    rounds,
    phases: workload.manifest.phases?.(hyper, model) ?? [{ name: 'train', channels: [updateChannel(model)] }],
    model,
  };
}

/** The first examples of both splits, as one client's. */
async function someData(workload: Workload, hyper: Hyper): Promise<{ data: unknown; shard: Shard }> {
  const data = await workload.load({ hyper, rng: rngFromSeed(SEED).split('data') });
  const { train, test } = workload.examples(data, hyper);
  const first = (count: number) => Int32Array.from({ length: Math.min(count, 16) }, (_, i) => i);
  return { data, shard: { train: first(train.count), test: first(test.count), index: 0, count: 2 } };
}

function tensorsHeld(): number[] {
  return [tf.memory().numTensors, tf.engine().backend.numDataIds()];
}

/** The model after a round of one client: its update added, its other channels in the places of their names. */
function advanced(work: WorkSpec, phase: PhaseSpec, model: Float32Array, values: Float32Array): Float32Array {
  const next = model.slice();
  const places = new Map(layoutOf(work.model).map(({ name, offset }) => [name, offset]));
  for (const { name, offset, size } of contributionLayout(phase)) {
    const update = name.startsWith(`${UPDATE_CHANNEL}/`);
    const at = places.get(update ? name.slice(UPDATE_CHANNEL.length + 1) : name);
    assert.ok(at !== undefined, `${name} has no place in the model`);
    for (let i = 0; i < size; i++) next[at + i] = values[offset + i] + (update ? model[at + i] : 0);
  }
  return next;
}

/** A title, and a check that throws. */
export const CLAIMS: readonly (readonly [string, (subject: Subject) => void | Promise<void>])[] = [
  [
    'has a whole manifest under its own name, and a headline that it counts',
    async ({ name, workload, work, runner }) => {
      assert.equal(checkWorkload(workload, name).manifest.name, name);
      const model = packTensors(initialModel(workload, work).shared).values;
      const { metrics } = await runner.run({ kind: 'evaluate', work, client: 'a', round: 1, model });
      const { spec } = figuresOfWorkload(workload, work.hyper);
      const { metrics: figures } = figuresOf(metrics, 'test', spec);
      assert.ok(Number.isFinite(figures[workload.manifest.headline.metric]), Object.keys(figures).join());
    },
  ],

  [
    'initialises alike for equal seeds, differently for others, with finite values and distinct names',
    ({ workload, hyper }) => {
      const init = (seed: number) => {
        const { shared, private: own = {} } = workload.init(rngFromSeed(seed), hyper);
        assert.deepEqual(
          Object.keys(shared).filter((key) => key in own),
          [],
        );
        return packTensors({ ...shared, ...own });
      };
      assert.deepEqual(init(1), init(1));
      assert.notDeepEqual(init(1).values, init(2).values);
      assert.equal(firstNonFinite(init(1).values), -1);
    },
  ],

  [
    'counts its examples, and labels each when it labels any',
    async ({ workload, hyper }) => {
      const { data } = await someData(workload, hyper);
      for (const split of Object.values(workload.examples(data, hyper))) {
        assert.ok(split.count > 0);
        if (split.labels !== undefined) assert.equal(split.labels.length, split.count);
        if (split.groups !== undefined) assert.equal(split.groups.length, split.count);
      }
    },
  ],

  [
    'has a finite gradient for every parameter',
    async ({ workload, hyper }) => {
      const { loss } = workload;
      if (loss === undefined) return; // its own procedure is judged by what it contributes
      const { data, shard } = await someData(workload, hyper);
      const { shared, private: own } = workload.init(rngFromSeed(SEED), hyper);
      const params = uploadTensors({ ...shared, ...own });
      const batch = workload.batch(data, shard.train, { hyper, shard, split: 'train' });
      const names = Object.keys(params);
      const { value, grads } = tf.engine().gradients(
        () => loss(params, batch, rngFromSeed(SEED)),
        names.map((key) => params[key]),
      );
      assert.deepEqual(value.shape, []);
      for (const [i, grad] of grads.entries()) {
        assert.ok(grad !== undefined, `no gradient for ${names[i]}`);
        assert.deepEqual(grad.shape, params[names[i]].shape);
        assert.equal(firstNonFinite(grad.dataSync() as Float32Array), -1, `gradient of ${names[i]}`);
      }
      tf.dispose([params, batch, value, grads]);
    },
  ],

  [
    'gives a loss for each example whose mean is the loss, if it offers example-level privacy',
    async ({ workload, hyper }) => {
      const { loss, perExampleLoss } = workload;
      assert.equal(workload.manifest.privacyUnits.includes('example'), perExampleLoss !== undefined);
      if (loss === undefined || perExampleLoss === undefined) return;
      const { data, shard } = await someData(workload, hyper);
      const { shared, private: own } = workload.init(rngFromSeed(SEED), hyper);
      const [mean, each] = tf.tidy(() => {
        const params = uploadTensors({ ...shared, ...own });
        const batch = workload.batch(data, shard.train, { hyper, shard, split: 'train' });
        return [loss(params, batch, rngFromSeed(SEED)), perExampleLoss(params, batch)].map((tensor) =>
          Array.from(tensor.dataSync()),
        );
      });
      assert.equal(each.length, shard.train.length);
      const average = each.reduce((sum, value) => sum + value, 0) / each.length;
      assert.ok(Math.abs(average - mean[0]) < 1e-4 * Math.abs(mean[0]));
    },
  ],

  [
    'trains to one contribution of the declared layout, again and again, and leaves no tensor behind',
    async ({ workload, work, runner }) => {
      const { shared, private: own } = initialModel(workload, work);
      const task = {
        kind: 'train',
        work,
        client: 'a',
        slice: { index: 0, count: 4 },
        round: 1,
        model: packTensors(shared).values,
      } as const;
      const first = await runner.run(task);
      const held = tensorsHeld();
      const second = await runner.run(task);
      assert.deepEqual(tensorsHeld(), held);
      assert.deepEqual(second, first);
      const layout = contributionLayout(phaseOfRound(work.phases, 1));
      assert.equal(first.contribution.values.length, sizeOf(layout));
      assert.equal(first.contribution.weights.length, layout.length);
      const names = layout.map(({ name: tensor }) => tensor.slice(tensor.indexOf('/') + 1));
      const { privateTensors: kept = {} } = first;
      assert.deepEqual(
        names.filter((tensor) => tensor in own || tensor in kept),
        [],
        'a private tensor is in the contribution',
      );
      const keptOf = (tensors: object) => Object.keys(tensors).filter((tensor) => tensor in kept);
      assert.deepEqual(keptOf(own), Object.keys(own), 'a private tensor is lost'); // more may begin with training
      assert.deepEqual(keptOf(shared), [], 'a tensor is private and shared');
    },
  ],

  [
    'lowers its training loss over the rounds of one client, in each phase that has several',
    async ({ workload, work, runner }) => {
      let model = packTensors(initialModel(workload, work).shared).values;
      let privateTensors = initialModel(workload, work).private;
      const lossesOf: Record<string, number[]> = {};
      for (let round = 1; round <= work.rounds; round++) {
        const task = {
          kind: 'train',
          work,
          client: 'a',
          slice: { index: 0, count: 4 },
          round,
          model,
          privateTensors,
        } as const;
        const { contribution, privateTensors: kept = {} } = await runner.run(task);
        assert.ok('loss' in contribution.metrics, 'no training loss among the metrics');
        const { sum, count } = contribution.metrics.loss;
        const phase = phaseOfRound(work.phases, round);
        lossesOf[phase.name] = [...(lossesOf[phase.name] ?? []), sum[0] / count];
        model = advanced(work, phase, model, contribution.values);
        privateTensors = kept;
      }
      for (const [phase, losses] of Object.entries(lossesOf)) {
        if (losses.length > 1) assert.ok(losses[losses.length - 1] < 0.9 * losses[0], `${phase}: losses ${losses}`);
      }
    },
  ],

  [
    'evaluates to sums that add up over clients',
    async ({ workload, work, runner }) => {
      const model = packTensors(initialModel(workload, work).shared).values;
      const evaluate = async (slice?: { index: number; count: number }) =>
        (await runner.run({ kind: 'evaluate', work, client: 'a', round: 1, model, ...(slice ? { slice } : {}) }))
          .metrics;
      const held = tensorsHeld();
      const whole = await evaluate();
      assert.deepEqual(tensorsHeld(), held);
      const parts = [await evaluate({ index: 0, count: 2 }), await evaluate({ index: 1, count: 2 })];
      for (const metric of Object.keys(whole)) {
        assert.equal(parts[0][metric].count + parts[1][metric].count, whole[metric].count);
        for (const [i, sum] of whole[metric].sum.entries()) {
          const together = parts[0][metric].sum[i] + parts[1][metric].sum[i];
          assert.ok(Math.abs(together - sum) <= 1e-4 * Math.max(1, Math.abs(sum)), metric);
        }
      }
    },
  ],

  [
    'takes every step with a model that breaks it, in a run that protects its clients, and gives zeros of its weight',
    async ({ workload, work, runner }) => {
      const whole = packTensors(initialModel(workload, work).shared).values;
      const broken = new Float32Array(whole.length).fill(Number.NaN);
      const sealed: WorkSpec = { ...work, secure: SECURE };
      const startOf = (phase: PhaseSpec) => work.phases.slice(0, work.phases.indexOf(phase));
      for (const phase of work.phases) {
        const round = 1 + startOf(phase).reduce((sum, { rounds = 0 }) => sum + rounds, 0);
        const trainWith = async (model: Float32Array) => {
          const steps: string[] = [];
          const task = {
            kind: 'train',
            work: sealed,
            client: 'a',
            slice: { index: 0, count: 4 },
            round,
            model,
          } as const;
          const onProgress = (done: number, total: number) => void steps.push(`${done} of ${total}`);
          return { steps, ...(await runner.run(task, { onProgress })) };
        };
        const [good, bad] = [await trainWith(whole), await trainWith(broken)];
        assert.equal(good.zeroed, undefined);
        assert.match(bad.zeroed ?? '', /not finite/);
        assert.deepEqual(bad.steps, good.steps);
        assert.deepEqual(bad.contribution.weights, good.contribution.weights);
        assert.deepEqual(bad.contribution.metrics, {});
        assert.ok(bad.contribution.values.every((value) => value === 0));
        assert.equal(bad.contribution.values.length, good.contribution.values.length);
        for (const { data } of Object.values(bad.privateTensors ?? {}))
          assert.equal(firstNonFinite(data as Float32Array), -1);
      }
      const held = tensorsHeld();
      const judged = await runner.run({ kind: 'evaluate', work: sealed, client: 'a', round: 1, model: broken });
      assert.deepEqual(tensorsHeld(), held);
      for (const { sum } of Object.values(judged.metrics)) assert.ok(sum.every(Number.isFinite));
      if (judged.zeroed !== undefined) assert.deepEqual(judged.metrics, {});
    },
  ],

  [
    'draws its pictures',
    async ({ workload, hyper, work, runner }) => {
      if (workload.artefacts === undefined) return;
      const { shared } = initialModel(workload, work);
      const data = await workload.load({ hyper, rng: rngFromSeed(SEED).split('data') });
      const { metrics: sums } = await runner.run({
        kind: 'evaluate',
        work,
        client: 'a',
        round: 1,
        model: packTensors(shared).values,
      });
      const paths: string[] = [];
      const held = tensorsHeld();
      for await (const { path, mime, bytes } of workload.artefacts({
        shared,
        data,
        hyper,
        sums,
        perClient: { a: sums },
        rng: rngFromSeed(SEED),
      })) {
        assert.match(mime, /^[a-z]+\/[a-z0-9.+-]+$/);
        assert.ok(bytes.length > 0);
        paths.push(path);
      }
      assert.deepEqual(tensorsHeld(), held);
      assert.equal(new Set(paths).size, paths.length);
    },
  ],
];
