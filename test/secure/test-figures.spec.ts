/**
 * Whoever may ask for test figures asks whether one example is tested: two sites that differ in it alone, and what a
 * coordinator makes of what they say.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { resultLines } from '../../cli/terminal/result.js';
import { selectBackend } from '../../client/backends/index.js';
import { declineReasonOf } from '../../client/round/policy.js';
import { tasksOf } from '../../client/round/tasks.js';
import { fileReleases, memoryReleases } from '../../client/store/releases.js';
import { memoryStore } from '../../client/store/updates.js';
import { createTaskRunner, type Task, type TaskRunner } from '../../client/training/task.js';
import type { Workload } from '../../client/workload.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { LEDGER_FILE } from '../../server/run/ledger.js';
import { verifyLedger } from '../../shared/ledger/verify.js';
import { attackEpsilon, composedEpsilon, thresholdAttack } from '../../shared/privacy/index.js';
import { rngFromEntropy, rngFromSeed } from '../../shared/rng.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { checkPrivacySpec, costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { type PrivacySpec, type RunSpec, storedSpec } from '../../shared/run/spec.js';
import { testSpend } from '../../shared/run/test-noise.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { simulate } from '../../simulations/simulate.js';
import { turns } from '../support/hand-fed.js';
import { entriesOf, ledgerSpec, toyRun } from '../support/ledgers.js';
import { enterOne, planOf } from '../support/one-client.js';
import { toyModel, toySpec, toyWorkload } from '../support/toy.js';

const METRICS = [{ name: 'right', size: 1, max: 1 }];
const DELTA = 1e-5;
const EXAMPLE: PrivacySpec = {
  ...{ mode: 'example', clippingBound: 1, noiseMultiplier: 2, delta: DELTA, samplingRate: 0.5 },
};
const privacyOf = (noiseMultiplier?: number): PrivacySpec =>
  noiseMultiplier === undefined
    ? EXAMPLE
    : { ...EXAMPLE, tests: { noiseMultiplier, evaluations: 1, metrics: METRICS } };

const judging = (privacy: PrivacySpec, more: Partial<RoundPlan> = {}) =>
  planOf({ kind: 'evaluate', work: { ...toySpec().work, privacy }, ...more });

/** A site that tests these examples, each of which says a number; as the model, or a hostile workload, makes it. */
function siteWith(examples: readonly number[]): Workload {
  return {
    ...toyWorkload,
    examples: () => ({ train: { count: 0 }, test: { count: examples.length } }),
    batch: (_, indices) => ({ said: tf.tensor1d(Array.from(indices, (at) => examples[at])) }),
    metrics: (_, { said }) => ({ right: { sum: tf.sum(said), count: said.shape[0]! } }),
  };
}

const OTHERS = [1, 0, 1];

