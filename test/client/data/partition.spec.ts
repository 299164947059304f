import assert from 'node:assert/strict';
import fc from 'fast-check';
import { apportion, type Examples, parseScheme, partition } from '../../../client/data/partition.js';
import { rngFromSeed } from '../../../shared/rng.js';

/** `count` examples whose label is i mod `classes`, in groups of i mod `groups`. */
function examples(count: number, classes: number, groups = 7): Examples {
  const range = Array.from({ length: count }, (_, i) => i);
  return { count, labels: Int32Array.from(range, (i) => i % classes), groups: range.map((i) => `g${i % groups}`) };
}

const SCHEMES = ['iid', 'dirichlet:0.01', 'dirichlet:1', 'dirichlet:1000', 'shards:2', 'natural'];

function histogram(indices: Int32Array, { labels }: Examples, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const i of indices) counts[labels![i]]++;
  return counts;
}

describe('partition', () => {
  for (const scheme of SCHEMES) {
    it(`${scheme}: gives every example to exactly one client, every client something, and repeats by seed`, () => {
      const sizes = fc.record({
        clients: fc.integer({ min: 1, max: 7 }),
        train: fc.integer({ min: 14, max: 300 }),
        test: fc.integer({ min: 0, max: 100 }),
        classes: fc.integer({ min: 1, max: 5 }),
        seed: fc.integer(),
      });
      fc.assert(
        fc.property(sizes, ({ clients, train, test, classes, seed }) => {
          const options = { scheme, clients, train: examples(train, classes), test: examples(test, classes) };
          const parts = partition(options, rngFromSeed(seed));
          for (const [split, count] of [
            [parts.train, train],
            [parts.test, test],
          ] as const) {
            assert.equal(split.length, clients);
            const all = split.flatMap((indices) => [...indices]).sort((a, b) => a - b);
            assert.deepEqual(
              all,
              Array.from({ length: count }, (_, i) => i),
            );
            for (const indices of split) assert.deepEqual(indices, indices.toSorted());
          }
          assert.ok(parts.train.every(({ length }) => length > 0));
          assert.deepEqual(partition(options, rngFromSeed(seed)), parts);
        }),
      );
    });
  }

  it('depends on the seed', () => {
    const options = { clients: 4, train: examples(100, 4), test: examples(20, 4) };
    for (const scheme of ['iid', 'dirichlet:1', 'shards:2']) {
      const [a, b] = [1, 2].map((seed) => partition({ ...options, scheme }, rngFromSeed(seed)));
      assert.notDeepEqual(a.train, b.train);
    }
  });

  it('iid: sizes differ by at most one', () => {
    const { train } = partition(
      { scheme: 'iid', clients: 3, train: { count: 11 }, test: { count: 4 } },
      rngFromSeed(1),
    );
    assert.deepEqual(train.map(({ length }) => length).sort(), [3, 4, 4]);
  });

  it('shards: 2 per client of 10 classes leaves most clients with at most two classes (McMahan et al. 2017)', () => {
    // 10 classes of 60, 20 shards of 30: every shard is of one class, so no client sees more than two.
    const data = examples(600, 10);
    const { train } = partition({ scheme: 'shards:2', clients: 10, train: data, test: data }, rngFromSeed(3));
    for (const indices of train) {
      assert.equal(indices.length, 60);
      assert.ok(histogram(indices, data, 10).filter((n) => n > 0).length <= 2);
    }
  });

  it('natural: client k is the k-th group, and test examples follow their group', () => {
    const train: Examples = { count: 5, groups: ['b', 'a', 'c', 'b', 'a'] };
    const test: Examples = { count: 3, groups: ['c', 'a', 'b'] };
    const parts = partition({ scheme: 'natural', clients: 3, train, test }, rngFromSeed(1));
    assert.deepEqual(
      parts.train.map((indices) => [...indices]),
      [[1, 4], [0, 3], [2]],
    );
    assert.deepEqual(
      parts.test.map((indices) => [...indices]),
      [[1], [2], [0]],
    );
    const fewer = partition({ scheme: 'natural', clients: 2, train, test }, rngFromSeed(1));
    const groups = fewer.train.map((indices) => new Set([...indices].map((i) => train.groups![i])));
    assert.ok(
      [...groups[0]].every((group) => !groups[1].has(group)),
      'no group is torn apart',
    );
  });
});

