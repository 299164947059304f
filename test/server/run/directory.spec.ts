/** A coordinator that is killed while it makes a run starts again: what was cut short is no run, and no fault. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../../server/journal/journal.js';
import { storedRuns } from '../../../server/run/directory.js';

describe('the runs in a data directory', () => {
  let runs: string;

  beforeEach(async () => {
    runs = await mkdtemp(join(tmpdir(), 'starling-runs-'));
  });
  afterEach(() => rm(runs, { recursive: true }));

  it('are none when there is no folder', async () => {
    assert.deepEqual(await storedRuns(join(runs, 'nowhere')), []);
  });

  it('are those whose first record is on the disk, however much of another was', async () => {
    await mkdir(join(runs, 'whole'));
    const path = join(runs, 'whole', 'journal.log');
    const { journal } = await openJournal(path);
    await journal.append({ kind: 'created' });
    await journal.close();
    const bytes = await readFile(path);
    await mkdir(join(runs, 'no-journal'));
    const header = 8;
    for (let size = header; size < bytes.length; size++) {
      await mkdir(join(runs, `cut-${size}`));
      await writeFile(join(runs, `cut-${size}`, 'journal.log'), bytes.subarray(0, size)); // the header comes whole, by a rename
    }
    assert.deepEqual(await storedRuns(runs), [join(runs, 'whole')]);
  });

  it('that are damaged are not passed over', async () => {
    await mkdir(join(runs, 'damaged'));
    await writeFile(join(runs, 'damaged', 'journal.log'), 'nothing of ours');
    await assert.rejects(storedRuns(runs), { code: 'corrupt' });
  });
});
