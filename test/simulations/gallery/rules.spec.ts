/** Pages that a sceptic would not accept: each is tried, and refused or shown for what it is. */
import assert from 'node:assert/strict';
import type { Manifest } from '../../../client/workload.js';
import type { Report } from '../../../shared/run/report.js';
import { checkBars } from '../../../simulations/gallery/bars.js';
import { indexOf } from '../../../simulations/gallery/index-page.js';
import { meanInterval } from '../../../simulations/gallery/interval.js';
import { pageOf } from '../../../simulations/gallery/page.js';
import { enoughClients } from '../../../simulations/gallery/private-rows.js';
import { type Results, type RunFiles, resultsOf } from '../../../simulations/gallery/results.js';
import { checkPage } from '../../../simulations/gallery/rules.js';
import { sampleReport } from '../../server/report/sample.js';
import { toySpec } from '../../support/toy.js';

const metric = 'test.accuracy';
const bar = { metric, row: 'federated', against: 'local', atLeast: 0.1 } as const;
const manifest: Manifest = {
  ...{ name: 'cnn', topic: 'none', paper: 'none', data: 'none', privacyUnits: ['client'] },
  scales: {} as Manifest['scales'],
  headline: { metric, better: 'higher' },
  bars: [bar],
};

const accuracy = (value: number) => ({ [metric]: value });
const population = { examples: 100, sha256: 'a'.repeat(64) };
const tuned = {
  ...{ grid: [0.1, 0.3], seed: 99, metric: 'validation.accuracy', scores: [0.5, null], clientLr: 0.1 },
  ...{ stoppedAt: { c1: 2 }, budgetRounds: 12 },
};
const floors = Object.fromEntries(
  (['trivial', 'raw-features', 'untrained', 'classical'] as const).map((kind, i) => {
    return [kind, { label: `a ${kind} one`, kind, metrics: accuracy(0.1 * (i + 1)), perClient: {} }];
  }),
);

/** Five seeds that a page can be made of: federated 0.8, alone 0.5 and a little more with each seed. */
function runs(
  change: (baselines: Report['baselines'], seed: number) => Report['baselines'] = (same) => same,
): RunFiles[] {
  return [1, 2, 3, 4, 5].map((seed) => {
    const each = (c1: number, c2: number) => ({ c1: accuracy(c1), c2: accuracy(c2) });
    const baselines: Report['baselines'] = {
      ...{ floors, population },
      local: { metrics: accuracy(0.5 + seed / 100), perClient: each(0.7, 0.9), clients: 2, tuned },
      centralised: { metrics: accuracy(0.9), perClient: {}, tuned },
    };
    const sample = sampleReport({ rounds: 2, clients: 2 });
    const final = { metrics: accuracy(0.8), perClient: each(0.8, 0.8) };
    const report = { ...sample, seed, privacy: null, final, baselines: change(baselines, seed) };
    const facts = { version: '1', node: 'v20', createdAtMs: 0, spec: toySpec() };
    return { report, facts };
  });
}

