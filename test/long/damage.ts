/**
 * Journal, ledger and model of finished and of running runs are damaged while the coordinator is away, with a stray folder
 * beside them: each is named with its file, the others are unharmed, `starling run repair` mends what can be mended, and what
 * it names is put back while the coordinator runs. Each run ends as an undisturbed one.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkRun } from '../../server/run/check.js';
import {
  createRun,
  dataDirOf,
  follow,
  killed,
  modelOf,
  startCoordinator,
  startLab,
  stop,
  withAdmin,
  withSite,
} from '../e2e/services.js';
import { starling, succeed } from '../e2e/support.js';

const flip = async (path: string, at: number) => {
  const bytes = await readFile(path);
  bytes[at < 0 ? bytes.length + at : at] ^= 0xff;
  await writeFile(path, bytes);
};

const DAMAGES = [
  { do: (run: string) => flip(join(run, 'journal.log'), 30), file: /^journal\.log: /, isMended: false },
  { do: (run: string) => flip(join(run, 'ledger.jsonl'), 20), file: /^ledger\.jsonl, line 1: /, isMended: true },
  {
    do: async (run: string) => {
      for (const name of await readdir(join(run, 'models'))) await flip(join(run, 'models', name), -1);
    },
    file: /^models\/[0-9a-f]{64}\.safetensors: /,
    isMended: false,
  },
];

/** The whole story, on real processes. */
export async function damagedFiles(): Promise<void> {
  await withSite(async (folder, first) => {
    const where = { cwd: folder };
    const place = (run: string) => join(dataDirOf(folder), 'runs', run);
    const backup = (run: string) => join(folder, 'backup', run);
    const lab = await startLab(folder);
    const finished = await Promise.all(DAMAGES.map(() => createRun(folder)));
    const [model] = await Promise.all(finished.map((run) => modelOf(folder, run)));
    lab.process.kill('SIGSTOP');
    const running = await Promise.all([...DAMAGES, 0].map(() => createRun(folder)));
    lab.process.kill('SIGCONT');
    await Promise.all(running.map((run) => follow(folder, run, 'round-ended')));
    killed(first.process.pid!);
    await first.ended;

    const damaged = [finished, running].flatMap((runs) => DAMAGES.map((damage, i) => ({ run: runs[i], damage })));
    for (const { run, damage } of damaged) {
      await cp(place(run), backup(run), { recursive: true });
      await damage.do(place(run));
    }
    await mkdir(place('My notes'));
    await writeFile(join(place('My notes'), 'todo.txt'), 'none');
    const coordinator = await startCoordinator(folder);
    const list = await withAdmin(folder, (admin) => admin.listRuns());
    for (const { run, damage } of damaged) {
      const { status, reason } = list.find((one) => one.run === run)!;
      assert.equal(status, 'damaged', run);
      assert.match(reason, damage.file);
    }
    assert.equal(list.filter(({ status }) => status === 'damaged').length, damaged.length + 1);
    assert.equal(await modelOf(folder, running.at(-1)!), model, 'the other run is unharmed');

    for (const { run, damage } of damaged) {
      const { code, stdout, stderr } = await starling(['run', 'repair', run], where);
      assert.equal(code, damage.isMended ? 0 : 1, stderr);
      if (damage.isMended)
        assert.match(stdout, new RegExp(`^${run}: ledger\\.jsonl: \\d+ lines were written from journal`));
      else {
        assert.match(
          stderr,
          new RegExp(`^starling: run ${run}: \\S+: beyond repair: .*; next: put ${place(run)}/\\S+ back `),
        );
        await cp(backup(run), place(run), { recursive: true });
        assert.match(
          await succeed(['run', 'repair', run], where),
          /: (mended|nothing to mend); it is (running|completed)\n$/,
        );
      }
    }
    for (const run of [...finished, ...running]) {
      assert.equal(await modelOf(folder, run), model);
      const check = await checkRun(place(run));
      assert.ok(check.ok, JSON.stringify(check));
    }

    const stray = list.find(({ directory }) => directory === place('My notes'))!.run;
    const unsure = await starling(['run', 'delete', stray], where);
    assert.deepEqual([unsure.code, /expected --yes, since nothing brings/.test(unsure.stderr)], [2, true]);
    assert.equal(await succeed(['run', 'delete', stray, '--yes'], where), `${stray}: deleted\n`);
    await succeed(['run', 'archive', finished[0]], where);
    assert.match(
      await succeed(['run', 'list', '--archived'], where),
      new RegExp(`^${finished[0]} +cnn +completed +20/20`, 'm'),
    );
    assert.deepEqual(
      (await readdir(join(dataDirOf(folder), 'runs'))).sort(),
      [...finished.slice(1), ...running].sort(),
    );
    await stop(lab);
    await stop(coordinator);
  });
}
