/** The bench runs the real thing: its rows carry the graph, the traffic and times of every phase. */
import assert from 'node:assert/strict';
import { HEADER_BYTES } from '../../../shared/secagg/frames.js';
import { benchSecagg, formatSecaggBench, type SecaggBenchRow } from '../../../simulations/bench/secagg.js';

describe('secagg bench', () => {
  let row: SecaggBenchRow | undefined;
  before(() => {
    let ticks = 0;
    const cases = [{ clients: 6, values: 1000, dropFraction: 1 / 6, adversaryFraction: 0.05 }];
    [row] = benchSecagg({ cases, nowMs: () => ticks++ });
  });

  it('counts what one client sends: shares, vector, signature and half-shares', () => {
    // 5 neighbours; frames: 32 + 5 * 92, 4 * 1001, 64, 5 * 32, each behind a header. The one who drops out sends shares only.
    const perSurvivor = 32 + 5 * 92 + 4 * 1001 + 64 + 5 * 32 + 4 * HEADER_BYTES;
    const dropped = 32 + 5 * 92 + HEADER_BYTES;
    assert.equal(row!.uploadBytes, Math.round((5 * perSurvivor + dropped) / 5));
    assert.deepEqual([row!.degree, row!.threshold], [5, 3]);
  });

  it('times every phase of both sides and prints one line per case', () => {
    // The clock steps by one per reading, so every timed call takes 1: a survivor masks in two, opening and adding.
    assert.deepEqual(Object.values(row!.clientMs).slice(1, 3), [1, 1]);
    assert.ok(Object.values(row!.serverMs).every((ms) => ms > 0));
    const table = formatSecaggBench([row!]).split('\n');
    assert.equal(table.length, 2);
    assert.match(table[0]!, /client ms.*server ms.*up bytes/);
  });
});
