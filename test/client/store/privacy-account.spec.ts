import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { budgetDeclineReasonOf, declineReasonOf, parsePolicy } from '../../../client/round/policy.js';
import { exampleCostOf, privatize, releaseIdOf } from '../../../client/round/privatize.js';
import { ACCOUNT_FILE, openAccount } from '../../../client/store/privacy-account.js';
import { linesOf } from '../../../shared/chain/chain.js';
import { composedEpsilon, treeSpend } from '../../../shared/privacy/index.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { exampleSpec as EXAMPLE, privatePlan as plan } from '../../support/private-plan.js';

const CENTRAL: PrivacySpec = { mode: 'central', clippingBound: 1, noiseMultiplier: 4, delta: 1e-5, cohortMax: 10 };

describe("a client's own account of privacy", () => {
  const identity = identityFromSeed(new Uint8Array(32).fill(1));
  let directory: string;
  const open = () => openAccount(directory, { identity, delta: 1e-5 });
  const path = () => join(directory, ACCOUNT_FILE);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-account-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('adds up over runs and restarts what the accountant says', async () => {
    await (await open()).charge(plan(1));
    await (await open()).charge(plan(1, EXAMPLE, { run: 'another' }));
    const release = { mechanism: 'gaussian', noiseMultiplier: 2, samplingRate: 0.1 } as const;
    const expected = composedEpsilon([{ release, count: 10 }], 1e-5);
    const { epsilon } = await open();
    assert.ok(epsilon >= expected && epsilon <= expected * 1.002, `${epsilon} for ${expected}`);
  });

  it('charges a release once, however often the round is asked for again', async () => {
    const account = await open();
    await account.charge(plan(1));
    const once = account.epsilon;
    await account.charge(plan(1, EXAMPLE, { attempt: 2, deadlineMs: 5 }));
    assert.equal(account.epsilon, once);
    assert.equal(account.epsilonAfter(plan(1)), once);
    assert.ok(account.epsilonAfter(plan(2)) > once);
    // another model, or anything else that the numbers depend on, is another release
    await account.charge(plan(1, EXAMPLE, { modelSha256: 'f'.repeat(64) }));
    assert.ok(account.epsilon > once);
    assert.equal(linesOf(await readFile(path())).length, 2);
  });

  it('prices the evaluations of a run with its rounds, where test figures are noised', async () => {
    const metrics = [{ name: 'accuracy', size: 1, max: 1 }];
    const tests = { noiseMultiplier: 3, evaluations: 4, metrics };
    const noised = { ...EXAMPLE, tests };
    const judged = (round: number, more: Partial<RoundPlan> = {}) => plan(round, noised, { kind: 'evaluate', ...more });
    const priced = (rounds: number, evaluations: number) => {
      const train = {
        release: { mechanism: 'gaussian', noiseMultiplier: 2, samplingRate: 0.1 },
        count: 5 * rounds,
      } as const;
      const test = { release: { mechanism: 'zcdp', rho: 1 / 18 }, count: evaluations } as const;
      return composedEpsilon(
        [train, test].filter(({ count }) => count > 0),
        1e-5,
      );
    };
    const near = (epsilon: number, expected: number) =>
      assert.ok(epsilon >= expected * 0.999 && epsilon <= expected * 1.005, `${epsilon} for ${expected}`);
    const account = await open();
    near(account.epsilonAfterRun(plan(1, noised)), priced(9, 4));
    assert.ok(account.epsilonAfterRun(plan(1)) < account.epsilonAfterRun(plan(1, noised)));
    const limit = account.epsilonAfterRun(plan(1, noised)) * 0.99;
    assert.match(
      budgetDeclineReasonOf({ 'max-epsilon': limit }, plan(1, noised), account) ?? '',
      /^policy: max-epsilon/,
    );
    await account.charge(plan(1, noised));
    near(account.epsilonAfter(judged(1)), priced(1, 1));
    await account.charge(judged(1));
    near(account.epsilon, priced(1, 1));
    await account.charge(judged(1, { attempt: 2 }));
    near(account.epsilon, priced(1, 1));
    near(account.epsilonAfterRun(judged(9)), priced(1, 2));
    near(account.epsilonAfterRun(judged(1)), priced(9, 4));
    await account.charge(judged(1, { modelSha256: 'f'.repeat(64) }));
    near((await open()).epsilon, priced(1, 2));
    // figures without noise are in nobody's account
    await account.charge(plan(1, EXAMPLE, { kind: 'evaluate' }));
    near(account.epsilon, priced(1, 2));
  });

  it('cuts off a record that a crash left half written, and writes on', async () => {
    await (await open()).charge(plan(1));
    await appendFile(path(), '{"entry":{"accoun');
    const account = await open();
    await account.charge(plan(2));
    assert.equal(linesOf(await readFile(path())).length, 2);
  });

  it('does not open with any byte changed', async () => {
    await (await open()).charge(plan(1));
    const whole = await readFile(path());
    for (let at = 0; at < whole.length - 1; at += 7) {
      const changed = Buffer.from(whole);
      changed[at] ^= 1;
      await writeFile(path(), changed);
      await assert.rejects(open(), /privacy\.jsonl, record|corrupt/, `byte ${at}`);
    }
  });

  it('counts noise that hides whether it takes part as what it is for one of its examples', () => {
    const [central] = [exampleCostOf(plan(1, CENTRAL))!.release];
    // 1 / (2 z²), and an update can move by two bounds where a client that leaves moves the sum by one
    assert.ok('rho' in central && Math.abs(central.rho - 4 / 32) < 1e-9);
    const [local] = [exampleCostOf(plan(1, { ...CENTRAL, mode: 'local' }))!.release];
    assert.ok('rho' in local && Math.abs(local.rho - 4 / 32) < 1e-9);
  });

  it('charges rounds under a tree of noise at no less than the tree costs, however many they become', () => {
    const tree: PrivacySpec = { ...CENTRAL, tree: { separation: 2 } };
    const { work } = plan(1, tree);
    const charged = exampleCostOf(plan(1, tree))!.release;
    assert.ok('rho' in charged);
    for (let rounds = 1; rounds <= Math.ceil(work.rounds / 2); rounds++) {
      const participation = { most: rounds, separation: 2 };
      const { release } = treeSpend({ steps: work.rounds, noiseMultiplier: CENTRAL.noiseMultiplier, participation });
      assert.ok('rho' in release && rounds * charged.rho >= 4 * release.rho * (1 - 1e-9), `${rounds} rounds`);
    }
  });

  it('does not go on at another delta than it was begun with', async () => {
    await (await open()).charge(plan(1));
    const other = openAccount(directory, { identity, delta: 1e-6 });
    await assert.rejects(other, /delta: expected 0\.00001, which .*privacy\.jsonl was begun with, got 0\.000001/);
    await assert.rejects(openAccount(directory, { identity, delta: 1e-4 }), /was begun with, got 0\.0001/);
    assert.equal((await openAccount(directory, { identity })).delta, 1e-5);
  });

  it('lets a policy refuse what would cross its limit, or has too little noise', async () => {
    const policy = parsePolicy(
      'max-epsilon: 1\nrequire-privacy: [example]\nmin-noise-multiplier: 1.5\n',
      'policy.yaml',
    );
    const account = await open();
    const short = (round: number) => ({ ...plan(round), work: { ...plan(round).work, rounds: 1 } });
    assert.equal(budgetDeclineReasonOf(policy, short(1), account), undefined);
    for (let round = 1; round < 40; round++) await account.charge(plan(round));
    assert.match(
      budgetDeclineReasonOf(policy, short(40), account)!,
      /^policy: max-epsilon: expected at most 1, got 3\.36[0-9]+ after the last of the run's 1 rounds; 3\.3[0-9]+ so far; next: /,
    );
    assert.match(declineReasonOf(policy, plan(1, CENTRAL))!, /require-privacy: expected one of example, got central/);
    assert.match(declineReasonOf(policy, { ...plan(1), work: { ...plan(1).work, privacy: undefined } })!, /got none/);
    assert.match(
      declineReasonOf(policy, plan(1, { ...EXAMPLE, noiseMultiplier: 1 }))!,
      /min-noise-multiplier.*1\.5, got 1/,
    );
    const silent = { ...plan(1), work: { ...plan(1).work, privacy: undefined } };
    assert.match(budgetDeclineReasonOf(policy, silent, account)!, /got Infinity/);
  });
});

