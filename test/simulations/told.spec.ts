/**
 * Whatever changes a result is told where people look: real simulations of a workload as users write them, on the paths
 * where values are clamped, weights capped, metrics put on a grid, evaluations missing and headlines made of sums.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plainLines } from '../../cli/terminal/lines.js';
import { resultLines } from '../../cli/terminal/result.js';
import { advance, initialProgress } from '../../cli/terminal/state.js';
import { selectBackend } from '../../client/backends/index.js';
import { createTaskRunner } from '../../client/training/task.js';
import type { Workload } from '../../client/workload.js';
import { checkRun } from '../../server/run/check.js';
import { readRun } from '../../server/run/directory.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { simulate } from '../../simulations/simulate.js';
import prices from '../fixtures/workloads/prices.js';

const SECURE = { 'secure-aggregation': true };

describe('a run', () => {
  const directories: string[] = [];
  before(() => selectBackend('cpu'));
  after(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))));

  /** The run, what a log says of it line by line, its last words, its page, and what the sites' own logs say. */
  async function run(given: object, workload: Workload = prices as Workload) {
    const directory = await mkdtemp(join(tmpdir(), 'starling-told-'));
    directories.push(directory);
    const resolved = resolve(checkConfig({ workload: 'prices', rounds: 2, ...given }, 'test'), workload);
    const { headline } = workload.manifest;
    const state = initialProgress(resolved.spec.work.rounds, headline);
    const lines: string[] = [];
    const notices: { client: string; fields: Record<string, unknown> }[] = [];
    const { report, html } = await simulate({
      ...{ ...resolved, workload, directory, backend: 'cpu', workers: 1, transport: 'memory', dropout: 0 },
      trainer: createTaskRunner({ loadWorkload: async () => workload }),
      baselines: 'none',
      onEvent(event) {
        advance(state, event);
        lines.push(...plainLines(state, event));
      },
      onNotice: (client, message, fields) => {
        if (message === 'lossy' || message === 'task failed') notices.push({ client, fields: { ...fields } });
      },
    });
    assert.equal(report.status, 'completed');
    const page = await readFile(html, 'utf8');
    return { report, lines, last: resultLines(report, { headline }), page, notices, directory };
  }

  const warnings = (lines: readonly string[]) => lines.filter((line) => line.startsWith('WARNING'));

  it('whose updates are clamped says so in each round, at the end, on its page and at the sites, with what mends it', async () => {
    const { report, lines, last, page, notices } = await run({ ...SECURE, 'value-range': 1 });
    const words = '100 % of the update was beyond value-range 1 and was clamped';
    assert.match(warnings(lines)[0], new RegExp(`^WARNING  round 1/2  ${words}: raise value-range to about 256;`));
    assert.match(warnings(last)[0], new RegExp(`${words} in all rounds: raise value-range to about 256`));
    assert.ok(page.includes(words));
    assert.equal(report.lossy?.clamped, 1);
    assert.deepEqual(report.lossy?.valueRange, { is: 1, enough: 256 });
    assert.deepEqual([...new Set(notices.map(({ client }) => client))].sort(), ['c1', 'c2', 'c3', 'c4']);
    assert.match(
      String(notices[0].fields.told),
      /^100 % of this update was beyond value-range 1 .* have to be about \d+$/,
    );
  });

  it('of which nobody says a range takes that of the next round from what this one would have needed', async () => {
    const [masked, plain] = [await run({ ...SECURE, rounds: 8 }), await run({ rounds: 8 })];
    assert.deepEqual(
      masked.report.rounds.map(({ lossy }) => lossy?.clamped),
      [1, 0, 0, 0, 0, 0, 0, 0],
    );
    const words = 'raise value-range to about 256 from the start; later rounds use 256';
    assert.ok(warnings(masked.lines)[0].endsWith(words), masked.lines.join('\n'));
    assert.equal(warnings(masked.lines).length, 1);
    // one round behind, of eight after which nothing moves any more; it was 249
    const [a, b] = [masked, plain].map(({ report }) => report.final.metrics['test.rmse']);
    assert.ok(Math.abs(a - b) < 0.05, `${a} ${b}`);
    const checked = await checkRun(masked.directory);
    assert.ok(checked.ok, JSON.stringify(checked));
    const { spec } = await readRun(masked.directory);
    assert.deepEqual([spec.engine.adaptiveRange, spec.work.secure?.valueRange], [true, 1]);
    assert.equal((await readRun(masked.directory)).state.valueRange, 256);
  });

  it('at the range that its warning names ends where the plain one does, and warns of nothing', async () => {
    const [masked, plain] = [await run({ ...SECURE, 'value-range': 256 }), await run({})];
    assert.deepEqual(warnings([...masked.lines, ...masked.last]), []);
    assert.deepEqual([masked.report.lossy?.clamped, masked.report.lossy?.cappedWeights], [0, 0]);
    // Half a step of the grid for each parameter and round: 256 / (2^19 - 1) = 5e-4, with errors of about 17.
    const [a, b] = [masked, plain].map(({ report }) => report.final.metrics['test.rmse']);
    assert.ok(Math.abs(a - b) < 1e-2, `${a} ${b}`);
    // and the loss of training, which is 16 times its declared bound and more
    const [c, d] = [masked, plain].map(({ report }) => report.rounds[0].metrics['train.loss']);
    assert.ok(c > 10_000 && Math.abs(c - d) < 1e-6 * d, `${c} ${d}`);
  });

  it('counts a share of clamped elements that is no warning in its lines, and never as 0', async () => {
    // One of 1,000 elements beyond the range at one of four clients.
    const wide = { ...prices, ...sparse(999) } as Workload;
    const { report, lines } = await run({ ...SECURE, rounds: 1 }, wide);
    const { clamped } = report.rounds[0].lossy!;
    // 1/4000, up to a step of the grid, 2^-19
    assert.ok(clamped! >= 1 / 4000 && clamped! < 1 / 4000 + 2 ** -19, `${clamped}`);
    assert.ok(
      lines.some((line) => line.includes('  clamped less than 0.1 %  ')),
      lines.join('\n'),
    );
    assert.deepEqual(warnings(lines), []);
  });

  it('says whose examples do not all count, by how many and with the cap that would do', async () => {
    const { report, lines } = await run({ ...SECURE, 'value-range': 256, 'weight-cap': 30 });
    // 100 examples each, between 2 and 4 times the cap
    const words = '4 clients of a round had more examples than weight-cap 30 counts: raise weight-cap to about 120';
    assert.ok(warnings(lines)[0].endsWith(words), lines.join('\n'));
    assert.deepEqual([report.lossy?.cappedWeights, report.lossy?.weightCap], [8, { is: 30, enough: 120 }]);
  });

  it('has the figure of the plain run however generous the bound of a masked metric is, and its resolution beside it', async () => {
    const plain = await run({ hyper: { bound: 1e6 } });
    for (const bound of [1e-3, 1e12, 1e30]) {
      const { report, page } = await run({ ...SECURE, 'value-range': 256, hyper: { bound } });
      const [got, expected] = [report, plain.report].map(({ final }) => final.metrics['test.rmse']);
      assert.ok(Math.abs(got - expected) < 1e-2, `${got} for ${expected} at ${bound}`);
      const { resolution } = report.rounds[1];
      assert.ok(resolution!['test.rmse'] < 1e-9 && resolution!['test.rmse'] > 0);
      assert.ok(page.includes('Resolution'));
    }
  });

  it('whose evaluation fails at one client says over whom its figures are, and why, in each round and at the end', async () => {
    const { report, lines, last, page, notices } = await run({ hyper: { 'bad-site': 2 } });
    const why = "an example here is not finite; which one is in the site's own log";
    const words = `test figures are pooled over 3 of 4 clients, 300 examples; c2 failed: ${why}`;
    const evaluated = { clients: 3, examples: 300, missing: [{ client: 'c2', reason: 'failed', detail: why }] };
    assert.deepEqual(report.evaluated, evaluated);
    assert.deepEqual(
      report.rounds.map((round) => round.evaluated),
      [evaluated, evaluated],
    );
    for (const said of [warnings(lines)[0], warnings(last)[0]]) assert.ok(said.endsWith(words), said);
    assert.ok(lines.some((line) => /test\.rmse .* {2}of 3 of 4 clients, 300 examples/.test(line)));
    assert.ok(page.includes('3 of 4 clients, 300 examples'));
    const own = /^an input of test example \d+ is NaN \(\w+\): metric "squared-error" of the test split is not finite$/;
    assert.equal(notices[0].client, 'c2');
    assert.match(String(notices[0].fields.message), own);
  });

  it('says under secure aggregation how many sent zeros, and of whom nothing', async () => {
    const { report, last } = await run({ ...SECURE, 'value-range': 256, hyper: { 'bad-site': 2 } });
    assert.deepEqual(report.evaluated, { clients: 3, examples: 300, missing: [] });
    assert.ok(
      warnings(last).some((line) =>
        line.endsWith('pooled over 3 of 4 clients, 300 examples; 1 sent zeros, and their own logs say why'),
      ),
      last.join('\n'),
    );
    assert.ok(!JSON.stringify(report).includes('c2'));
  });

  it('says nothing of the kind where all is well', async () => {
    const { report, lines, last } = await run({});
    assert.deepEqual(report.evaluated, { clients: 4, examples: 400, missing: [] });
    assert.deepEqual([warnings([...lines, ...last]), report.lossy], [[], undefined]);
    assert.ok(last.includes('tested   test figures are pooled over 4 clients, 400 examples'), last.join('\n'));
  });

  it('shows one headline, made of sums, in every line, every round and at the end', async () => {
    for (const given of [{}, SECURE]) {
      const { report, lines, last } = await run(given);
      assert.deepEqual(report.headline, { metric: 'test.rmse', better: 'lower' });
      for (const { round, metrics } of report.rounds) {
        assert.ok(Math.abs(metrics['test.rmse'] - Math.sqrt(metrics['test.squared-error'])) < 1e-9);
        assert.ok(lines.some((line) => line.startsWith(`round ${round}/2`) && line.includes('test.rmse')));
      }
      assert.equal(report.rounds[1].metrics['test.rmse'], report.final.metrics['test.rmse']);
      assert.ok(last.some((line) => line.startsWith('test.rmse (less is better)')));
    }
  });

  it('shows a headline that only code can make in every line and round, too', async () => {
    const byCode = {
      ...prices,
      finish: ({ 'squared-error': { sum, count } }) => ({ rmse: Math.sqrt(sum[0] / count) + sum[0] / 1e9 }),
    } as Workload;
    const { report, lines } = await run({}, byCode);
    for (const { metrics } of report.rounds) assert.ok(metrics['test.rmse'] > Math.sqrt(metrics['test.squared-error']));
    assert.equal(report.rounds[1].metrics['test.rmse'], report.final.metrics['test.rmse']);
    assert.ok(lines.some((line) => line.startsWith('round 1/2') && line.includes('test.rmse')));
  });

  it('tells under privacy the sites alone what clipping leaves of an update', async () => {
    const { report, lines, notices } = await run({ privacy: 'central', 'noise-multiplier': 1 });
    assert.equal(report.lossy, undefined);
    assert.deepEqual(warnings(lines), []);
    assert.match(
      String(notices[0].fields.cause),
      /^the norm of this update is \d+, and clipping-bound 1 left .* of it/,
    );
    const masked = await run({ ...SECURE, privacy: 'distributed', cohort: 4 });
    assert.ok(masked.report.rounds.every((round) => round.lossy === undefined));
  });

  it('says what the encoding of its updates has lost', async () => {
    const { report, lines, last, page, notices } = await run({ compression: 'top-k:0.5' });
    // of two parameters the larger stays: what is lost is the smaller by the norm of both
    const { encoding } = report.lossy!;
    assert.ok(encoding! > 0.05 && encoding! < 0.7, `${encoding}`);
    assert.ok(lines.some((line) => /compression lost \d+/.test(line)));
    const words = 'of the updates in all rounds, by their norm, and nothing of it is sent later';
    assert.ok(warnings(last)[0].includes(words) && page.includes(words), last.join('\n'));
    assert.match(String(notices[0].fields.told), /^compression top-k:0.5 lost [\d.]+ % of this update$/);
    for (const compression of ['f16', 'int8']) {
      const small = await run({ compression });
      const note = /compression lost (less than )?[\d.]+ % of the updates/;
      assert.equal(small.lines.filter((line) => note.test(line)).length, 2, small.lines.join('\n'));
      assert.ok(
        small.last.some((line) => line.startsWith('lossy    ') && note.test(line)),
        small.last.join('\n'),
      );
      assert.match(small.page.replace(/\s+/g, ' '), note);
      assert.ok(small.page.includes(`compression ${compression}`), 'among the settings of its page');
      assert.deepEqual(warnings([...small.lines, ...small.last]), []);
    }
    assert.ok(!(await run({})).last.some((line) => line.startsWith('lossy')));
  });

  it('judged by some of its clients, drawn by lot, says of how many and how they were chosen', async () => {
    const { report, lines, last, page } = await run({ 'evaluate-clients': 1 });
    assert.deepEqual([report.evaluated?.clients, report.evaluated?.asked], [1, { of: 4, by: 'lot' }]);
    const ended = lines.filter((line) => line.startsWith('round '));
    assert.ok(
      ended.every((line) => / {2}of 1 of 4 clients, \d+ examples {2}/.test(line)),
      lines.join('\n'),
    );
    const words =
      /test figures are pooled over 1 of 4 clients, \d+ examples; evaluate-clients has that many drawn by lot/;
    assert.ok(
      last.some((line) => words.test(line)),
      last.join('\n'),
    );
    assert.match(page, /1 of 4 clients, /);
    const all = await run({});
    assert.equal(all.report.evaluated?.asked, undefined);
    assert.ok(all.last.some((line) => line.includes('pooled over 4 clients, ')));
    const masked = await run({ ...SECURE, 'value-range': 256, 'evaluate-clients': 3 });
    assert.deepEqual(masked.report.evaluated?.asked, { of: 4, by: 'lot' });
  });
});

/** A model of `size` numbers and one, of which the first client moves one by 10. */
function sparse(size: number): Partial<Workload> {
  return {
    init: () => ({
      shared: {
        kernel: { shape: [1, 1], data: new Float32Array(1) },
        bias: { shape: [size], data: new Float32Array(size) },
      },
    }),
    async train(shared, _, __, { shard, phase }) {
      const total = phase.channels[0].tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      const values = new Float32Array(total);
      if (shard.index === 0) values[5] = 10;
      const weights = phase.channels[0].tensors.map(() => shard.train.length);
      return { contribution: { values, weights, metrics: {} }, private: {} as typeof shared };
    },
  };
}
