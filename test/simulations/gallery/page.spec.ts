import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bar, Manifest } from '../../../client/workload.js';
import type { Report } from '../../../shared/run/report.js';
import { checkBars } from '../../../simulations/gallery/bars.js';
import { indexOf } from '../../../simulations/gallery/index-page.js';
import { renderAll } from '../../../simulations/gallery/make.js';
import { pageOf } from '../../../simulations/gallery/page.js';
import { type RunFacts, resultsOf } from '../../../simulations/gallery/results.js';
import { ROOT } from '../../e2e/support.js';
import { sampleReport } from '../../server/report/sample.js';
import { toySpec } from '../../support/toy.js';

const facts: RunFacts = {
  version: '1.2.3',
  node: 'v20.1.0',
  machine: { cores: 7, platform: 'linux x64' },
  createdAtMs: Date.UTC(2026, 10, 24, 23, 59),
  spec: toySpec(),
};

const manifest: Manifest = {
  name: 'cnn',
  topic: 'Power of | CNNs',
  paper: 'A *paper*',
  data: 'MNIST',
  scales: {} as Manifest['scales'],
  privacyUnits: ['client'],
  headline: { metric: 'accuracy', better: 'higher' },
  published: [{ metric: 'test.accuracy', value: 0.99, source: 'Table 2', note: 'larger model' }],
};

/** Seeds 1 and 2: federated 0.9 and 0.8, alone 0.5 and 0.3 (best 0.6 and 0.5), in one place 0.95 and 0.97. */
function runs(): { report: Report; facts: RunFacts }[] {
  return [
    { seed: 2, fed: 0.8, alone: 0.3, best: 0.5, central: 0.97 },
    { seed: 1, fed: 0.9, alone: 0.5, best: 0.6, central: 0.95 },
  ].map(({ seed, fed, alone, best, central }) => {
    const sample = sampleReport({ rounds: 2, clients: 2 });
    const accuracy = (value: number) => ({ 'test.accuracy': value });
    const perClient = { c1: accuracy(alone + 0.1), c2: accuracy(alone + 0.2) };
    const local = { metrics: accuracy(alone), perClient, best: { client: 'c2', metrics: accuracy(best) }, clients: 2 };
    const report: Report = {
      ...sample,
      seed,
      privacy: null,
      command: `starling simulate --workload cnn --out /tmp/x --seed ${seed}`,
      final: { metrics: accuracy(fed), perClient: { c1: accuracy(fed), c2: accuracy(fed - 0.2) } },
      baselines: { local, centralised: { metrics: accuracy(central), perClient: {} } },
    };
    return { report, facts };
  });
}

const results = resultsOf(runs(), { pictures: [{ file: 'a.png', title: 'A' }], texts: [{ title: 'B', text: '```' }] });

