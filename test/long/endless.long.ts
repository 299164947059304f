/**
 * Ten thousand rounds of a tiny model with twenty clients: what a coordinator takes does not grow with what it has done. Each
 * figure is held against the same figure of an earlier part of the same run, so that the machine does not matter
 * (docs/benchmarks.md has them).
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAtEach } from '../server/run/compaction-kills.js';
import { runRounds, type Sample, startCpuMs } from './endless-federation.js';

const ROUNDS = Number(process.env.ROUNDS ?? 10_000);
const CLIENTS = 20;
/** Ten parts; the second is compared with the last, for the first is warm-up. */
const PART = ROUNDS / 10;

type Measured = Sample & { readonly startCpuMs: number };

const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

describe('a federation that goes on and on', function () {
  this.timeout(3_600_000);
  let root: string;
  const samples: Measured[] = [];
  /** Last part / second part. */
  const growth = (of: (sample: Measured) => number) => {
    const [early, late] = [1, 9].map((part) =>
      mean(samples.filter(({ round }) => round > part * PART && round <= (part + 1) * PART).map(of)),
    );
    return late / early;
  };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'starling-endless-'));
    // one more: no sample is taken in the end of the run
    await runRounds({ root, clients: CLIENTS, rounds: ROUNDS + 1, every: PART / 4 }, async (sample) => {
      const copy = join(root, 'copy');
      await cp(join(root, 'coordinator'), copy, { recursive: true, preserveTimestamps: true });
      samples.push({ ...sample, startCpuMs: await startCpuMs(copy, CLIENTS) });
      await rm(copy, { recursive: true });
      if (sample.round % PART === 0) process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`);
    });
  });
  after(() => rm(root, { recursive: true }));

  it('holds no more memory and descriptors than before', () => {
    assert.ok(growth(({ memoryBytes }) => memoryBytes) < 1.15);
    assert.ok(growth(({ descriptors }) => descriptors) < 1.1);
  });

  it('takes no longer for a round', () => {
    assert.ok(growth(({ roundCpuMs }) => roundCpuMs) < 1.5);
  });

  it('starts again by reading its checkpoint, and hashing its ledger', () => {
    // each line once by SHA-256, some 2.5 KB a round: what is left of "replays everything"
    assert.ok(growth(({ startCpuMs }) => startCpuMs) < 4, `${growth(({ startCpuMs }) => startCpuMs)}`);
  });

  it('starts as if its finished runs were not there', async () => {
    const startMs = () => startCpuMs(join(root, 'coordinator'), CLIENTS);
    await startMs(); // the row is written by now
    const runs = join(root, 'coordinator', 'runs');
    const one = Math.min(await startMs(), await startMs(), await startMs());
    assert.ok(
      one < samples[0].startCpuMs,
      `${one} ms with ${ROUNDS} rounds, ${samples[0].startCpuMs} with ${PART / 4}`,
    );
    assert.ok((await stat(join(runs, 'endless', 'ledger.jsonl'))).size > 1000 * ROUNDS);
  });
});

describe('a journal that is compacted', function () {
  this.timeout(3_600_000);

  it('is whole after a kill at every single change of the disk', async () => {
    const kills = await killAtEach(1);
    assert.ok(kills > 100, `${kills} kills`);
  });
});