describe('what leaves a client under differential privacy', () => {
  const contribution = { values: Float32Array.of(3, 0, 4), weights: [17], metrics: { loss: { sum: [1], count: 17 } } };

  it('is whole numbers of weight 1, and no metric', () => {
    const { values, weights, metrics } = privatize(plan(1, CENTRAL), contribution, rngFromSeed(7));
    assert.ok(values.every(Number.isInteger));
    assert.deepEqual([weights, metrics], [[1], {}]);
    assert.ok(Math.abs(values[0] / values[2] - 3 / 4) < 1e-3 && Math.abs(values[1]) <= 1); // clipped, and central noise is not ours
  });

  it('has a name that holds all that the numbers depend on but the data, and not the attempt', () => {
    const local = { ...CENTRAL, mode: 'local' as const };
    assert.equal(releaseIdOf(plan(1, local, { attempt: 3, deadlineMs: 1 })), releaseIdOf(plan(1, local)));
    const others = [
      plan(2, local),
      plan(1, local, { run: 'another' }),
      plan(1, { ...local, clippingBound: 2 }),
      plan(1, local, { modelSha256: 'e'.repeat(64) }),
    ];
    assert.equal(new Set([plan(1, local), ...others].map(releaseIdOf)).size, 5);
  });

  it('has a name of its own for each aggregation when it holds a share of distributed noise', () => {
    const distributed = { ...CENTRAL, mode: 'distributed' as const };
    const secure = { nonce: '0'.repeat(32), enrolled: {} };
    const of = (more: object) => releaseIdOf(plan(1, distributed, { secure, ...more }));
    const others = [{ attempt: 2 }, { cohort: 9 }, { secure: { ...secure, nonce: '1'.repeat(32) } }];
    assert.equal(new Set([of({}), ...others.map(of)]).size, 4);
    const central = (more: object) => releaseIdOf(plan(1, CENTRAL, { secure, ...more }));
    assert.equal(new Set([central({}), ...others.map(central)]).size, 1);
  });
});

