/** `starling privacy audit`: what attacks prove, beside what the accountant promises. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditReport } from '../../../simulations/audit/audit.js';
import { auditPicture } from '../../../simulations/audit/picture.js';
import { starling, succeed, withFolder } from '../../e2e/support.js';

const AUDIT = 'privacy audit --quick --steps 20'.split(' ');

describe('starling privacy audit', () => {
  it('finds the leak that is there without noise, stays below the promise with noise, and draws both', () =>
    withFolder(async (cwd) => {
      const report = JSON.parse(await succeed([...AUDIT, '--out', 'made', '--json'], { cwd })) as AuditReport;
      const [noisy, open] = report.settings;
      for (const { attack, epsilonAtLeast } of noisy.bounds) assert.ok(epsilonAtLeast < noisy.epsilonAtMost!, attack);
      // 400 canaries, all guessed right: q^400 = 0.05 / 6 gives ε >= -ln((0.05 / 6)^(-1/400) - 1) = 4.4 at the very most.
      assert.equal(open.epsilonAtMost, null);
      assert.ok(open.bounds[0].epsilonAtLeast > 3 && open.bounds[0].epsilonAtLeast < 4.5);
      assert.ok(open.bounds[2].auc! > 0.9 && noisy.bounds[2].auc! < 0.75);
      assert.deepEqual(JSON.parse(await readFile(join(cwd, 'made', 'audit.json'), 'utf8')), report);
      assert.equal(await readFile(join(cwd, 'made', 'audit.svg'), 'utf8'), auditPicture(report));
    }));

  it('refuses settings that make no sense', async () => {
    const { code, stderr } = await starling([...AUDIT, '--noise-multiplier', '0'], { cwd: tmpdir() });
    assert.equal(code, 2);
    assert.match(stderr, /noise-multiplier: expected a number above 0, got 0/);
  });
});