describe("a workload's page", () => {
  const page = pageOf(manifest, results);

  it('has each row: the mean over seeds and each seed, on all test data and on its own', () => {
    for (const line of [
      '| Each client alone | **40.0 %** ± 127.1 % (50.0 %, 30.0 %) | **55.0 %** ± 127.1 % (65.0 %, 45.0 %) |',
      '| Best client alone | **55.0 %** ± 63.5 % (60.0 %, 50.0 %) | **60.0 %** ± 127.1 % (70.0 %, 50.0 %) |',
      '| **Federated** | **85.0 %** ± 63.5 % (90.0 %, 80.0 %) | **75.0 %** ± 63.5 % (80.0 %, 70.0 %) |',
      '| All data in one place | **96.0 %** ± 12.7 % (95.0 %, 97.0 %) | – |',
    ]) {
      assert.ok(page.includes(`\n${line}\n`), line);
    }
  });

  it('has the published figure beside ours, the cost, the pictures, the commands and the machine', () => {
    for (const piece of [
      '| test accuracy | 99.0 % | **85.0 %** ± 63.5 % (90.0 %, 80.0 %) | Table 2 | larger model |',
      'In a round 1 MB go up and 2 MB down, evaluation included: 500 kB and 1 MB for each of 2 clients.',
      '![A](cnn/a.png)',
      '````\n```\n````',
      'starling simulate --workload cnn --seed 1\nstarling simulate --workload cnn --seed 2\n',
      'Run on 7 cores (linux x64), Node v20.1.0, back end wasm, starling 1.2.3, 2026-11-24.',
      '# cnn: Power of \\| CNNs',
      'Paper: A \\*paper\\*.',
    ]) {
      assert.ok(page.includes(piece), piece);
    }
  });

  it('is listed with what it reached', () => {
    const index = indexOf([{ manifest, results }, { manifest: { ...manifest, name: 'gcn' } }]);
    assert.ok(
      index.includes(
        '| [cnn](cnn.md) | Power of \\| CNNs | test accuracy | – | 40.0 % | 55.0 % | 85.0 % | 96.0 % | – | none made |',
      ),
    );
    assert.ok(index.includes('| gcn | Power of \\| CNNs | accuracy | – | – | – | – | – | – | not run yet |'));
  });

  it('names whose training failed', () => {
    const [first, second] = runs();
    const { local } = first.report.baselines;
    const failures = { c3: 'loss is not finite' };
    const report = { ...first.report, baselines: { ...first.report.baselines, local: { ...local!, failures } } };
    const text = pageOf(manifest, resultsOf([{ ...first, report }, second], { pictures: [], texts: [] }));
    assert.ok(text.includes('\nSeed 2: c3 failed (loss is not finite).\n'));
  });

  it('tells what the private federation spends', () => {
    const privacy = { mode: 'distributed', epsilon: 4.25, delta: 1e-5, accountant: 'pld', budget: null };
    const hidden = runs().map(({ report, ...rest }) => {
      const row = { metrics: { 'test.accuracy': 0.7 }, perClient: {}, privacy };
      return { ...rest, report: { ...report, baselines: { ...report.baselines, private: row } } };
    });
    const text = pageOf(manifest, resultsOf(hidden, { pictures: [], texts: [] }));
    assert.ok(text.includes('\n| Federated, private (ε 4.25) | **70.0 %** ± 0.0 % (70.0 %, 70.0 %) | – |\n'));
    const spent = 'ε = 4.25 at δ = 0.00001 for each client as a whole (`distributed`), under secure aggregation.';
    assert.ok(text.includes(`\nFederated, private: ${spent}`));
  });
});

/** With a loss beside the accuracy: 0.5 and 0.7 federated, 0.8 and 1.2 alone. */
function withLosses() {
  const found = runs().map(({ report, facts }, i) => {
    const [alone, loss] = i === 0 ? [1.2, 0.7] : [0.8, 0.5];
    const local = { ...report.baselines.local!, metrics: { ...report.baselines.local!.metrics, 'test.loss': alone } };
    const final = { ...report.final, metrics: { ...report.final.metrics, 'test.loss': loss } };
    return { facts, report: { ...report, final, baselines: { ...report.baselines, local } } };
  });
  return resultsOf(found, { pictures: [], texts: [] });
}