describe('an account whose disk fails', () => {
  const identity = identityFromSeed(new Uint8Array(32).fill(1));

  it('has charged nothing that the disk does not have, and goes on when it takes lines again', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-account-'));
    try {
      const path = join(directory, ACCOUNT_FILE);
      const account = await openAccount(directory, { identity, delta: 1e-5 });
      await account.charge(plan(1));
      const [before, lines] = [account.epsilon, await readFile(path)];
      await rm(path);
      const failed = account.charge(plan(2));
      const next = account.charge(plan(3)); // waits for the one before, and does not end with it
      await assert.rejects(failed, { message: /privacy\.jsonl: ENOENT/ });
      await assert.rejects(next, /ENOENT/);
      assert.deepEqual(
        [account.epsilon, account.isCharged(plan(2)), account.isCharged(plan(1))],
        [before, false, true],
      );
      await writeFile(path, lines);
      await account.charge(plan(2));
      assert.ok(account.isCharged(plan(2)) && account.epsilon > before);
      const again = await openAccount(directory, { identity });
      assert.equal(again.epsilon, account.epsilon, 'the chain is whole');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('says nothing of a charge that is still being written', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-account-'));
    try {
      const account = await openAccount(directory, { identity, delta: 1e-5 });
      const writing = account.charge(plan(1));
      for (let i = 0; i < 5; i++) await undefined; // it is at the disk by now, which takes longer than a promise
      assert.deepEqual([account.epsilon, account.isCharged(plan(1))], [0, false]);
      await writing;
      assert.ok(account.epsilon > 0 && account.isCharged(plan(1)));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
