/**
 * Whatever is wrong with a configuration, the message names what its author wrote: each key with each value of a list, and
 * two and three keys at once, from a fixed seed.
 */
import assert from 'node:assert/strict';
import type { Workload } from '../../../client/workload.js';
import { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { SETTINGS } from '../../../shared/run/settings.js';
import { checkGivenForLabs, checkGivenSimulation } from '../../../simulations/config/given.js';
import { inKeys } from '../../../simulations/config/in-keys.js';
import { checkConfig, resolve } from '../../../simulations/config/resolve.js';
import prices from '../../fixtures/workloads/prices.js';

const SEED = Number(process.env.KEYS_SEED ?? 14);
const NUMBERS = [0, 1, 2, 3, 9, 0.001, 0.3, 0.5, 0.9, 1.5, 1e6, 1e-9, 1e300, 7e8];
const WORDS = [
  ...['', 'x', 'minSurvivors', 'median', 'trimmed-mean:0.4', 'adaptive', 'tree', 'int8', 'top-k:0.1', 'fedadam', 'all'],
  ...['fedprox:mu=0.1', 'test.rmse', 'test.x:patience=2', 'validation.loss', 'shards:900', 'dirichlet:0.1', 'natural'],
  ...['central', 'local', 'distributed', 'example', 'cosine', 'wasm', 'fedavg:lr=0'],
];
const VALUES = [...NUMBERS, ...WORDS, true, false];
const PRIVACIES = ['central', 'local', 'distributed', 'example'];
const BASES: object[] = [
  ...[{}, { cohort: 3 }, { 'secure-aggregation': true }],
  { 'secure-aggregation': true, 'secure-groups': 3, clients: 12, cohort: 9 },
  ...PRIVACIES.flatMap((privacy) => [{ privacy }, { privacy, 'secure-aggregation': true, clients: 20, cohort: 10 }]),
];
const POSSIBLE = Object.entries(SETTINGS)
  .map(([key, { schema }]) => [key, VALUES.filter((value) => schema.safeParse(value).success)] as const)
  .filter(([key]) => key !== 'workload');

/** The message that this is refused with; undefined: it works. */
function refusal(given: object): string | undefined {
  const workload = prices as Workload;
  try {
    const resolved = resolve(checkConfig({ workload: 'prices', ...given }, 'run.yaml'), workload);
    checkGivenSimulation(given, resolved);
    checkGivenForLabs(given, resolved, 'run.yaml');
    return undefined;
  } catch (thrown) {
    assert.ok(thrown instanceof FlError, `${JSON.stringify(given)}: ${(thrown as Error).stack}`);
    assert.equal(thrown.code, 'invalid-argument', thrown.message);
    return thrown.message;
  }
}

/** `key`, `run.yaml: key`, `key with ...`, `key x key`, `stop-when.metric`, `hyper.NAME`: all words of them are keys or small. */
function isInKeys(message: string): boolean {
  const unquoted = message.replace(/"(?:[^"\\]|\\.)*"/g, '');
  const first = /^(?:run\.yaml: )?([a-z-]+)/.exec(message)?.[1] ?? '';
  return !/[a-z][A-Z]/.test(unquoted) && (first in SETTINGS || first === 'groups') && /, got |; got /.test(message);
}

describe('a message about a configuration', () => {
  it('names the key, and what was expected and got, whichever key is wrong in whatever run', () => {
    const wrong: string[] = [];
    const seen = new Set<string>();
    const look = (given: object) => {
      const message = refusal(given);
      if (message === undefined) return;
      seen.add(/^(?:run\.yaml: )?([a-z-]+)/.exec(message)?.[1] ?? '');
      if (!isInKeys(message)) wrong.push(`${message}   ${JSON.stringify(given)}`);
    };
    for (const base of BASES.slice(0, 4)) {
      for (const [key, values] of POSSIBLE) for (const value of values) look({ ...base, [key]: value });
    }
    const rng = rngFromSeed(SEED);
    const pick = <T>(items: readonly T[]): T => items[rng.below(items.length)];
    for (let i = 0; i < 1500; i++) {
      const given: Record<string, unknown> = { ...pick(BASES) };
      for (let more = 1 + rng.below(3); more > 0; more--) {
        const [key, values] = pick(POSSIBLE);
        if (values.length > 0) given[key] = pick(values);
      }
      look(given);
    }
    assert.equal(wrong.length, 0, `KEYS_SEED=${SEED}: ${wrong.length}\n${[...new Set(wrong)].slice(0, 20).join('\n')}`);
    for (const key of ['min-survivors', 'min-clients', 'secure-groups', 'evaluate-clients', 'noise-multiplier']) {
      assert.ok(seen.has(key), `${key} was never wrong`);
    }
  });

  it('says min-survivors to whoever wrote it', () => {
    const message = refusal({ 'min-survivors': 9, cohort: 3 });
    assert.equal(message, 'min-survivors: expected at most the cohort (3), got 9');
  });

  it('knows every key, and leaves alone what was typed and what is no fault of an argument', () => {
    for (const key of Object.keys(SETTINGS)) {
      const field = key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
      const fail = () => {
        throw new FlError('invalid-argument', `${field}: expected less, got "${field}"`);
      };
      assert.throws(() => inKeys(fail), { message: `${key}: expected less, got "${field}"` });
    }
    const bug = new TypeError('minSurvivors is not a function');
    assert.throws(
      () =>
        inKeys(() => {
          throw bug;
        }),
      bug,
    );
  });
});
