/** `starling privacy audit`: what attacks on every mode prove, beside what the accountant promises. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditPicture } from '../../../simulations/audit/picture.js';
import type { AuditReport } from '../../../simulations/audit/report.js';
import { starling, succeed, withFolder } from '../../e2e/support.js';

const AUDIT = 'privacy audit --quick --steps 20'.split(' ');

describe('starling privacy audit', () => {
  it('finds the leak that is there without noise, stays below the promise with noise, and draws both', () =>
    withFolder(async (cwd) => {
      const report = JSON.parse(await succeed([...AUDIT, '--out', 'made', '--json'], { cwd })) as AuditReport;
      const [noisy, open, ...clients] = report.settings;
      const openClients = clients.pop()!;
      assert.deepEqual(
        report.settings.map(({ name }) => name.split(',')[0]),
        ['example', 'example', 'central', 'distributed', 'local', 'client'],
      );
      assert.deepEqual(report.refuted, []);
      for (const { name, bounds, epsilonAtMost, largestContribution } of [noisy, ...clients]) {
        for (const { attack, epsilonAtLeast } of bounds)
          assert.ok(epsilonAtLeast < epsilonAtMost!, `${name}: ${attack}`);
        assert.ok(largestContribution! > 0.98 && largestContribution! <= 1, `${name}: ${largestContribution}`);
      }
      for (const { name, bounds, epsilonAtMost } of clients) {
        const proven = Math.max(...bounds.map(({ epsilonAtLeast }) => epsilonAtLeast));
        assert.ok(proven > 0.2 * epsilonAtMost!, `${name}: ${proven}`);
      }
      // 400 canaries, all guessed right: q^400 = 0.05 / 6 gives ε >= -ln((0.05 / 6)^(-1/400) - 1) = 4.4 at the very most.
      assert.equal(open.epsilonAtMost, null);
      assert.ok(open.bounds[0].epsilonAtLeast > 3 && open.bounds[0].epsilonAtLeast < 4.5);
      assert.ok(open.bounds[2].auc! > 0.9 && noisy.bounds[2].auc! < 0.75);
      assert.equal(openClients.epsilonAtMost, null);
      assert.ok(openClients.bounds[0].epsilonAtLeast > 3 && openClients.bounds[3].auc! > 0.8);
      assert.deepEqual(JSON.parse(await readFile(join(cwd, 'made', 'audit.json'), 'utf8')), report);
      assert.equal(await readFile(join(cwd, 'made', 'audit.svg'), 'utf8'), auditPicture(report));
    }));

  it('prints what is claimed beside what was proven, for the mode that was asked for', async () => {
    const out = await succeed([...AUDIT, '--privacy', 'central', '--rounds', '1'], { cwd: tmpdir() });
    assert.match(
      out,
      /^mode +claimed ε +proven ε at least +max \|contribution\|\/C\ncentral, noise 1\.7 +\d\.\d\d +\d\.\d\d +\d\.\d{4}\nclient, no noise +no bound/m,
    );
    assert.doesNotMatch(out, /example|local|distributed/);
  });

  it('refuses settings that make no sense', async () => {
    const { code, stderr } = await starling([...AUDIT, '--noise-multiplier', '0'], { cwd: tmpdir() });
    assert.equal(code, 2);
    assert.match(stderr, /noise-multiplier: expected a number above 0, got 0/);
  });
});
