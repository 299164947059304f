/** The bench runs the real thing: its rows carry the graph, the traffic and times of every phase. */
import assert from 'node:assert/strict';
import { HEADER_BYTES } from '../../../shared/secagg/frames.js';
import { benchSecagg, type SecaggBenchRow } from '../../../simulations/bench/secagg.js';
import { secaggTable } from '../../../simulations/bench/secagg-table.js';

/** As docs and whoever reads the output know them. */
const COLUMNS = [
  ...['n', 'k', 'd', 'drop', 'masks', 'client ms', 'quant/adv/share/mask/cons/unmask'],
  ...['server ms', 'adv/share/mask/cons/unmask/masks', '1 thread', '2 threads', 'up bytes', 'up/4d', 'down bytes'],
  ...['client:AES', 'server:copy', 'mask M/s', 'quantize M/s'],
];

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
    // The clock steps by one per reading, so every timed call takes 1. A client: one call a phase, and two for the mask
    // (opening, adding), where the one who drops out has one for the five others: 11/5.
    assert.deepEqual(row!.clientMs, { quantize: 1, advertise: 1, share: 1, mask: 2.2, consistency: 1, unmask: 1 });
    // The server: one for each frame, and in the mask phase one for the deadline in the place of the sixth.
    assert.deepEqual(row!.serverMs, { advertise: 6, share: 6, mask: 6, consistency: 5, unmask: 5, masksOff: 1 });
  });

  it('makes one row of a table for each case, with a second thread beside the first', async () => {
    const [made, ...more] = (await secaggTable(cases)) as Record<string, unknown>[];
    assert.deepEqual(more, []);
    assert.deepEqual([made.n, made.k, made.d, made.masks, made['up bytes']], [6, 5, 1000, 10, row!.uploadBytes]);
    assert.deepEqual(Object.keys(made), COLUMNS);
    assert.equal(made['up/4d'], row!.uploadBytes / 4000);
    for (const [total, phases] of [
      ['client ms', 'quant/adv/share/mask/cons/unmask'],
      ['server ms', 'adv/share/mask/cons/unmask/masks'],
    ]) {
      const parts = String(made[phases]).split('/').map(Number);
      assert.equal(parts.length, 6);
      const sum = parts.reduce((one, other) => one + other);
      // each is rounded to a tenth, or to a whole from 10 on
      const off = parts.reduce((all, part) => all + (part < 10 ? 0.05 : 0.5), 1e-9);
      assert.ok(Math.abs(sum - Number(made[total])) <= off, `${phases}: ${made[phases]} of ${made[total]}`);
    }
    for (const name of COLUMNS.filter((column) => /thread|:|M.s/.test(column))) {
      assert.ok(Number.isFinite(made[name]), `${name}: ${made[name]}`);
    }
  });
});
