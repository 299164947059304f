/** One table: what the file, the help and the page say of a key is what the code has. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientCommand } from '../../../cli/commands/client.js';
import { parsePolicy, policyHelp, policyTable, policyText } from '../../../client/policy/file.js';
import { POLICY_DEFAULTS, policyRows } from '../../../client/policy/table.js';
import { ROOT } from '../../e2e/support.js';

describe("the table of a policy's keys", () => {
  it('begins a file that says what a site without one has', () => {
    assert.deepEqual(parsePolicy(policyText(), 'policy.yaml'), POLICY_DEFAULTS);
  });

  it('gives examples that a file may hold, for every key without a default', () => {
    const names = policyRows().map(([key]) => key);
    const examples = policyText().replace(new RegExp(`^# ((${names.join('|')}): )`, 'gm'), '$1');
    assert.deepEqual(Object.keys(parsePolicy(examples, 'policy.yaml')).sort(), names.sort());
  });

  it('has for each key a default that its schema takes, or words for having none', () => {
    for (const [key, { schema, default: value, without }] of policyRows()) {
      assert.notEqual(value === undefined, without === undefined, key);
      if (value !== undefined) assert.deepEqual(schema.parse(value), value, key);
    }
  });

  it('is the table of docs/policy.md, to the letter', async () => {
    const page = await readFile(join(ROOT, 'docs', 'policy.md'), 'utf8');
    assert.ok(page.includes(`\n${policyTable()}\n`), `docs/policy.md: expected this table\n${policyTable()}`);
  });

  it('is the help of starling client policy', () => {
    const policy = clientCommand().commands.find((command) => command.name() === 'policy')!;
    const texts: string[] = [];
    policy.configureOutput({ writeOut: (text) => texts.push(text) }).outputHelp();
    const shown = texts.join('');
    assert.ok(shown.includes(policyHelp()));
    for (const [key] of policyRows()) assert.ok(shown.includes(`\n  ${key}\n`), key);
  });
});
