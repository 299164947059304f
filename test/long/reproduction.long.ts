/**
 * docs/reproduction.md, run as it stands: its `sh-long` blocks in one folder, then each row of its tables against the run
 * directories that it names (NAME, or the mean over NAME-1, NAME-2 …).
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { ROOT, succeed, withFolder } from '../e2e/support.js';

const HOUR_MS = 3_600_000;

interface Row {
  readonly name: string;
  readonly rule: string;
}

describe('docs/reproduction.md', function () {
  this.timeout(2 * HOUR_MS);

  it('holds, row by row', () =>
    withFolder(async (folder) => {
      const page = await readFile(join(ROOT, 'docs/reproduction.md'), 'utf8');
      for (const command of commandsOf(page)) await succeed(command.split(' ').slice(1), { cwd: folder });
      const rows = rowsOf(page);
      assert.ok(rows.length > 0);
      for (const { name, rule } of rows) await check(folder, name, rule);
    }));
});

function commandsOf(page: string): string[] {
  return [...page.matchAll(/^```sh-long\n(.*?)^```$/gms)].flatMap(([, block]) => block.trimEnd().split('\n'));
}

/** Table rows that begin with a run directory and end with a rule. */
function rowsOf(page: string): Row[] {
  return [...page.matchAll(/^\| `([^`]+)` .*\|([^|]+)\|$/gm)].map(([, name, rule]) => ({ name, rule: rule.trim() }));
}

async function check(folder: string, name: string, rule: string): Promise<void> {
  const got = await accuracyOf(folder, name);
  const least = /^at least ([\d.]+) %$/.exec(rule);
  const near = /^within ([\d.]+) points? of `([^`]+)`$/.exec(rule);
  if (least !== null) assert.ok(got >= Number(least[1]), `${name}: ${got} %, ${rule}`);
  else if (near !== null) {
    const other = await accuracyOf(folder, near[2]);
    assert.ok(Math.abs(got - other) <= Number(near[1]), `${name}: ${got} %, ${near[2]}: ${other} %, ${rule}`);
  } else assert.equal(rule, 'what it is', `a rule for ${name}`);
}

/** Test accuracy in per cent, the mean over the directories of this name. */
async function accuracyOf(folder: string, name: string): Promise<number> {
  const found = (await readdir(folder)).filter((entry) => entry === name || entry.replace(/-\d+$/, '') === name);
  assert.ok(found.length > 0, `no run directory ${name}`);
  const figures = await Promise.all(
    found.map(async (directory) => {
      const report = JSON.parse(await readFile(join(folder, directory, 'report.json'), 'utf8')) as Report;
      return 100 * report.final.metrics['test.accuracy'];
    }),
  );
  return figures.reduce((sum, figure) => sum + figure, 0) / figures.length;
}
