/** Degrees and thresholds against published rows, and the shape of the graph. */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import {
  type Adversary,
  buildGraph,
  derivedOrder,
  graphParameters,
  hararyParameters,
} from '../../../shared/secagg/graph.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';

// google-parfait/federated-compute, fcp/secagg/server/graph_parameter_finder_test.cc (commit bdbd822): degree/threshold
// for 100, 1,000, 10,000 and 1,000,000 clients; its "semi-malicious" is our "lying".
const ROWS: readonly [Adversary, number, number, readonly string[]][] = [
  ['curious', 0.05, 0.05, ['12/6', '30/17', '34/20', '38/22']],
  ['curious', 0.05, 0.33, ['28/6', '72/24', '86/29', '102/34']],
  ['curious', 0.33, 0.05, ['34/29', '78/60', '92/70', '110/83']],
  ['curious', 0.33, 0.33, ['68/34', '286/150', '422/221', '518/270']],
  ['curious', 0.45, 0.45, ['92/46', '822/417', '3494/1771', '6240/3156']],
  ['lying', 0.05, 0.05, ['16/11', '52/37', '62/44', '74/52']],
  ['lying', 0.33, 0.05, ['42/37', '132/109', '178/146', '212/173']],
  ['lying', 0.05, 0.33, ['72/39', '398/223', '746/420', '970/545']],
  ['lying', 0.3, 0.3, ['92/62', '872/584', '4822/3230', '11136/7454']],
];

describe('secagg graph parameters', () => {
  for (const [adversary, adversaryFraction, dropFraction, expected] of ROWS) {
    it(`${adversary} server, ${adversaryFraction} corrupt, ${dropFraction} drop out: ${expected.join(' ')}`, () => {
      const found = [100, 1000, 10_000, 1_000_000].map((cohort) => {
        const { degree, threshold } = hararyParameters(cohort, { adversaryFraction, dropFraction }, adversary);
        return `${degree}/${threshold}`;
      });
      assert.deepEqual(found, expected);
    });
  }

  it('gives the published rows of ten clients', () => {
    const row = (adversary: Adversary, adversaryFraction: number): object =>
      hararyParameters(10, { adversaryFraction, dropFraction: 0.05 }, adversary);
    assert.deepEqual(row('curious', 0.05), { degree: 2, threshold: 2 });
    assert.deepEqual(row('lying', 0.05), { degree: 2, threshold: 2 });
    assert.deepEqual(row('lying', 0.33), { degree: 4, threshold: 4 });
  });

  it('throws where no graph is safe, and never lowers the bar instead', () => {
    const infeasible = (error: unknown): boolean => error instanceof FlError && error.code === 'failed-precondition';
    assert.throws(() => graphParameters(1000, { adversaryFraction: 0.33, dropFraction: 0.33 }), infeasible);
    for (const cohort of [100, 1000, 10_000]) {
      const half = { adversaryFraction: 0.5, dropFraction: 0.5 };
      assert.throws(() => hararyParameters(cohort, half, 'curious'), infeasible);
      assert.throws(() => graphParameters(cohort, half), infeasible);
    }
    assert.throws(() => graphParameters(2, { adversaryFraction: 0, dropFraction: 0 }), infeasible);
    assert.throws(() => graphParameters(1000, { adversaryFraction: Number.NaN, dropFraction: 0 }), infeasible);
  });

  it('takes the complete graph up to 128 clients, with a majority that no split of the honest reaches twice', () => {
    for (let cohort = 3; cohort <= 128; cohort++) {
      const { degree, threshold } = graphParameters(cohort, { adversaryFraction: 0.1, dropFraction: 0 });
      const corrupt = Math.floor(cohort / 10 + 1e-9);
      assert.equal(degree, cohort - 1);
      assert.ok(2 * (threshold - corrupt) > degree - corrupt, `${cohort}`);
    }
    // 100 clients, 10 corrupt: floor((99 + 10) / 2) + 1 = 55
    assert.equal(graphParameters(100, { adversaryFraction: 0.1, dropFraction: 0.2 }).threshold, 55);
    // 0.29 of 100 is 29, though 0.29 * 100 is less: floor((99 + 29) / 2) + 1 = 65
    assert.equal(graphParameters(100, { adversaryFraction: 0.29, dropFraction: 0 }).threshold, 65);
    assert.equal(graphParameters(129, { adversaryFraction: 0.05, dropFraction: 0.05 }).degree < 128, true);
  });
});

describe('secagg graph', () => {
  const frozen = { aggregationId: new Uint8Array(32).fill(1), rosterRoot: new Uint8Array(32).fill(2) };

  it('is regular, symmetric and without loops', () => {
    for (const [cohort, degree] of [
      [5, 4],
      [128, 127],
      [129, 20],
      [200, 52],
    ] as const) {
      const graph = buildGraph(nodeSuite, { ...frozen, cohort }, { degree, threshold: 3 });
      for (let u = 0; u < cohort; u++) {
        const around = graph.neighbours(u);
        assert.equal(new Set(around).size, degree);
        assert.ok(!around.includes(u));
        assert.deepEqual(
          around,
          around.toSorted((a, b) => a - b),
        );
        for (const v of around) assert.ok(graph.neighbours(v).includes(u));
      }
    }
  });

  it('stands in an order that the roster fixes and that is not the order of arrival', () => {
    const order = (rosterRoot: Uint8Array): number[] => [
      ...derivedOrder(nodeSuite, { ...frozen, rosterRoot, label: 'ring' }, 1000),
    ];
    const first = order(new Uint8Array(32).fill(2));
    assert.deepEqual(order(new Uint8Array(32).fill(2)), first);
    assert.notDeepEqual(order(new Uint8Array(32).fill(3)), first);
    assert.deepEqual(
      first.toSorted((a, b) => a - b),
      Array.from({ length: 1000 }, (_, i) => i),
    );
    const kept = first.filter((index, i) => first[i + 1] === index + 1).length;
    assert.ok(kept < 10, `${kept} of 999 pairs kept their neighbour; one is expected of a random order`);
  });

  it('is drawn without bias: a word beyond the last whole multiple of what is left is passed over', () => {
    const words = new DataView(new ArrayBuffer(12));
    for (const [i, word] of [2 ** 32 - 1, 1, 0].entries()) words.setUint32(4 * i, word, true);
    const keystream = () => ({ next: () => new Uint8Array(words.buffer) });
    const order = derivedOrder({ ...nodeSuite, keystream }, { ...frozen, label: 'ring' }, 3);
    assert.deepEqual([...order], [2, 0, 1]); // 2^32 - 1 is 0 modulo 3: passed over; 1: [0, 2, 1]; 0: [2, 0, 1]
  });
});
