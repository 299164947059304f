/** The table of settings as options: the command line reads what a file may hold. */
import assert from 'node:assert/strict';
import { Command } from 'commander';
import { configOf, SETTING_KEYS, settingOption } from '../../../cli/commands/settings.js';

describe('the options of a command', () => {
  function parsed(...args: string[]): Record<string, unknown> {
    const command = new Command('test').exitOverride().configureOutput({ writeErr: () => {} });
    for (const key of SETTING_KEYS) command.addOption(settingOption(key));
    return configOf(command.parse(args, { from: 'user' }).opts());
  }

  it('are read as what the key of a file may be', () => {
    const numbers = ['--rounds', '3', '--client-lr', '1e-2', '--seed', '-4', '--over-selection', '0.5'];
    const words = ['--scale', 'smoke', '--clipping-bound', 'adaptive', '--secure-aggregation', '--out', '7'];
    const own = ['--hyper', 'filters=8', '--hyper', 'kind=wide'];
    assert.deepEqual(parsed(...numbers, ...words, ...own), {
      rounds: 3,
      'client-lr': 0.01,
      seed: -4,
      'over-selection': 0.5,
      scale: 'smoke',
      'clipping-bound': 'adaptive',
      'secure-aggregation': true,
      out: '7',
      hyper: { filters: 8, kind: 'wide' },
    });
    assert.deepEqual(parsed('--clipping-bound', '0.5'), { 'clipping-bound': 0.5 });
    assert.deepEqual(parsed(), {});
  });

  it('say what they expect', () => {
    assert.throws(() => parsed('--rounds', '1.5'), /'--rounds <N>' .*expected an integer/);
    assert.throws(() => parsed('--client-lr', 'fast'), /'--client-lr <X>' .*expected a number/);
    assert.throws(() => parsed('--clipping-bound', 'none'), /'--clipping-bound <C>' .*expected a number/);
    assert.throws(() => parsed('--hyper', 'filters'), /'--hyper <KEY=VALUE>' .*expected KEY=VALUE/);
  });
});
