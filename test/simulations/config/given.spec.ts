/** Settings that cannot work: found before anything starts, for a simulation and for a run of labs, with the mend. */
import assert from 'node:assert/strict';
import type { Workload } from '../../../client/workload.js';
import { loadWorkload } from '../../../client/workloads/index.js';
import { FlError } from '../../../shared/errors.js';
import { checkSecureSpec } from '../../../shared/run/secagg-params.js';
import { resolveForLabs } from '../../../simulations/config/for-labs.js';
import { checkGivenSimulation } from '../../../simulations/config/given.js';
import { notesForOperator, notesOn } from '../../../simulations/config/notes.js';
import { checkConfig, type Resolved, resolve } from '../../../simulations/config/resolve.js';
import { checkShares } from '../../../simulations/config/shares.js';

const SECURE = { 'secure-aggregation': true };
const OF_THREE = { ...SECURE, clients: 3, cohort: 3 };

describe('settings that cannot work', () => {
  let cnn: Workload;
  before(async () => {
    cnn = await loadWorkload('cnn');
  });

  const CNN = { workload: 'cnn', scale: 'smoke' };
  /** As `starling simulate` does before it makes anything. */
  function simulation(keys: object): Resolved {
    const given = { ...CNN, ...keys };
    const resolved = resolve(checkConfig(given, 'options'), cnn);
    checkGivenSimulation(given, resolved);
    return resolved;
  }
  const refused = async (start: () => unknown): Promise<string> => {
    const thrown = await Promise.resolve()
      .then(start)
      .then(
        () => assert.fail('it was taken'),
        (error) => error,
      );
    assert.ok(thrown instanceof FlError, String(thrown));
    assert.equal(thrown.code, 'invalid-argument');
    return thrown.message;
  };

  const EVERYWHERE: readonly [what: string, keys: object, message: string | RegExp][] = [
    [
      'fewer survivors than any sum of the cohort has',
      { ...OF_THREE, 'min-survivors': 2 },
      'min-survivors: expected at least 3 with secure-aggregation, got 2: a cohort of 3 with adversary-fraction 0.05 tolerates 0 drop-outs; for 1 take a cohort of 4',
    ],
    [
      'more drop-outs than the cohort stands',
      { ...OF_THREE, 'drop-fraction': 0.34 },
      'drop-fraction: expected one that a cohort of 3 stands, got 0.34, which is 1 drop-out of it: a cohort of 3 with adversary-fraction 0.05 tolerates 0 drop-outs; for 1 take a cohort (and min-clients) of 4, or lower drop-fraction below 0.333',
    ],
    [
      'drop-outs that no cohort stands',
      { ...OF_THREE, cohort: 10, clients: 10, 'drop-fraction': 0.6 },
      /a cohort of 10 with adversary-fraction 0\.05 tolerates 4 drop-outs; no cohort stands that: lower drop-fraction below 0\.5$/,
    ],
    [
      'a cohort of which too many may collude',
      { ...OF_THREE, 'adversary-fraction': 0.7 },
      /^adversary-fraction: expected one that leaves 3 clients a safe graph, got 0\.7/,
    ],
    [
      'a larger cohort that may be drawn while few are there',
      { ...SECURE, clients: 10, cohort: 10, 'min-clients': 3, 'min-survivors': 3, 'drop-fraction': 0.34 },
      /^drop-fraction: expected one that a cohort of 3 stands/,
    ],
    [
      'groups that do not stand it',
      { ...SECURE, clients: 9, cohort: 9, 'secure-groups': 3, 'drop-fraction': 0.4 },
      /^drop-fraction: expected one that a cohort of 3 stands, got 0\.4/,
    ],
    [
      'a secure cohort of two',
      { ...OF_THREE, 'min-clients': 2, 'min-survivors': 2 },
      'min-clients: expected at least 3 with secure-aggregation, got 2',
    ],
    [
      'a weight cap that leaves values no bits',
      { ...OF_THREE, 'weight-cap': 1_000_000, cohort: 30, clients: 30 },
      /^cohort x weight-cap: expected at most \d+, got 30000000$/,
    ],
    [
      'a key of secure aggregation without it',
      { 'secure-aggregation': false, 'value-range': 2 },
      'value-range: expected secure-aggregation to be on, got "off"',
    ],
    [
      'a budget that one round exceeds',
      { privacy: 'example', 'epsilon-budget': 0.5 },
      /^epsilon-budget: expected at least \d+\.\d{4}, which one round costs at this noise, got 0\.5$/,
    ],
    ['a cohort larger than the federation', { clients: 3, cohort: 5 }, 'cohort: expected at most clients (3), got 5'],
    [
      'epochs and steps at once',
      { 'local-epochs': 1, 'local-steps': 3 },
      'local-epochs and local-steps: expected one of the two, got "both"',
    ],
  ];
  for (const [what, keys, message] of EVERYWHERE) {
    it(`are refused: ${what}`, async () => {
      const said = [
        await refused(() => simulation(keys)),
        await refused(() => resolveForLabs({ ...CNN, ...keys }, 'run.yaml')),
      ];
      for (const text of said) {
        if (typeof message === 'string') assert.equal(text, message);
        else assert.match(text, message);
      }
    });
  }

  it('are refused by a coordinator too, whoever sends the specification', async () => {
    const { spec } = simulation(OF_THREE);
    const secure = { ...spec.work.secure!, dropFraction: 0.34 };
    const crafted = { ...spec, work: { ...spec.work, secure } };
    assert.match(await refused(() => checkSecureSpec(crafted)), /tolerates 0 drop-outs; for 1 take a cohort/);
  });

  it('are refused in a simulation: more clients to wait for than there are', async () => {
    const message = await refused(() => simulation({ clients: 3, cohort: 2, 'min-clients': 4 }));
    assert.equal(message, 'min-clients: expected at most clients (3), for no more will come, got 4');
  });

  it('are refused in a simulation: data that cannot be divided so', async () => {
    const tooMany = simulation({ clients: 4, cohort: 4, partition: 'shards:100000' });
    assert.match(
      await refused(() => checkShares(cnn, tooMany)),
      /^shards:100000: expected clients \* 100000 of at most/,
    );
    const two: Workload = { ...cnn, examples: () => ({ train: { count: 2 }, test: { count: 2 } }) };
    const four = simulation({ clients: 4, cohort: 4, partition: 'iid' });
    assert.equal(
      await refused(() => checkShares(two, four)),
      'clients: expected at most the 2 training examples, got 4',
    );
    assert.deepEqual(await checkShares(cnn, four), []);
  });

  it('are refused in a simulation that holds out all there is to train with, and told where some clients are left none', async () => {
    const few = (count: number, more: object) => {
      const workload: Workload = { ...cnn, examples: () => ({ train: { count }, test: { count } }) };
      const keys = { cohort: 10, clients: 10, partition: 'iid', 'validation-fraction': 0.5, ...more };
      return checkShares(workload, simulation(keys));
    };
    // ten clients of one example each: half of them keep theirs
    assert.deepEqual(await few(10, {}), [
      'WARNING  validation-fraction 0.5 leaves 5 of 10 clients no training examples (they have 1 example each): they evaluate, and train nothing; 5 train',
      'note: 5 of 10 clients hold out nothing at validation-fraction 0.5',
    ]);
    const expected = 'expected a fraction that leaves 6 clients something to train with (min-survivors 6)';
    assert.equal(
      await refused(() => few(10, { 'min-survivors': 6 })),
      `validation-fraction: ${expected}, got 0.5, which leaves 5 of 10 clients any: lower it, or take fewer clients`,
    );
    const alone = { cohort: 1, clients: 1, 'min-survivors': 1 };
    assert.match(await refused(() => few(1, alone)), /, got 0.5, which leaves 0 of 1 client any: lower it/);
    assert.deepEqual(await few(1000, {}), []);
  });

  for (const key of ['workers', 'backend', 'transport', 'dropout', 'baselines', 'out', 'secret-noise'] as const) {
    it(`are refused in a run of labs: ${key}, which means nothing there`, async () => {
      const values = {
        workers: 2,
        backend: 'cpu',
        transport: 'grpc',
        dropout: 0.1,
        baselines: 'all',
        out: 'x',
        'secret-noise': true,
      };
      const keys = { ...CNN, privacy: 'example', [key]: values[key] };
      const message = await refused(() => resolveForLabs(keys, 'run.yaml'));
      assert.match(message, new RegExp(`^run\\.yaml: ${key}: expected no such key in a run of labs, got one; .+$`));
    });
  }

  it('are not those that work: at the edge of each refusal', async () => {
    simulation({ ...SECURE, clients: 4, cohort: 4, 'min-survivors': 3, 'drop-fraction': 0.34 });
    simulation(OF_THREE);
    simulation({ clients: 3, cohort: 2, 'min-clients': 3 });
    await resolveForLabs({ ...CNN, cohort: 3 }, 'run.yaml');
  });

  it('are noted to who starts a run of labs: too few of them, and what a lab without a policy declines', async () => {
    const resolved = await resolveForLabs({ ...CNN, cohort: 4, 'secure-aggregation': false }, 'run.yaml');
    const labs = [
      { name: 'a', online: true },
      { name: 'b', online: false },
    ];
    assert.deepEqual(notesForOperator(resolved, labs), [
      'note: it waits for 4 labs (min-clients); 2 are enrolled, 1 of them are here',
      "note: a lab without a policy of its own declines this run: policy: require-secure-aggregation: expected secure aggregation, got none; next: set secure-aggregation: true in the run, or set this key to false in the site's policy",
    ]);
    assert.deepEqual(notesForOperator(await resolveForLabs({ ...CNN, cohort: 3 }, 'run.yaml'), [...labs, ...labs]), []);
  });

  it('are noted where they work and may surprise: rounds that a budget does not reach, drop-outs that are too many', () => {
    const short = simulation({ privacy: 'example', rounds: 100, 'epsilon-budget': 6 });
    assert.match(
      notesOn(short)[0],
      /^note: epsilon-budget 6 allows a client that is in every round \d+ of 100 rounds \(epsilon \d\.\d+ after \d+\)$/,
    );
    const ten = simulation({ ...SECURE, clients: 10, cohort: 10, 'min-survivors': 5 });
    assert.deepEqual(notesOn(ten), [
      'note: secure aggregation of 10 tolerates 4 that drop out once keys are exchanged (adversary-fraction 0.05); with more the round is repeated',
    ]);
    assert.deepEqual(notesOn(simulation({})), []);
  });
});
