/**
 * A backup that is taken while rounds go on, and a restore of it, each also killed before every change of the disk that it
 * makes: what there is afterwards can be opened, or is nothing.
 */
import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BACKUP_FILE, backUp } from '../../../server/backup/backup.js';
import { restoreBackup } from '../../../server/backup/restore.js';
import { Coordinator } from '../../../server/coordinator.js';
import { silent } from '../../../server/log.js';
import { Registry } from '../../../server/registry.js';
import { checkRun } from '../../../server/run/check.js';
import type { FlError } from '../../../shared/errors.js';
import { rngFromEntropy } from '../../../shared/rng.js';
import { coordinator as identity } from '../../secure/hostile-coordinator.js';
import { Lab } from '../../secure/lab.js';
import { DyingFiles } from '../../support/dying-files.js';
import { FakeClock } from '../../support/fake-clock.js';
import { toySpec } from '../../support/toy.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const NOW = { nowMs: 1 };

describe('a backup of a coordinator', function () {
  this.timeout(60_000);
  let directory: string;
  let dataDir: string;
  const at = (name: string) => join(directory, name);
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-backup-'));
    dataDir = at('coordinator');
    await mkdir(dataDir);
    await writeFile(join(dataDir, 'identity.key'), new Uint8Array(32)); // the lab has its coordinator's key elsewhere
    await writeFile(join(dataDir, 'lock'), '{}');
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** A run of so many rounds; `during` is called again and again until it has ended. */
  async function run(rounds: number, during?: () => Promise<void>): Promise<void> {
    const { work, engine } = toySpec({ rounds });
    const lab = await Lab.open(directory, NAMES, { work, engine });
    try {
      let isOver = false;
      const finished = lab.finish().finally(() => {
        isOver = true;
      });
      while (during !== undefined && !isOver) await during();
      assert.equal((await finished).status, 'completed');
    } finally {
      await lab.close();
    }
  }

  it('fits together at whatever moment of a run it is taken', async () => {
    let taken = 0;
    await run(60, async () => {
      await backUp(dataDir, at(`backup-${taken++}`), NOW);
      await new Promise((resolve) => setImmediate(resolve));
    });
    const registry = new Registry({ append: async () => undefined }, []);
    const rounds = new Set<number>();
    for (let i = 0; i < taken; i++) {
      const restored = at(`restored-${i}`);
      const { runs } = await restoreBackup(at(`backup-${i}`), restored);
      if (runs.length === 0) continue; // before it was made
      assert.notEqual(runs[0].status, 'damaged', runs[0].reason);
      const fatal: FlError[] = [];
      const coordinator = await Coordinator.open({
        ...{ dataDir: restored, identity, registry, clock: new FakeClock(), rng: rngFromEntropy(), log: silent },
        fatal: (error) => fatal.push(error),
      });
      const [{ status, round, reason }] = await coordinator.admin.listRuns();
      assert.ok(['running', 'completed'].includes(status), reason);
      rounds.add(round);
      await coordinator.close();
      assert.deepEqual(fatal, []);
      const check = await checkRun(join(restored, 'runs', 'r')); // a line that was about to be written is written now
      assert.ok(check.ok, JSON.stringify(check));
    }
    assert.ok(rounds.size >= 3, `of ${taken} backups, rounds ${[...rounds]}`);
  });

  it('is there whole or not at all, as is what is restored of it, whenever they are killed', async () => {
    await run(2);
    const expected = await backUp(dataDir, at('whole'), NOW);
    assert.ok(!expected.files.some(({ path }) => path === 'lock'));
    /** Kills the n-th change of the disk; undefined: there were fewer. */
    const killed = async (changes: number, act: (files: DyingFiles) => Promise<unknown>) => {
      const files = new DyingFiles(changes);
      return Promise.race([act(files).then(() => undefined), files.died.then(() => true)]);
    };
    let kills = 0;
    for (; ; kills++) {
      const to = at(`backup-${kills}`);
      const isKilled = await killed(kills, (files) => backUp(dataDir, to, { ...NOW, files }));
      const left = await readdir(to).catch(() => []);
      if (left.length > 0) assert.deepEqual((await restoreBackup(to, at(`of-${kills}`))).files, expected.files);
      else assert.deepEqual((await backUp(dataDir, to, NOW)).files, expected.files, 'the next try');
      if (isKilled === undefined) break;
    }
    let restores = 0;
    for (; ; restores++) {
      const to = at(`restored-${restores}`);
      const isKilled = await killed(restores, (files) => restoreBackup(at('whole'), to, { files }));
      if ((await readdir(to).catch(() => [])).length === 0) await restoreBackup(at('whole'), to);
      assert.deepEqual((await backUp(to, at(`again-${restores}`), NOW)).files, expected.files);
      if (isKilled === undefined) break;
    }
    assert.ok(kills > 20 && restores > 20, `${kills} and ${restores} kills`);
  });

  it('takes a damaged run as it is, and names it', async () => {
    await run(1);
    await cp(join(dataDir, 'runs', 'r'), join(dataDir, 'runs', 'stray'), { recursive: true });
    await rm(join(dataDir, 'runs', 'stray', 'models'), { recursive: true });
    const { runs } = await backUp(dataDir, at('backup'), NOW);
    assert.deepEqual(
      runs.map(({ run: name, status }) => [name, status]),
      [
        ['r', 'completed'],
        ['stray', 'damaged'],
      ],
    );
    assert.match(runs[1].reason!, /models\/.*: expected the model of the journal, got no file; next: /);
  });

  it('is refused in words where there is none, or where it would overwrite', async () => {
    await run(1);
    await assert.rejects(backUp(at('nowhere'), at('b'), NOW), /nowhere: expected a coordinator's data directory/);
    await assert.rejects(backUp(dataDir, dataDir, NOW), /expected a folder that is new or empty; choose another one/);
    await backUp(dataDir, at('b'), NOW);
    await assert.rejects(restoreBackup(at('b'), dataDir), { code: 'already-exists' });
    await assert.rejects(restoreBackup(dataDir, at('x')), /expected a backup that is whole, it has no backup\.json/);
    await appendFile(join(at('b'), 'runs', 'r', 'ledger.jsonl'), '\n');
    await assert.rejects(restoreBackup(at('b'), at('x')), /ledger\.jsonl: expected SHA-256 .*; take another backup/);
    await rm(join(at('b'), 'runs', 'r', 'ledger.jsonl'));
    await assert.rejects(
      restoreBackup(at('b'), at('x')),
      /ledger\.jsonl: expected \d+ bytes, got no file; take another/,
    );
    const said = JSON.parse(await readFile(join(at('b'), BACKUP_FILE), 'utf8'));
    for (const path of ['../out', '/etc/passwd', 'a/../../out', '..', '']) {
      await writeFile(join(at('b'), BACKUP_FILE), JSON.stringify({ ...said, files: [{ ...said.files[0], path }] }));
      await assert.rejects(restoreBackup(at('b'), at('x')), /backup\.json: expected what starling backup writes/, path);
    }
    assert.deepEqual(await readdir(at('x')).catch(() => []), []);
  });
});