describe('a claim', () => {
  const metric = 'test.accuracy';
  const check = (bar: Bar) => {
    const [{ verdict, found, required, claim }] = checkBars({ ...manifest, bars: [bar] }, results);
    return { verdict, found: found === null ? null : Number(found.toFixed(6)), required, claim };
  };

  it('compares two rows on the mean over seeds, by difference or by ratio', () => {
    // 0.85 - 0.40 = 0.45; 0.85 - 0.96 = -0.11; 0.85 / 0.96 = 0.885417
    assert.deepEqual(check({ metric, row: 'federated', against: 'local', atLeast: 0.45 - 1e-9 }), {
      verdict: 'not shown', // two seeds 0.1 apart: ± 12.706 · 0.1 / 2
      found: 0.45,
      required: '≥ +45.0 points',
      claim: 'federated − each client alone: test accuracy',
    });
    const near = check({ metric, row: 'federated', against: 'centralised', atLeast: -0.1 });
    assert.deepEqual([near.verdict, near.found, near.required], ['not shown', -0.11, '≥ −10.0 points']);
    const ratio = check({ metric, row: 'federated', against: 'centralised', by: 'ratio', atLeast: 0.8, atMost: 0.9 });
    assert.deepEqual([ratio.verdict, ratio.found, ratio.required], ['not shown', 0.885417, '≥ × 0.8 and ≤ × 0.9']);
  });

  it('may be of one row alone, and of own test data', () => {
    const alone = check({ metric, row: 'local-best', atMost: 0.5 });
    assert.deepEqual([alone.verdict, alone.found, alone.required], ['not shown', 0.55, '≤ 50.0 %']);
    // 0.80 - 0.65 and 0.70 - 0.45: 0.2 ± 12.706 · 0.05
    const own = { metric, row: 'federated', on: 'own', against: 'local' } as const;
    assert.deepEqual(
      [-0.43, -0.44, 0.83, 0.84].map((atLeast) => check({ ...own, atLeast }).verdict),
      ['not shown', 'met', 'not shown', 'not met'],
    );
  });

  it('may be made of each client, and is then about the one that is furthest from keeping it', () => {
    // Seed 1: c1 0.9 - 0.6, c2 0.7 - 0.7; seed 2: c1 0.8 - 0.4, c2 0.6 - 0.5. Means: c1 0.35, c2 0.05.
    const bar = { metric, row: 'federated', against: 'local', on: 'each', atLeast: 0.2 } as const;
    const each = resultsOf(runs(), { pictures: [], texts: [], bars: [bar] });
    const [{ verdict, found, bySeed, claim }] = checkBars({ ...manifest, bars: [bar] }, each);
    assert.deepEqual(
      [verdict, found?.toFixed(3), bySeed.map((value) => value?.toFixed(3))],
      ['not shown', '0.050', ['0.000', '0.100']],
    );
    assert.equal(
      claim,
      'federated − each client alone: test accuracy, own test data of each client, the worst of them',
    );
    const { atLeast: _, ...rest } = bar;
    const [most] = checkBars({ ...manifest, bars: [{ ...rest, atMost: 0.2 }] }, each);
    assert.deepEqual([most.verdict, most.found?.toFixed(3)], ['not shown', '0.350']);
  });

  it('may be the mean of what is gained in several figures, each as a share of what it was', () => {
    const gainsOf = [
      { metric, better: 'higher' },
      { metric: 'test.loss', better: 'lower' },
    ] as const;
    // accuracy: 0.85 over 0.40, a gain of 1.125; loss: 0.5 and 0.7 against 0.8 and 1.2, a gain of 0.4
    const bar = { metric: 'Δm', row: 'federated', against: 'local', gainsOf, atLeast: 0.7 } as const;
    const [{ verdict, found, claim, required, format }] = checkBars({ ...manifest, bars: [bar] }, withLosses());
    assert.deepEqual([verdict, found?.toFixed(4)], ['not shown', '0.7625']);
    assert.equal(`${claim} ${required} ${format(found!)}`, 'federated over each client alone: Δm ≥ +70.0 % +76.3 %');
  });

  it('is not shown where a figure is missing', () => {
    const missing = check({ metric, row: 'private', against: 'local', atLeast: -1 });
    assert.deepEqual([missing.verdict, missing.found], ['not shown', null]);
    assert.equal(check({ metric: 'test.nothing', row: 'federated', atMost: 1 }).verdict, 'not shown');
  });
});

describe('results', () => {
  const none = { pictures: [], texts: [] };

  it('are of one configuration and of different seeds', () => {
    const [first, second] = runs();
    assert.throws(() => resultsOf([first, first], none), { message: 'runs: seed 2 twice' });
    const other = { ...second.report, scale: 'full' };
    assert.throws(() => resultsOf([first, { ...second, report: other }], none), /expected one configuration/);
  });

  it('are of runs that ended well and have baselines', () => {
    const [{ report }] = runs();
    assert.throws(() => resultsOf([{ facts, report: { ...report, status: 'failed' } }], none), /got failed/);
    assert.throws(() => resultsOf([{ facts, report: { ...report, baselines: {} } }], none), /needs --baselines all/);
  });
});

describe('the pages in docs/workloads', () => {
  it('are what their results say; if not: npm run gallery -- --render', async () => {
    const out = join(ROOT, 'docs', 'workloads');
    for (const [file, content] of Object.entries(await renderAll(out))) {
      assert.equal(await readFile(join(out, file), 'utf8'), content, file);
    }
  });
});
