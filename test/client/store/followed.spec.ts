/** What a client shows of its runs after it was started again. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FOLLOWED_FILE, fileFollowed } from '../../../client/store/followed.js';
import { ledgerHeads } from '../../../client/store/ledger-heads.js';
import { type Files, systemFiles } from '../../../shared/disk/files.js';
import type { TaskId } from '../../../shared/run/plan.js';
import { MAX_SHOWN_RUNS } from '../../../shared/signing/shown.js';

const signedTask = (round: number, attempt: number, kind: TaskId['kind'] = 'train', run = 'r') => {
  return { task: { run, kind, round, attempt }, signature: new Uint8Array(64).fill(round) };
};
const signedHead = (round: number, run = 'r') => {
  return { head: { run, round, lineSha256: 'b'.repeat(64) }, signature: 'c'.repeat(128) };
};

describe('what a client shows of its runs', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-followed-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('is the last task of each, and the last head, also after a restart and whatever an older coordinator asks for', async () => {
    const followed = await fileFollowed(directory);
    const add = await ledgerHeads(directory);
    for (const one of [signedTask(2, 5), signedTask(3, 1), signedTask(3, 1, 'evaluate'), signedTask(2, 9)]) {
      await followed.task(one);
    }
    for (const round of [1, 2]) {
      await add(signedHead(round));
      followed.head(signedHead(round));
    }
    const expected = { tasks: [signedTask(3, 1, 'evaluate')], heads: [signedHead(2)] };
    assert.deepEqual(followed.shown(), expected);
    const again = (await fileFollowed(directory)).shown();
    assert.deepEqual(
      { ...again, tasks: again.tasks.map((one) => ({ ...one, signature: new Uint8Array(one.signature) })) },
      expected,
    );
  });

  it('is of a home that version 0.1 left, too: its heads', async () => {
    const add = await ledgerHeads(directory);
    for (const round of [1, 2, 7]) await add(signedHead(round));
    assert.deepEqual((await fileFollowed(directory)).shown(), { tasks: [], heads: [signedHead(7)] });
  });

  it('is of the runs that it heard of last, and no more than the wire takes', async () => {
    const followed = await fileFollowed(directory);
    const hear = (round: number, run: number) => followed.task(signedTask(round, 1, 'train', `r${run}`));
    for (let run = 0; run < MAX_SHOWN_RUNS; run++) await hear(1, run);
    await hear(2, 0); // r1 is now the one that was heard of longest ago
    await hear(1, MAX_SHOWN_RUNS);
    const runs = (await fileFollowed(directory)).shown().tasks.map(({ task }) => task.run);
    assert.deepEqual([runs.length, runs[0], ...runs.slice(-2)], [MAX_SHOWN_RUNS, 'r2', 'r0', `r${MAX_SHOWN_RUNS}`]);
  });

  it('is the last of several that are told at once', async () => {
    let writing = 0;
    let most = 0;
    const files: Files = {
      ...systemFiles,
      async open(...file) {
        writing++;
        most = Math.max(most, writing);
        return systemFiles.open(...file);
      },
      async rename(...paths) {
        await systemFiles.rename(...paths);
        writing--;
      },
    };
    const followed = await fileFollowed(directory, files);
    await Promise.all([1, 2, 3, 4, 5].map((round) => followed.task(signedTask(round, 1))));
    assert.equal(most, 1, 'one would take the place of a later one');
    const [{ task }] = (await fileFollowed(directory)).shown().tasks;
    assert.equal(task.round, 5);
  });

  it('is written again after a disk that failed', async () => {
    const followed = await fileFollowed(directory);
    await rm(directory, { recursive: true });
    await assert.rejects(followed.task(signedTask(1, 1)));
    await mkdir(directory);
    await followed.task(signedTask(2, 1));
    assert.equal((await fileFollowed(directory)).shown().tasks[0].task.round, 2);
  });

  it('is damaged in words', async () => {
    await (await fileFollowed(directory)).task(signedTask(1, 1));
    const file = join(directory, FOLLOWED_FILE);
    await writeFile(file, (await readFile(file)).subarray(3));
    await assert.rejects(
      fileFollowed(directory),
      /followed\.json: damaged; delete it: a coordinator that was restored/,
    );
  });
});
