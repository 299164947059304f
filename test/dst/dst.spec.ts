/**
 * The round engine, its fold and the client's session in thousands of seeded worlds: broken streams, lost and doubled
 * uploads, crashes on both sides between any two effects, refusals, stops; after every step the invariants.
 *
 *     SCHEDULES=1000000 npx mocha -g 'every invariant'      more of them
 *     SEED=1234 npx mocha -g 'every invariant'              that one alone
 */
import assert from 'node:assert/strict';
import { mutants } from './mutants.js';
import { type Scenario, scenarioOf } from './scenario.js';
import { shrink, simulate } from './simulate.js';

const schedules = Number(process.env.SCHEDULES ?? 1_500);
const seeds =
  process.env.SEED === undefined ? [0, schedules] : [Number(process.env.SEED), Number(process.env.SEED) + 1];
/** A mutant must be found within so many schedules, nearly all are within ten; or in this one, which is as rare as its fault. */
const MUTANT_SCHEDULES = 1_000;
const RARE_SEED = 1836;

function describeFailure(scenario: Scenario): string {
  const small = shrink(scenario);
  const lines = small.faults.map((fault) => `  ${JSON.stringify(fault)}`);
  const { seed, spec, clients } = small;
  return [
    `SEED=${seed}: ${simulate(small).violation?.message}`,
    `needs ${lines.length} of ${scenario.faults.length} faults:`,
    ...lines,
    JSON.stringify({ spec, clients }),
  ].join('\n');
}

function firstFailure(name: string): Scenario | undefined {
  for (const seed of [RARE_SEED, ...Array(MUTANT_SCHEDULES).keys()]) {
    const scenario = scenarioOf(seed);
    if (simulate(scenario, mutants[name]).violation !== undefined) return scenario;
  }
  return undefined;
}

describe('the round engine under faults', () => {
  it(`keeps every invariant in schedules ${seeds[0]} to ${seeds[1] - 1}`, function () {
    this.timeout(0);
    for (let seed = seeds[0]; seed < seeds[1]; seed++) {
      const scenario = scenarioOf(seed);
      if (simulate(scenario).violation !== undefined) assert.fail(describeFailure(scenario));
    }
  });

  it('does the same for the same seed', () => {
    const hashes = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const once = simulate(scenarioOf(seed));
      const again = simulate(scenarioOf(seed));
      assert.equal(again.traceHash, once.traceHash, `SEED=${seed}`);
      assert.equal(again.events, once.events);
      hashes.add(once.traceHash);
    }
    assert.equal(hashes.size, 50);
  });

  it('reaches every stage with a crash, a stop, a late answer and a client that comes or goes', () => {
    const seen = new Set<string>();
    const rare = [932, 988, 1465]; // an update by an attempt, one that goes after the commit, an evaluation that is late by a round
    const looked = [...Array.from({ length: 600 }, (_, seed) => seed), ...rare];
    for (const seed of looked) for (const what of simulate(scenarioOf(seed)).seen) seen.add(what);
    const stages = ['waiting', 'training', 'committing', 'committed', 'evaluating'];
    const everywhere = ['crash', 'stop', 'online', 'offline'];
    const expected = [
      ...everywhere.flatMap((what) => stages.map((stage) => `${what} while ${stage}`)),
      'arrived while training',
      'arrived while committing',
      'arrived while waiting',
      'invalid while training',
      'declined while training',
      'declined while evaluating',
      'evaluated while training',
      'stored while ended',
      'timer while committed',
      'resume while ended',
    ];
    assert.deepEqual(
      expected.filter((what) => !seen.has(what)),
      [],
    );
  });
});

describe('the invariants', () => {
  for (const name of Object.keys(mutants)) {
    it(`find out when ${name}`, () => {
      assert.notEqual(firstFailure(name), undefined, `${MUTANT_SCHEDULES} schedules without a violation`);
    });
  }
});

describe('a failing schedule', () => {
  it('is made small: every fault that is left is needed, and it still fails in the same way', () => {
    const name = 'an update that comes again is added again';
    const scenario = firstFailure(name)!;
    const small = shrink(scenario, mutants[name]);
    const broken = (one: Scenario) => simulate(one, mutants[name]).violation?.invariant;
    assert.equal(broken(small), broken(scenario));
    assert.ok(small.faults.length < scenario.faults.length);
    small.faults.forEach((_, at) => {
      assert.notEqual(broken({ ...small, faults: small.faults.toSpliced(at, 1) }), broken(small));
    });
  });
});
