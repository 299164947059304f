/** `starling simulate` that is killed, or told to end, goes on by `--resume` or by the same command again. */
import assert from 'node:assert/strict';
import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { ROOT, starling, succeed, withFolder } from './support.js';

/** Ends its process by the signal DIE_BY when it has judged its DIE_AT-th batch: two in each round, one of each client. */
const DYING = `
import own from './my-workload.ts';
let judged = 0;
export default {
  ...own,
  metrics(params, batch) {
    if (++judged === Number(process.env.DIE_AT)) process.kill(process.pid, process.env.DIE_BY);
    return own.metrics(params, batch);
  },
};
`;
const SIZE = ['--scale', 'smoke', '--clients', '2', '--cohort', '2', '--workers', '1'];
const ARGS = ['simulate', '--workload', './dying.ts', ...SIZE, '--rounds', '8', '--seed', '5'];

describe('starling simulate', function () {
  this.timeout(120_000);

  it('that was killed, and then ended by SIGTERM, goes on and ends in the model of one that never was', () =>
    withFolder(async (cwd) => {
      await copyFile(join(ROOT, 'docs', 'examples', 'my-workload.ts'), join(cwd, 'my-workload.ts'));
      await writeFile(join(cwd, 'dying.ts'), DYING);
      const whole = JSON.parse(await succeed([...ARGS, '--out', 'whole', '--json', '-'], { cwd })) as Report;
      assert.equal(whole.status, 'completed');

      await starling([...ARGS, '--out', 'out'], { cwd, env: { DIE_AT: '4', DIE_BY: 'SIGKILL' } });
      assert.ok(!(await readdir(join(cwd, 'out'))).includes('report.json'));
      const told = await starling(['simulate', '--resume', 'out', '--workers', '1'], {
        cwd,
        env: { DIE_AT: '4', DIE_BY: 'SIGTERM' },
      });
      assert.equal(told.code, 1, told.stderr);
      assert.match(told.stdout, /^round +2\b/m);
      assert.doesNotMatch(told.stdout, /^round +1\b/m);
      assert.match(told.stdout, /^to go on: starling simulate --resume out$/m);

      const other = await starling([...ARGS, '--rounds', '5', '--out', 'out'], { cwd });
      assert.equal(other.code, 2);
      assert.match(other.stderr, /out holds another simulation: rounds: expected 8, got 5; next: --resume out/);

      const again = JSON.parse(await succeed([...ARGS, '--out', 'out', '--json', '-'], { cwd })) as Report;
      assert.equal(again.modelSha256, whole.modelSha256);
      assert.deepEqual(
        again.rounds.map(({ metrics, dropped }) => ({ metrics, dropped })),
        whole.rounds.map(({ metrics, dropped }) => ({ metrics, dropped })),
      );
      assert.deepEqual((await readdir(join(cwd, 'out'))).sort(), (await readdir(join(cwd, 'whole'))).sort());

      assert.match(await succeed(['simulate', '--resume', 'out'], { cwd }), /^out is complete: completed, model /);
      assert.match(await succeed(['verify', 'out'], { cwd }), /8 rounds/);
    }));

  it('that is refused leaves no directory, and no directory that is none of its own is gone on with', () =>
    withFolder(async (cwd) => {
      const cnn = ['simulate', '--workload', 'cnn', '--scale', 'smoke', '--out', 'refused'];
      const refused = await starling([...cnn, '--backend', 'none-such'], { cwd });
      assert.equal(refused.code, 2);
      assert.ok(!(await readdir(cwd)).includes('refused'));
      const nothing = await starling(['simulate', '--resume', 'nowhere'], { cwd });
      assert.equal(nothing.code, 2);
      assert.match(
        nothing.stderr,
        /--resume: expected a directory with simulation.json, of starling simulate, got "?nowhere/,
      );
      const beside = await starling(['simulate', '--resume', 'x', '--rounds', '3'], { cwd });
      assert.match(beside.stderr, /nothing beside it but --workers and --json, got "?--rounds/);
    }));
});