describe('test figures', () => {
  before(() => selectBackend('wasm'));

  /** What one coordinator hears of a site in many runs: sum and count of the figure, both moved by an example. */
  async function heard(examples: readonly number[], noiseMultiplier: number | undefined, runs = 600) {
    const trainer = createTaskRunner({ loadWorkload: async () => siteWith(examples) });
    const rng = rngFromSeed(examples.length);
    const privacy = { noiseOf: ({ run }: RoundPlan) => rng.split(run), releases: memoryReleases() };
    const about = { store: memoryStore(), trainer, client: 'c1', privacy };
    const tasks = tasksOf(about, async () => toyModel().values);
    const scores = [];
    for (let run = 0; run < runs; run++) {
      const { right } = await tasks.evaluate(judging(privacyOf(noiseMultiplier), { run: `r${run}` }), {});
      scores.push(right.sum[0] + right.count);
    }
    return scores;
  }

  /** A lower bound of ε at 95 %, for a coordinator that knows all examples but one. */
  async function attacked(noiseMultiplier: number | undefined, target = 1): Promise<number> {
    const judge = (counts: Parameters<typeof attackEpsilon>[0]) =>
      attackEpsilon(counts, { delta: DELTA, confidence: 0.95 });
    const [members, others] = [await heard([...OTHERS, target], noiseMultiplier), await heard(OTHERS, noiseMultiplier)];
    return thresholdAttack(members, others, judge).epsilon;
  }

  const CLAIMED = 2;
  const claim = composedEpsilon([testSpend({ noiseMultiplier: CLAIMED })], DELTA);

  it('tell with certainty whether one example is tested, where they are exact', async () => {
    const [members, others] = [await heard([...OTHERS, 1], undefined, 3), await heard(OTHERS, undefined, 3)];
    assert.deepEqual([new Set(members), new Set(others)], [new Set([7]), new Set([5])]);
    assert.ok((await attacked(undefined)) > claim, 'the attack can find more than the claim');
  });

  it('tell less than they are charged for, where they are noised', async () => {
    const found = await attacked(CLAIMED);
    assert.ok(found <= claim, `${found} of ${claim}`);
    assert.ok((await attacked(CLAIMED / 10)) > claim, 'a tenth of the noise does not keep the claim');
  });

  it('tell no more of an example that a hostile model makes loud', async () => {
    for (const target of [1e6, Number.NaN, Number.NEGATIVE_INFINITY]) {
      const found = await attacked(CLAIMED, target);
      assert.ok(found <= claim, `${target}: ${found} of ${claim}`);
    }
  });

  for (const name of ['cnn', 'transformer', 'privacy-demo']) {
    it(`are one example at a time what they are by the batch, up to their noise (${name})`, async () => {
      const workload = await loadWorkload(name);
      const { spec, model } = resolve(
        checkConfig({ workload: name, scale: 'smoke', privacy: 'example' }, 'test'),
        workload,
      );
      const runner = createTaskRunner({ loadWorkload });
      const metrics = workload.manifest.maskedMetrics!(spec.work.hyper);
      const judged = async (tests: PrivacySpec['tests']) => {
        const work = { ...spec.work, privacy: { ...spec.work.privacy!, ...(tests && { tests }) } };
        const about = { kind: 'evaluate', work, round: 1, client: 'c1', slice: { index: 0, count: 4 } } as const;
        return (await runner.run({ ...about, model: model.values, noiseKey: new Uint8Array(32) })).metrics;
      };
      const exact = await judged(undefined);
      const noisy = await judged({ noiseMultiplier: 1e-9, evaluations: 1, metrics });
      assert.deepEqual(Object.keys(noisy).sort(), Object.keys(exact).sort());
      for (const { name: metric, max } of metrics) {
        const [{ sum, count }, close] = [exact[metric], noisy[metric]];
        assert.ok(count > 5 && Math.abs(close.count - count) < 0.01, metric);
        // each example is cut to the grid below it
        const off = Math.max(...sum.map((value, i) => Math.abs(value - close.sum[i])));
        assert.ok(off <= (max * (count + 1)) / 4096 + 1e-4 * max, `${metric}: ${off}`);
      }
    });
  }

  it('go through a masked sum with their noise, and the report says how much that is', async () => {
    const workload = await loadWorkload('cnn');
    const keys = { privacy: 'example', 'test-noise-multiplier': 2, 'secure-aggregation': true, rounds: 1 };
    const { spec, model, clients } = resolve(
      checkConfig({ workload: 'cnn', scale: 'smoke', ...keys }, 'test'),
      workload,
    );
    const directory = await mkdtemp(join(tmpdir(), 'starling-test-figures-'));
    try {
      await simulate({
        ...{ spec, clients, directory, model, workload, trainer: createTaskRunner({ loadWorkload }) },
        ...{ backend: 'wasm', workers: 1, transport: 'memory', dropout: 0, baselines: 'none' },
      });
      const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as Report;
      assert.equal(report.status, 'completed');
      const deviation = report.privacy!.tests!.deviations['test.accuracy'];
      // of 100 examples at four clients, three metrics: z √6 √4 / 100, and a little for the count
      assert.ok(deviation > 0.07 && deviation < 0.2, `${deviation}`);
      const accuracy = report.final.metrics['test.accuracy'];
      assert.ok(accuracy > -6 * deviation && accuracy < 1 + 6 * deviation, `${accuracy}`);
      assert.match(
        resultLines(report).join(' '),
        /test figures are noised, at 2 times .* 1 evaluation; its standard dev/,
      );
      assert.match(await readFile(join(directory, 'report.html'), 'utf8'), /Test figures are noised, at 2 times/);
      const ledger = await readFile(join(directory, LEDGER_FILE));
      assert.ok(verifyLedger(ledger, { spec: storedSpec(spec) }).ok);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('do not leave without noise when nobody brings any', async () => {
    const runner = createTaskRunner({ loadWorkload: async () => siteWith(OTHERS) });
    const { work, round } = judging(privacyOf(CLAIMED));
    const task = { kind: 'evaluate', work, round, client: 'c1', model: toyModel().values } as const;
    await assert.rejects(runner.run(task), { code: 'failed-precondition', message: /^noiseKey: expected 32 secret/ });
  });

  it('are charged before they are said, and once', async () => {
    const asked: Task[] = [];
    const run = async (task: Task) => {
      asked.push(task);
      const sum = [...(task as { noiseKey: Uint8Array }).noiseKey];
      return { kind: 'evaluate', metrics: { right: { sum, count: 1 } } };
    };
    const one = await enterOne({ trainer: { run: run as TaskRunner['run'] } });
    const free = one.disk.hold('charge');
    one.coordinator.plan(judging(privacyOf(CLAIMED)));
    await turns();
    const since = () => one.disk.log.filter((line) => /release|charge|evaluation/.test(line));
    assert.deepEqual(since(), ['disk release'], 'nothing is said while the charge is not on the disk');
    free();
    await turns();
    assert.deepEqual(since(), ['disk release', 'disk charge', 'said evaluation']);
    one.coordinator.plan(judging(privacyOf(CLAIMED), { attempt: 2 }));
    await turns();
    const [first, again] = one.coordinator.all('evaluation').map(({ metrics }) => metrics);
    assert.deepEqual(again, first, 'what was drawn is sent again');
    assert.equal(asked.length, 1);
  });

  it('are drawn once, also over a restart, whatever has become of the data', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-test-figures-'));
    try {
      const said = async (examples: readonly number[], more: Partial<RoundPlan> = {}) => {
        const trainer = createTaskRunner({ loadWorkload: async () => siteWith(examples) });
        const privacy = { noiseOf: () => rngFromEntropy(), releases: await fileReleases(directory) };
        const about = { store: memoryStore(), trainer, client: 'c1', privacy };
        const tasks = tasksOf(about, async () => toyModel().values);
        return tasks.evaluate(judging(privacyOf(CLAIMED), more), {});
      };
      const first = await said(OTHERS);
      assert.deepEqual(await said([...OTHERS, 1, 1], { attempt: 2 }), first);
      assert.notDeepEqual(await said(OTHERS, { round: 2 }), first);
      const forwards = { code: 'failed-precondition', message: /^run r\.tests: round 1 .* only forwards/ };
      await assert.rejects(said(OTHERS), forwards);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('are not given where the policy asks for more noise than the run has', () => {
    const policy = { 'require-test-noise': 3 };
    for (const kind of ['train', 'evaluate'] as const) {
      const reason = (z?: number) => declineReasonOf(policy, judging(privacyOf(z), { kind }));
      assert.match(reason() ?? '', /^policy: require-test-noise: expected at least 3, got 0; next: raise test-noise/);
      assert.match(reason(2.9) ?? '', /expected at least 3, got 2\.9;/);
      assert.equal(reason(3), undefined);
      assert.match(declineReasonOf(policy, planOf({ kind })) ?? '', /expected at least 3, got 0;/, 'without privacy');
    }
  });

  describe('of a run', () => {
    const specOf = (z?: number): RunSpec => {
      const { work, engine } = ledgerSpec(false, { minClients: 4 });
      return { engine, work: { ...work, privacy: privacyOf(z) } };
    };

    it('are in the figure of the run from its first round on', async () => {
      const spec = specOf(4);
      const directory = await toyRun(spec, 4);
      try {
        const ledger = await readFile(join(directory, LEDGER_FILE));
        const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as Report;
        const { spend, samplerError = 0, delta } = costOf(spec.work)!;
        const stated = entriesOf(ledger.toString()).flatMap((line) => (line.kind === 'round' ? [line.privacy] : []));
        for (const [at, privacy] of stated.entries()) {
          const both = [{ ...spend, count: spend.count * (at + 1) }, testSpend({ noiseMultiplier: 4 })];
          const ideal = composedEpsilon(both, delta, { accountant: 'pld' });
          assert.ok(
            samplerError < 1e-15 && Math.abs(privacy!.epsilon / ideal - 1) < 0.005,
            `${privacy!.epsilon} for ${ideal}`,
          );
          assert.ok(privacy!.epsilon > epsilonAfter(costOf(specOf().work)!, at + 1) * 1.05);
        }
        assert.equal(stated.length, 2);
        assert.equal(report.privacy?.epsilon, stated[1]?.epsilon);
        assert.deepEqual(report.privacy?.tests, { noiseMultiplier: 4, evaluations: 1, deviations: {} });
        assert.ok(verifyLedger(ledger, { spec: storedSpec(spec) }).ok);
        for (const other of [specOf(), specOf(5)]) assert.ok(!verifyLedger(ledger, { spec: storedSpec(other) }).ok);
      } finally {
        await rm(directory, { recursive: true });
      }
    });

    it('are refused where there are more of them than are counted, or the unit is a client', () => {
      const { work, engine } = specOf(4);
      const refused = (privacy: PrivacySpec, evaluateEvery: number, message: RegExp) =>
        assert.throws(() => checkPrivacySpec({ work: { ...work, privacy }, engine: { ...engine, evaluateEvery } }), {
          code: 'invalid-argument',
          message,
        });
      refused(work.privacy!, 1, /^privacy\.tests\.evaluations: expected at least 2, got 1/);
      refused(
        { ...work.privacy!, mode: 'central', cohortMax: 4 },
        0,
        /^test-noise-multiplier: expected privacy example/,
      );
    });
  });
});
