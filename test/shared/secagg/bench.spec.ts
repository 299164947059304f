/** The bench runs the real thing: its rows carry the graph, the traffic and times of every phase. */
import assert from 'node:assert/strict';
import { HEADER_BYTES } from '../../../shared/secagg/frames.js';
import { benchSecagg, type SecaggBenchRow } from '../../../simulations/bench/secagg.js';
import { secaggTable } from '../../../simulations/bench/secagg-table.js';

describe('secagg bench', () => {
  const cases = [{ clients: 6, values: 1000, dropFraction: 1 / 6, adversaryFraction: 0.05 }];
  let row: SecaggBenchRow | undefined;
  before(() => {
    let ticks = 0;
    [row] = benchSecagg({ cases, nowMs: () => ticks++ });
  });

  it('counts what one client sends: shares, vector, signature and half-shares', () => {
    // 5 neighbours; frames: 32 + 5 * 92, 4 * 1001, 64, 5 * 32, each behind a header. The one who drops out sends shares only.
    const perSurvivor = 32 + 5 * 92 + 4 * 1001 + 64 + 5 * 32 + 4 * HEADER_BYTES;
    const dropped = 32 + 5 * 92 + HEADER_BYTES;
    assert.equal(row!.uploadBytes, Math.round((5 * perSurvivor + dropped) / 5));
    assert.deepEqual([row!.degree, row!.threshold], [5, 3]);
  });

  it('takes off the mask of each survivor, and those that it shares with who dropped out', () => {
    assert.equal(row!.masks, 5 + 5);
  });

  it('times every phase of both sides', () => {
    // The clock steps by one per reading, so every timed call takes 1: a survivor masks in two, opening and adding.
    assert.deepEqual(Object.values(row!.clientMs).slice(1, 3), [1, 1]);
    assert.ok(Object.values(row!.serverMs).every((ms) => ms > 0));
  });

  it('makes one row of a table for each case, with a second thread beside the first', async () => {
    const [made, ...more] = (await secaggTable(cases)) as Record<string, unknown>[];
    assert.deepEqual(more, []);
    assert.deepEqual([made.n, made.k, made.d, made.masks, made['up bytes']], [6, 5, 1000, 10, row!.uploadBytes]);
    for (const name of ['client ms', 'server ms', '1 thread', '2 threads', 'client:AES', 'server:copy']) {
      assert.ok(Number(made[name]) > 0, name);
    }
  });
});
