/** The benchmark of a simulated secure round is a round that succeeds; its figures are not judged here. */
import assert from 'node:assert/strict';
import { benchSecureSimulation } from '../../simulations/bench/secure-simulation.js';

describe('the bench of a secure simulation', () => {
  it('has a row for each case, in one sum and in groups', async () => {
    const cases = [
      { clients: 10, values: 3 },
      { clients: 20, values: 3, groupSize: 10 },
    ];
    const rows = (await benchSecureSimulation(cases)) as Record<string, number>[];
    assert.deepEqual(
      rows.map(({ clients, groups }) => [clients, groups]),
      [
        [10, 0],
        [20, 10],
      ],
    );
    for (const row of rows) {
      assert.deepEqual(Object.keys(row), ['clients', 'd', 'groups', 'round ms', 'cpu ms', 'peakMiB']);
      assert.ok(Object.values(row).every(Number.isFinite), JSON.stringify(row));
    }
    assert.ok(rows[1].peakMiB >= rows[0].peakMiB, 'the most so far never falls');
  });
});
