/** A journal that is compacted, while its run is at work: nothing of the run is lost, and little is read to go on. */
import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRun } from '../../../server/run/check.js';
import { allRecordsOf } from '../../../server/run/run-journal.js';
import type { RunEvent } from '../../../shared/run/events.js';
import { playRun } from '../../support/answering.js';
import { openWorld } from '../../support/peer.js';
import { assertWhole, killAtEach, ROUNDS, setting, undisturbedSha256 } from './compaction-kills.js';

describe('a journal that is compacted', function () {
  this.timeout(120_000);
  let dataDir: string;
  const file = (...names: string[]) => join(dataDir, 'runs', 'r', ...names);

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'starling-compacted-'));
    const { coordinator, fatal } = await playRun(dataDir, { rounds: ROUNDS, setting });
    await coordinator.close();
    assert.deepEqual(fatal, []);
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  /** The run in the list of a coordinator that starts anew. */
  async function listed(): Promise<string> {
    const { coordinator } = await openWorld(dataDir);
    const [{ status, reason }] = await coordinator.admin.listRuns();
    await coordinator.close();
    return `${status} ${reason}`.trim();
  }

  it('tells all that happened, once, with what is in history/', async () => {
    assert.deepEqual(await readdir(file('history')), ['1.jsonl.gz', '2.jsonl.gz']);
    assert.ok((await stat(file('journal.log'))).size < 3500);
    const records = await allRecordsOf(file());
    const count = (kind: string) => records.filter((record) => record.kind === kind).length;
    assert.deepEqual(['created', 'checkpoint', 'round-started', 'committed', 'round-ended', 'ended'].map(count), [
      1,
      0,
      ROUNDS,
      ROUNDS,
      ROUNDS,
      1,
    ]);
    await assertWhole(dataDir, await undisturbedSha256());
  });

  it('tells a watcher that comes after the end the end of each round', async () => {
    const { coordinator } = await openWorld(dataDir);
    const told: RunEvent[] = [];
    for await (const line of coordinator.admin.watchRun('r')) told.push(JSON.parse(line));
    await coordinator.close();
    const rounds = told.map((event) => (event.kind === 'round-ended' ? event.summary.round : event.kind));
    assert.deepEqual(rounds, [1, 2, 3, 4, 'ended']);
  });

  it('is whole after a kill at every third change of the disk', async () => {
    // of two compactions each has eleven: folder, its file and name, the journal and its name (test/long has every change)
    const kills = await killAtEach(3);
    assert.ok(kills > 30, `${kills} kills`);
  });

  it('does not count what a kill has left in history/, and writes it over', async () => {
    await writeFile(file('history', '3.jsonl.gz'), 'of a compaction that was killed');
    assert.equal(await listed(), 'completed');
    assert.equal((await allRecordsOf(file())).filter(({ kind }) => kind === 'ended').length, 1);
  });

  describe('knows the ledger as it stood, and', () => {
    const ledger = () => file('ledger.jsonl');
    const lines = async () => (await readFile(ledger(), 'utf8')).split('\n');

    it('writes it again from history/ when it is gone, or cut within what the checkpoint knows', async () => {
      const whole = await readFile(ledger(), 'utf8');
      const spoil = [() => rm(ledger()), () => truncate(ledger(), whole.length >> 1), () => truncate(ledger(), 0)];
      for (const damage of spoil) {
        await damage();
        assert.equal(await listed(), 'completed');
        assert.equal(await readFile(ledger(), 'utf8'), whole);
      }
    });

    it('finds a line that was changed, wherever it is, and names it or the one after it', async () => {
      const whole = await lines();
      for (let index = 0; index < whole.length - 2; index++) {
        const changed = whole.with(index, whole[index].replace(/"previous":"[0-9a-f]{8}/, '"previous":"00000000'));
        await writeFile(ledger(), changed.join('\n'));
        const where = index === 0 ? 2 : index + 1; // what the first follows is not in the journal: the second tells
        assert.match(await listed(), new RegExp(`^damaged ledger\\.jsonl, line ${where}: `));
      }
    });

    it('refuses that of another run, or with more rounds than there were', async () => {
      await appendFile(ledger(), `${(await lines()).at(-2)}\n`);
      assert.match(await listed(), /^damaged ledger\.jsonl, line 6: the journal has no such round/);
    });
  });

  it('of which a part is damaged does not keep the run from its end; who asks is told which file', async () => {
    await writeFile(file('history', '1.jsonl.gz'), 'x');
    assert.equal(await listed(), 'completed');
    const check = await checkRun(file());
    assert.deepEqual([check.ok, 'file' in check && check.file], [false, 'history/1.jsonl.gz']);
    const { coordinator } = await openWorld(dataDir);
    await assert.rejects(coordinator.admin.getRun('r'), { code: 'corrupt', message: /^history\/1\.jsonl\.gz: / });
    await coordinator.close();
  });
});
