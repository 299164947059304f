/** Unmasking on threads: the same integers to the bit, nothing in the way of others, and nothing left behind. */
import assert from 'node:assert/strict';
import { UnmaskPool, unmaskHere } from '../../server/unmask-pool.js';
import { rngFromSeed } from '../../shared/rng.js';
import { createKernel, type MaskTerm, nodeSuite, RANGE_ELEMENTS, unmaskSum } from '../../shared/secagg/index.js';
import { openWorld } from '../support/peer.js';

const rng = rngFromSeed(4);
const masksOf = (count: number): MaskTerm[] =>
  Array.from({ length: count }, (_, i) => ({ key: rng.bytes(32), sign: i % 3 === 0 ? 1 : -1 }));

function sumOf(elements: number): Uint32Array {
  const bytes = rng.bytes(4 * elements);
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}

/** How the server machine's own kernel does it, in one go. */
function unmasked(masked: Uint32Array, masks: readonly MaskTerm[], ringBits: number): Int32Array {
  const sum = createKernel();
  sum.reset(masked.length);
  sum.add(masked);
  return unmaskSum({ suite: nodeSuite, sum, ringBits }, masks);
}

const workersNow = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;

describe('unmasking threads', () => {
  const edges = [1, RANGE_ELEMENTS - 1, RANGE_ELEMENTS, RANGE_ELEMENTS + 1, 3 * RANGE_ELEMENTS + 5];
  for (const threads of [1, 2, 3]) {
    it(`of ${threads} give the integers of one pass, at every edge of a range and in every ring`, async () => {
      const pool = new UnmaskPool({ threads, leastWork: 0 });
      for (const elements of edges) {
        const [masked, masks] = [sumOf(elements), masksOf(5)];
        const before = masked.slice();
        for (const ringBits of [32, 20]) {
          const got = await pool.unmask({ masked, masks, ringBits });
          assert.deepEqual(got, unmasked(masked, masks, ringBits), `${elements} elements, ${ringBits} bits`);
          assert.deepEqual(unmaskHere({ masked, masks, ringBits }), got);
        }
        assert.deepEqual(masked, before, "the caller's sum stays as it was");
      }
      await pool.close();
    });
  }

  it('serve several sums at a time, each with its own', async () => {
    const pool = new UnmaskPool({ threads: 2, leastWork: 0 });
    const jobs = [1, 2, 3].map((n) => ({ masked: sumOf(n * RANGE_ELEMENTS), masks: masksOf(n), ringBits: 32 }));
    const got = await Promise.all(jobs.map((job) => pool.unmask(job)));
    for (const [i, { masked, masks }] of jobs.entries()) assert.deepEqual(got[i], unmasked(masked, masks, 32));
    await pool.close();
  });

  it('do not start for a small sum, and are gone after close', async () => {
    const before = workersNow();
    const pool = new UnmaskPool({ threads: 2, leastWork: 20 * RANGE_ELEMENTS });
    const masked = sumOf(2 * RANGE_ELEMENTS);
    await pool.unmask({ masked, masks: masksOf(9), ringBits: 32 });
    assert.equal(workersNow(), before);
    const busy = pool.unmask({ masked, masks: masksOf(10), ringBits: 32 });
    assert.ok(workersNow() > before);
    await busy;
    await pool.close();
    assert.equal(workersNow(), before);
  });

  it('give up what is under way when they are closed, and everything after that', async () => {
    const pool = new UnmaskPool({ threads: 2, leastWork: 0 });
    const busy = pool.unmask({ masked: sumOf(2 * RANGE_ELEMENTS), masks: masksOf(1), ringBits: 32 });
    const fails = assert.rejects(busy, { code: 'aborted' });
    await pool.close();
    await fails;
    await assert.rejects(pool.unmask({ masked: sumOf(4), masks: [], ringBits: 32 }), { code: 'aborted' });
  });

  it('leave the event loop to others: a coordinator answers an operator meanwhile', async () => {
    const { coordinator } = await openWorld();
    const pool = new UnmaskPool({ threads: 1, leastWork: 0 });
    let isOver = false;
    // 2^26 keystream words: tens of turns of the event loop on any machine
    const job = pool.unmask({ masked: sumOf(4 * RANGE_ELEMENTS), masks: masksOf(1024), ringBits: 32 }).then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await coordinator.admin.listClients()).length, 6);
    assert.equal(isOver, false, 'answered before the sum was there');
    await job;
    await pool.close();
    await coordinator.close();
  });
});