const made = (files: readonly RunFiles[], about: Manifest = manifest): Results => {
  return resultsOf(files, { pictures: [], texts: [], ...about });
};
const refusal = (files: readonly RunFiles[], about: Manifest = manifest): string => {
  try {
    checkPage(about, made(files, about));
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return 'a page was made';
};

describe('a page', () => {
  it('is made of rows that have what they need', () => {
    assert.equal(refusal(runs()), 'a page was made');
    const page = pageOf(manifest, made(runs()));
    for (const piece of [
      '| Floor: a trivial one | **10.0 %** ± 0.0 % (10.0 %',
      '| Each client alone | 1 | 0.1: 50.0 %, 0.3: diverged | 0.1 | 2 | 12 of',
      'worse on their own test data (test accuracy), against alone: 1 of 2 with seed 1, 1 of 2 with seed 2',
      'SHA-256 of the federated model:',
    ]) {
      assert.ok(page.includes(piece), piece);
    }
  });

  it('is refused without a floor of each kind, or with one that says nothing', () => {
    for (const kind of Object.keys(floors)) {
      const { [kind]: _, ...others } = floors;
      const files = runs((baselines) => ({ ...baselines, floors: others }));
      assert.match(refusal(files), new RegExp(`floors: expected one that is ${kind}, .* got none`));
      const excused = { ...manifest, withoutFloors: { [kind]: 'there is none' } };
      assert.equal(refusal(files, excused), 'a page was made');
    }
    const silent = { ...floors, trivial: { ...floors.trivial, metrics: {} } };
    const once = runs((baselines, seed) => (seed === 3 ? { ...baselines, floors: silent } : baselines));
    assert.match(refusal(once), /floor\/trivial of seed 3: expected a figure of test.accuracy, got none/);
  });

  it('is refused with a reference row that nobody has tuned, or that was tuned by what it reports', () => {
    for (const name of ['local', 'centralised'] as const) {
      const without = runs((baselines, seed) => {
        return seed === 2 ? { ...baselines, [name]: { ...baselines[name], tuned: undefined } } : baselines;
      });
      assert.match(refusal(without), new RegExp(`${name} of seed 2: expected a rate that was chosen on validation`));
      const flattered = runs((baselines) => ({
        ...baselines,
        [name]: { ...baselines[name]!, tuned: { ...tuned, seed: 4 } },
      }));
      assert.match(
        refusal(flattered),
        new RegExp(`${name} of seed 1: expected .* a seed that does not report, got seed 4`),
      );
    }
  });

  it('is refused with one metric over two populations', () => {
    const other = { examples: 50, sha256: 'b'.repeat(64) };
    const again = { metrics: accuracy(0.7), perClient: {}, privacy: null, label: 'of others', population: other };
    const files = runs((baselines) => ({ ...baselines, federated: { others: again } }));
    const claimed = { ...manifest, bars: [{ ...bar, against: 'federated/others' as const }] };
    assert.match(
      refusal(files, claimed),
      /expected one population, got test examples 100 \(aaaaaaaa\) and 50 \(bbbbbbbb\)/,
    );
    const words = { ...manifest, populations: { accuracy: 'common images' } };
    const across = { ...words, bars: [{ ...bar, againstMetric: 'test.own' }] };
    assert.match(
      refusal(runs(), across),
      /expected one population, got common images and the test examples of whoever/,
    );
    // without a claim it is shown, in a table of its own
    const page = pageOf(manifest, made(files));
    const [first, second] = page.split('On other test examples, 50 (bbbbbbbb)');
    assert.ok(!first.includes('of others') && second.includes('| Federated, of others |'));
    // and what all have in common is nobody's own
    assert.match(pageOf(words, made(runs(), words)), /\| \*\*Federated\*\* \| \*\*80.0 %\*\* [^|]*\| – \|/);
  });

  it('of before floors were required says so, and shows no claim', () => {
    const old: Results = { ...made(runs()), schema: 'starling.gallery/1' };
    checkPage(manifest, old);
    assert.match(pageOf(manifest, old), /Made before floors were required/);
    assert.deepEqual(
      checkBars(manifest, made(runs())).map(({ verdict }) => verdict),
      ['met'],
    );
    assert.deepEqual(
      checkBars(manifest, old).map(({ verdict }) => verdict),
      ['not shown'],
    );
    assert.match(indexOf([{ manifest, results: old }]), /1 not shown \(made before floors were required\)/);
  });
});

describe('a private row', () => {
  const hidden = (epsilon: number, value: number, enough?: number) =>
    runs((baselines) => {
      const privacy = { mode: 'distributed', epsilon, delta: 1e-5, accountant: 'rdp', budget: null };
      return { ...baselines, private: { metrics: accuracy(value), perClient: {}, privacy } };
    }).map((run) => ({ ...run, enough: { private: enough } }));
  const claimed = { ...manifest, bars: [{ ...bar, row: 'private' as const }] };

  it('is one at a small ε and above every floor', () => {
    const results = made(hidden(9.9, 0.7));
    assert.match(pageOf(claimed, results), /\| Federated, private \(ε 9.9\) \| \*\*70.0 %/);
    assert.deepEqual(
      checkBars(claimed, results).map(({ verdict }) => verdict),
      ['met'],
    );
  });

  for (const [why, files, said] of [
    ['ε 30', hidden(30, 0.7, 400), 'too few clients: ε 30, above 10; 400 would be enough'],
    ['ε 30 in any crowd', hidden(30, 0.7), 'too few clients: ε 30, above 10; no number would be enough'],
    ['a figure at a floor', hidden(3, 0.4), 'too few clients: not above its floor: a classical one;'],
  ] as const) {
    it(`is too few clients with ${why}: no figure, and no claim`, () => {
      const results = made(files);
      const page = pageOf(claimed, results);
      assert.ok(page.includes(`| Federated, private: ${said}`), page);
      assert.ok(!/Federated, private[^|]*\| \*\*/.test(page.split('## Claims')[0]));
      assert.ok(!page.includes('ε = '));
      assert.deepEqual(
        checkBars(claimed, results).map(({ verdict }) => verdict),
        ['not shown'],
      );
      assert.match(indexOf([{ manifest: claimed, results }]), /too few clients/);
    });
  }

  it('has enough clients when each is invited so seldom that ε is 10', () => {
    const { work, engine } = toySpec({ rounds: 60, cohort: 4 });
    const privacy = {
      mode: 'central',
      clippingBound: 1,
      noiseMultiplier: 2,
      delta: 1e-5,
      cohortMax: 4,
      cohortMin: 4,
    } as const;
    const enough = enoughClients({ work: { ...work, privacy }, engine })!;
    // Gaussian mechanism, z = 2, k rounds: ρ = k / 8, and ε(ρ) is below ρ + 2 sqrt(ρ ln 1e5) (Bun and Steinke 2016, prop. 1.3),
    // 10 at ρ = 1.42, k = 11; the accountant is a little better. 60 · 4 / 11 = 21.8.
    assert.ok(enough <= 22 && enough >= 14, `${enough}`);
    const loud = { ...privacy, noiseMultiplier: 0.2 };
    assert.equal(enoughClients({ work: { ...work, privacy: loud }, engine }), undefined);
  });
});

describe('a claim whose interval does not clear the bar', () => {
  it('is not shown, or not met where all of it misses', () => {
    // differences 0.29 .. 0.25, mean 0.27, s = 0.0158: ± 2.776 · 0.0158 / sqrt(5) = 0.0196
    const verdict = (atLeast: number) =>
      checkBars({ ...manifest, bars: [{ ...bar, atLeast }] }, made(runs()))[0].verdict;
    assert.deepEqual([0.25, 0.26, 0.28, 0.29].map(verdict), ['met', 'not shown', 'not shown', 'not met']);
  });

  it('is by Student’s t, and one seed shows nothing', () => {
    const { low, high } = meanInterval([1, 2, 3, 4, 5])!;
    assert.ok(Math.abs(high - low - (2 * 2.776445 * Math.sqrt(2.5)) / Math.sqrt(5)) < 1e-5); // t of four degrees: tables
    assert.equal(meanInterval([1]), undefined);
    assert.deepEqual(
      checkBars(manifest, made(runs().slice(0, 1))).map(({ verdict }) => verdict),
      ['not shown'],
    );
  });

  it('of each client is judged by seed and client', () => {
    const each = { metric, row: 'federated', against: 'local', on: 'each' } as const;
    const verdict = (atLeast: number) => {
      const about = { ...manifest, bars: [{ ...each, atLeast }] };
      return checkBars(about, made(runs(), about))[0].verdict;
    };
    // c1 gains 0.1, c2 loses 0.1, in every seed
    assert.deepEqual([-0.11, 0, 0.2].map(verdict), ['met', 'not met', 'not met']);
  });
});
