/** What `starling simulate` says before a run, and after everything else. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { inProcess } from '../../support/in-process.js';

const WORKLOADS = resolve('test/fixtures/workloads');

describe('starling simulate', () => {
  let folder: string;
  const simulate = (workload: string, ...options: string[]) =>
    inProcess([
      ...['simulate', '--workload', join(WORKLOADS, workload), '--backend', 'cpu', '--workers', '1', '--rounds', '1'],
      ...['--out', join(folder, 'run'), ...options],
    ]);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-simulate-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('says first and last which of two figures of one name it shows', async () => {
    const { code, stdout } = await simulate('twice.ts');
    assert.equal(code, 0);
    const lines = stdout.trimEnd().split('\n');
    const words =
      /^WARNING {2}workload twice has two figures of the name squared-error.*Here test\.squared-error is what finish/;
    assert.match(lines[0], words);
    assert.equal(lines.at(-1), lines[0]);
    assert.match(stdout, /test\.squared-error|squared-error/);
  });

  it('names who dropped out, and that it was simulated', async () => {
    const { stdout } = await simulate('prices.ts', '--dropout', '0.5', '--min-survivors', '1', '--seed', '2');
    assert.match(stdout, /^c\d(, c\d)*: dropped out \(simulated by --dropout\)( \(\d+ times\))?$/m);
  });

  it('refuses a back end that is none, and leaves no directory', async () => {
    const { code, stdout, stderr } = await simulate('prices.ts', '--backend', 'abacus');
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /backend: expected one of .*tfjs-node.*, got "abacus"/);
    assert.deepEqual(await readdir(folder), []);
  });

  it('says before the start whom a held-out part leaves nothing to train with', async () => {
    const { code, stdout } = await simulate(
      'prices.ts',
      '--evaluate-clients',
      '3',
      '--validation-fraction',
      '0.5',
      '--clients',
      '400',
      '--cohort',
      '3',
    );
    assert.equal(code, 0);
    const [warning, started] = [/validation-fraction 0\.5 leaves 200 of 400 clients no training examples/, /^round 1/m];
    assert.ok(stdout.search(warning) >= 0 && stdout.search(warning) < stdout.search(started), stdout.slice(0, 2000));
    assert.match(stdout, /; 200 train$/m);
  });
});