describe('partition by Dirichlet', () => {
  /** Σ (share of class)² of the first client, mean over 400 seeds; 10 classes of 100, 100 examples for each client. */
  function concentration(alpha: number): number {
    const data = examples(1000, 10);
    const options = { scheme: `dirichlet:${alpha}`, clients: 10, train: data, test: { count: 0 } };
    let total = 0;
    for (let seed = 0; seed < 400; seed++) {
      const [first] = partition(options, rngFromSeed(seed)).train;
      total += histogram(first, data, 10).reduce((sum, n) => sum + (n / 100) ** 2, 0);
    }
    return total / 400;
  }

  it('gives clients of one size', () => {
    const data = examples(1003, 10);
    const { train } = partition({ scheme: 'dirichlet:0.1', clients: 10, train: data, test: data }, rngFromSeed(1));
    assert.deepEqual([...new Set(train.map(({ length }) => length))].sort(), [100, 101]);
  });

  it('has the concentration of its alpha', () => {
    // The first client draws freely. For q ~ Dirichlet(A/10, ..., A/10): E Σ q² = (A/10 + 1) / (A + 1) = c, and of the
    // shares in 100 draws c + (1 − c) / 100. Deviation of Σ q² about 0.16 at A = 1 and 0.05 at A = 10; over √400, five.
    const expected = (alpha: number) => {
      const c = (alpha / 10 + 1) / (alpha + 1);
      return c + (1 - c) / 100;
    };
    assert.ok(Math.abs(concentration(1) - expected(1)) < 0.04); // 0.5545
    assert.ok(Math.abs(concentration(10) - expected(10)) < 0.0125); // 0.1900
    assert.ok(Math.abs(concentration(1e6) - expected(1e6)) < 0.004); // 0.1090
  });

  it('stays sharp when classes run out: at a tiny alpha each client has one class', () => {
    const data = examples(1000, 10);
    const { train } = partition({ scheme: 'dirichlet:1e-6', clients: 10, train: data, test: data }, rngFromSeed(2));
    for (const indices of train) assert.equal(Math.max(...histogram(indices, data, 10)), 100);
  });
});

describe('partition of test examples', () => {
  it('follows each client’s training mixture, class by class', () => {
    const train = examples(2000, 5);
    const test = examples(500, 5);
    const parts = partition({ scheme: 'dirichlet:0.5', clients: 8, train, test }, rngFromSeed(4));
    parts.test.forEach((indices, client) => {
      const wanted = histogram(parts.train[client], train, 5).map((n) => (n * 100) / 400);
      // Largest remainder: every part within one of its quota.
      histogram(indices, test, 5).forEach((n, c) => void assert.ok(Math.abs(n - wanted[c]) < 1));
    });
  });

  it('without labels, or for a class that nobody trains on, follows the sizes', () => {
    const train: Examples = { count: 40, groups: Array.from({ length: 40 }, (_, i) => (i < 30 ? 'big' : 'small')) };
    const scheme = 'natural';
    const plain = partition({ scheme, clients: 2, train, test: { count: 8 } }, rngFromSeed(1));
    assert.deepEqual(
      plain.test.map(({ length }) => length),
      [6, 2],
    );
    const labelled = { ...train, labels: new Int32Array(40) };
    const unseen = { count: 8, labels: new Int32Array(8).fill(9) };
    const parts = partition({ scheme, clients: 2, train: labelled, test: unseen }, rngFromSeed(1));
    assert.deepEqual(
      parts.test.map(({ length }) => length),
      [6, 2],
    );
  });

  it('apportions by largest remainder and breaks ties by lot', () => {
    // 10 in 1 : 2 : 4 is 1.43, 2.86, 5.71: floors 1, 2, 5, and the two left go to .86 and .71.
    assert.deepEqual(apportion(10, [1, 2, 4], rngFromSeed(0)), [1, 3, 6]);
    assert.deepEqual(apportion(0, [1, 2], rngFromSeed(0)), [0, 0]);
    const winners = Array.from({ length: 300 }, (_, seed) => apportion(1, [1, 1, 1], rngFromSeed(seed)).indexOf(1));
    // Each a third of 300 with a deviation of √(300 · 1/3 · 2/3) = 8.2; five of them.
    for (const client of [0, 1, 2]) assert.ok(Math.abs(winners.filter((w) => w === client).length - 100) < 41);
  });
});

describe('partition refusals', () => {
  it('says what is wrong', () => {
    const train = examples(10, 2);
    const refuses = (scheme: string, clients: number, data: Examples, message: RegExp) =>
      assert.throws(() => partition({ scheme, clients, train: data, test: { count: 0 } }, rngFromSeed(1)), message);
    refuses('iid', 11, train, /clients: expected at most the 10 training examples, got 11/);
    refuses('iid', 0, train, /clients: expected a whole number of at least 1, got 0/);
    refuses('shards:3', 4, train, /shards:3: expected clients \* 3 of at most 10 examples, got 4 clients/);
    refuses('natural', 8, train, /clients: expected at most the 7 groups, got 8/);
    refuses('natural', 1, { count: 3 }, /train\.groups: expected a group for each example/);
    refuses('dirichlet:1', 1, { count: 3 }, /train\.labels: expected a label for each example/);
    refuses('iid', 1, { count: 3, labels: [1] }, /train\.labels: expected 3, got 1/);
  });

  it('reads schemes and refuses anything else', () => {
    assert.deepEqual(parseScheme('dirichlet:0.1'), { kind: 'dirichlet', alpha: 0.1 });
    assert.deepEqual(parseScheme(' shards:2'), { kind: 'shards', shardsPerClient: 2 });
    for (const text of ['', 'iid:1', 'natural:', 'random']) {
      assert.throws(() => parseScheme(text), /partition: expected iid, dirichlet:A, shards:K or natural/);
    }
    for (const text of [
      'dirichlet',
      'dirichlet:',
      'dirichlet:0',
      'dirichlet:-1',
      'dirichlet:x',
      'dirichlet:Infinity',
    ]) {
      assert.throws(() => parseScheme(text), /partition: expected dirichlet:A with A above 0/);
    }
    for (const text of ['shards', 'shards:0', 'shards:1.5', 'shards:2:3']) {
      assert.throws(() => parseScheme(text), /partition: expected shards:K with K a whole number/);
    }
  });
});
