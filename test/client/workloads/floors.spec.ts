/** Floors: each method on rows that can be done by hand, and those of the built-in workloads at smoke scale. */
import assert from 'node:assert/strict';
import { selectBackend } from '../../../client/backends/index.js';
import { batchOf } from '../../../client/training/batch.js';
import { evaluate } from '../../../client/training/evaluate.js';
import { initialModel, openSite } from '../../../client/training/task.js';
import { FLOOR_KINDS, type Workload } from '../../../client/workload.js';
import { listWorkloads, loadWorkload } from '../../../client/workloads/index.js';
import {
  bestOf,
  majority,
  nearestMean,
  nearestNeighbours,
  softmaxRegression,
} from '../../../client/workloads/parts/classifiers.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { addMetrics, type SumMetrics } from '../../../shared/run/metrics.js';

/** Points on a line: class 0 at 0, 1 and 2, class 1 at 10; the third class has none. */
const line = {
  ...{ count: 4, width: 1, classes: 3 },
  values: Float32Array.of(0, 1, 2, 10),
  labels: Int32Array.of(0, 0, 0, 1),
};
const at = (x: number) => Float32Array.of(x);

describe('a floor without a network', () => {
  it('is the commonest class', () => {
    assert.equal(bestOf(majority(line)(at(10))), 0);
  });

  it('is the class whose mean is nearest, never one without a row', () => {
    const scores = nearestMean(line); // means 1 and 10: the middle is 5.5
    assert.deepEqual(
      [5.4, 5.6, -100].map((x) => bestOf(scores(at(x)))),
      [0, 1, 0],
    );
    assert.deepEqual([...scores(at(4))].slice(0, 2), [-9, -36]);
  });

  it('is the vote of the five nearest, the nearer one where votes are equal', () => {
    const scores = nearestNeighbours(line); // all four vote: three to one
    assert.equal(bestOf(scores(at(10))), 0);
    const two = { ...line, count: 2, values: Float32Array.of(0, 10), labels: Int32Array.of(0, 1) };
    const pair = nearestNeighbours(two);
    assert.deepEqual(
      [4, 6].map((x) => bestOf(pair(at(x)))),
      [0, 1],
    );
    const six = {
      ...line,
      count: 7,
      values: Float32Array.of(0, 0, 5, 5, 5, 5, 5),
      labels: Int32Array.of(0, 0, 1, 1, 1, 1, 1),
    };
    assert.equal(bestOf(nearestNeighbours(six)(at(0))), 1); // two against three: two of class 1 are too far to vote
  });

  it('is softmax regression, whose scores are log-probabilities', () => {
    const rows = { ...line, count: 400, classes: 2, values: new Float32Array(400), labels: new Int32Array(400) };
    // one of four is of class 1 at x = -1, three of four at x = 1: log-odds -ln 3 and ln 3
    for (let i = 0; i < 400; i++) {
      rows.values[i] = i % 2 === 0 ? -1 : 1;
      rows.labels[i] = Math.floor(i / 2) % 4 === 0 ? (i % 2 === 0 ? 1 : 0) : i % 2 === 0 ? 0 : 1;
    }
    const scores = softmaxRegression(rows, rngFromSeed(1));
    const [low, high] = [-1, 1].map((x) => scores(at(x)));
    for (const s of [low, high]) assert.ok(Math.abs(Math.exp(s[0]) + Math.exp(s[1]) - 1) < 1e-6);
    // In the last pass the rate is 0.06 at most, with momentum, and a batch of 32 is off by sqrt(3/16/32) = 0.08: the log-odds
    // end within sqrt(0.06/2) · 0.08 · 2 = 0.03 of them, as one standard deviation; the penalty of 0.001 adds less.
    assert.ok(Math.abs(high[1] - high[0] - Math.log(3)) < 0.12, `${high}`);
    assert.ok(Math.abs(low[1] - low[0] + Math.log(3)) < 0.12, `${low}`);
  });
});

describe('the floors of a workload', function () {
  this.timeout(120_000);
  before(() => selectBackend('wasm'));

  for (const name of listWorkloads()) {
    it(`${name}: one of each kind or a reason, on the test examples that its model is judged on`, async () => {
      const workload = await loadWorkload(name);
      const { floors = [], manifest } = workload;
      const reasons = manifest.withoutFloors ?? {};
      for (const kind of FLOOR_KINDS) {
        if (kind === 'untrained') continue; // the engine's
        const has = floors.some((floor) => floor.kind === kind);
        assert.notEqual(has, kind in reasons, `${kind}: a floor, or else a reason`);
      }
      for (const [floor, sums, judged] of await rowsAtSmoke(workload)) {
        const said = Object.keys(sums);
        const [, headline] = /^(?:test\.)?(.*)$/.exec(manifest.headline.metric)!;
        const isRaw = said.some((metric) => metric === headline) || manifest.figures !== undefined;
        assert.ok(isRaw, `${floor} has a word on ${headline}`);
        for (const metric of said) {
          assert.ok(Object.hasOwn(judged, metric), `${floor}: ${metric} is a metric of ${name}`);
          assert.equal(sums[metric].count, judged[metric].count, `${floor}: examples of ${metric}`);
          assert.equal(sums[metric].sum.length, judged[metric].sum.length, `${floor}: numbers of ${metric}`);
        }
      }
    });
  }
});

/** Each floor's sums over all clients, beside the sums of the first model. */
async function rowsAtSmoke(workload: Workload): Promise<[string, SumMetrics, SumMetrics][]> {
  const { hyper, partition, clients } = workload.manifest.scales.smoke;
  const { data, shard } = await openSite(workload, { hyper, seed: 1 });
  const shards = Array.from({ length: clients }, (_, index) => shard(partition, { index, count: clients }));
  const { shared, private: privateTensors } = initialModel(workload, { hyper, seed: 1 });
  let judged: SumMetrics = {};
  for (const own of shards) {
    judged = addMetrics(
      judged,
      await evaluate({ workload, data, hyper, shard: own, split: 'test', shared, privateTensors }),
    );
  }
  const rows: [string, SumMetrics, SumMetrics][] = [];
  for (const floor of workload.floors ?? []) {
    const batch = (indices: Int32Array, of: { shard: (typeof shards)[0]; split: 'train' | 'test' }) =>
      batchOf(workload, data, indices, { hyper, ...of });
    const judge = await floor.fit({ data, hyper, shards, batch, rng: rngFromSeed(1) });
    rows.push([floor.name, shards.map(judge).reduce(addMetrics), judged]);
  }
  return rows;
}
