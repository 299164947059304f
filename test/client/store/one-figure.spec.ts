import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { budgetDeclineReasonOf, declineReasonOf, parsePolicy } from '../../../client/round/policy.js';
import { exampleCostOf, releaseIdOf } from '../../../client/round/privatize.js';
import { ACCOUNT_FILE, openAccount } from '../../../client/store/privacy-account.js';
import { linesOf } from '../../../shared/chain/chain.js';
import { type Charges, charge, composedEpsilon, encodeCharges } from '../../../shared/privacy/index.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import { costOf, epsilonAfter } from '../../../shared/run/privacy-cost.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { countedMath } from '../../support/counted-math.js';
import { cases } from '../../support/lane.js';
import { exampleSpec as EXAMPLE, privatePlan as plan } from '../../support/private-plan.js';

const CENTRAL: PrivacySpec = { mode: 'central', clippingBound: 1, noiseMultiplier: 4, delta: 1e-5, cohortMax: 10 };
const identity = identityFromSeed(new Uint8Array(32).fill(1));

describe('one figure of privacy', () => {
  let directory: string;
  const open = () => openAccount(directory, { identity, delta: 1e-5 });
  const path = () => join(directory, ACCOUNT_FILE);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-account-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const runs: Readonly<Record<string, PrivacySpec>> = {
    'little noise, seldom': { ...EXAMPLE, noiseMultiplier: 0.8, samplingRate: 0.01 },
    'as in the docs': { ...EXAMPLE, noiseMultiplier: 1.5, samplingRate: 0.2 },
    'much noise, always': { ...EXAMPLE, noiseMultiplier: 8, samplingRate: 1 },
    'local noise': { ...CENTRAL, mode: 'local' },
  };
  for (const [name, privacy] of Object.entries(runs)) {
    it(`is the client's and the run's, within 2 % of each other after every round: ${name}`, async () => {
      const account = await open();
      const cost = costOf(plan(1, privacy).work)!;
      for (let round = 1; round <= 9; round++) {
        await account.charge(plan(round, privacy));
        const run = epsilonAfter(cost, round);
        assert.ok(
          Math.abs(account.epsilon / run - 1) < 0.02,
          `round ${round}: ${account.epsilon}, the run says ${run}`,
        );
      }
    });
  }

  it('declines in round 1 what would cross the limit in round 9, and takes part to the end in what would not', async () => {
    const cost = costOf(plan(1).work)!;
    const [eight, nine] = [8, 9].map((rounds) => epsilonAfter(cost, rounds));
    const account = await open();
    const policyOf = (limit: number) => parsePolicy(`max-epsilon: ${limit}`, 'policy.yaml');
    const refusal = budgetDeclineReasonOf(policyOf((eight + nine) / 2), plan(1), account)!;
    const got =
      /^policy: max-epsilon: expected at most [0-9.]+, got ([0-9.]+) after the last of the run's 9 rounds; 0\.000 so far; next: /.exec(
        refusal,
      );
    assert.ok(got !== null && Math.abs(Number(got[1]) / nine - 1) < 0.02, refusal);
    for (let round = 1; round <= 9; round++) {
      for (const attempt of [1, 2]) {
        const asked = plan(round, EXAMPLE, { attempt });
        assert.equal(budgetDeclineReasonOf(policyOf(nine * 1.001), asked, account), undefined, `round ${round}`);
        await account.charge(asked);
      }
    }
  });

  for (const [name, privacy] of Object.entries(runs)) {
    it(`takes part to the end of a run whose budget is the site's own limit, and in no round beyond: ${name}`, async () => {
      const cost = costOf(plan(1, privacy).work)!;
      const [four, five] = [4, 5].map((rounds) => epsilonAfter(cost, rounds));
      for (const limit of [four, (four + five) / 2]) {
        await rm(path(), { force: true });
        const account = await open();
        const policy = parsePolicy(`max-epsilon: ${Number(limit.toPrecision(6))}`, 'policy.yaml');
        const asked = (round: number) => plan(round, { ...privacy, epsilonBudget: Number(limit.toPrecision(6)) });
        for (let round = 1; round <= 4; round++) {
          assert.equal(budgetDeclineReasonOf(policy, asked(round), account, round > 1), undefined, `round ${round}`);
          await account.charge(asked(round));
        }
        const beyond = budgetDeclineReasonOf(policy, asked(5), account, true); // from who does not keep to it
        assert.match(beyond!, /^policy: max-epsilon: expected at most .* after this plan; /);
      }
      await rm(path(), { force: true });
      const tight = parsePolicy(`max-epsilon: ${(four + five) / 2 - (five - four)}`, 'policy.yaml');
      const early = budgetDeclineReasonOf(
        tight,
        plan(1, { ...privacy, epsilonBudget: (four + five) / 2 }),
        await open(),
      );
      assert.match(early!, /after the last of the run's 9 rounds that epsilon-budget [0-9.]+ allows; 0\.000 so far/);
    });
  }

  it('counts rounds under a tree as often as one client may take part in them', async () => {
    const tree = plan(1, { ...CENTRAL, tree: { separation: 4 } }); // rounds 1, 5 and 9
    const account = await open();
    const { release } = exampleCostOf(tree)!;
    const most = composedEpsilon([{ release, count: 3 }], 1e-5, { accountant: 'rdp' });
    const epsilon = account.epsilonAfterRun(tree);
    assert.ok(epsilon >= most && epsilon < most * 1.001, `${epsilon} for ${most}`);
  });

  it('is decided within bounded work, whatever a plan names', async function () {
    this.timeout(240_000);
    const policy = { 'max-epsilon': 10 }; // and no other key, so that each plan is priced
    const account = await open();
    const decide = (asked: RoundPlan) =>
      declineReasonOf(policy, asked) ?? budgetDeclineReasonOf(policy, asked, account);
    const noises = [0.002, 1e-9, 1e-300, 0.01, 0.3, 1e300];
    for (const mode of ['example', 'central', 'local'] as const) {
      for (const noiseMultiplier of noises) {
        for (const samplingRate of [1e-300, 1e-9, 0.01, 1]) {
          for (const rounds of [1, 1_000_000]) {
            const asked = plan(1, { ...EXAMPLE, mode, noiseMultiplier, samplingRate, cohortMax: 1_000_000 });
            const training = { ...asked.work.training, localSteps: 1_000_000 };
            const { result } = countedMath(2e7, () => decide({ ...asked, work: { ...asked.work, rounds, training } }));
            const at = `${mode}, σ ${noiseMultiplier}, q ${samplingRate}, ${rounds} rounds: ${result}`;
            if (noiseMultiplier < 0.01) {
              assert.match(result!, /^plan: noiseMultiplier: expected at least 0\.01, got /, at);
            } else if (noiseMultiplier > 1e6) {
              assert.match(result!, /^plan: noiseMultiplier: expected at most 1000000, got 1e\+300$/, at);
            } else if (result !== undefined) {
              assert.match(
                result,
                /^(policy: max-epsilon|plan: (rounds x local-steps|samplingRate|valueBits)): expected/,
                at,
              );
            }
          }
        }
      }
    }
    const phases = Array.from({ length: 40_000 }, () => plan(1).work.phases[0]);
    const many = { ...plan(1, CENTRAL), work: { ...plan(1, CENTRAL).work, phases } };
    assert.match(decide(many)!, /^plan: phases: expected at most 64 with privacy, got 40000$/);
  });

  it('stays cheap however many different plans a client was charged for', async () => {
    let account = await open();
    const varied = (round: number) => plan(1, { ...EXAMPLE, noiseMultiplier: 2 + round / 1000 }, { run: `r${round}` });
    const plans = cases(20, 60);
    for (let round = 0; round < plans; round++) await account.charge(varied(round));
    const [{ entry }] = linesOf(await readFile(path()))
      .slice(-1)
      .map((text) => JSON.parse(text));
    assert.equal(entry.accountant, 'pld');
    account = await open();
    const spends = Array.from({ length: plans + 1 }, (_, round) => exampleCostOf(varied(round))!);
    const { result } = countedMath(2e7, () => account.epsilonAfter(varied(plans)));
    assert.ok(result > entry.epsilonAfter && result <= composedEpsilon(spends, 1e-5, { accountant: 'rdp' }));
  });

  it('goes on with an account that an older version began by Rényi accounting', async () => {
    const terms = { unit: 'example', delta: 1e-5, accountant: 'rdp' } as const;
    let old: Charges = [];
    for (const round of [1, 2, 3]) {
      const release = { runId: releaseIdOf(plan(round)), round, spends: [exampleCostOf(plan(round))!] };
      const noise = { clippingBound: 1, noiseStdDev: 2, sampling: 'poisson-secret', survivors: 1 } as const;
      old = charge(old, { ...release, ...noise }, terms, identity);
    }
    await writeFile(path(), encodeCharges(old));
    const account = await open();
    const cost = costOf(plan(1).work)!;
    assert.ok(Math.abs(account.epsilon / epsilonAfter(cost, 3) - 1) < 0.02, `${account.epsilon}`);
    await account.charge(plan(2)); // was charged, by another version's record
    assert.equal(linesOf(await readFile(path())).length, 3);
    for (const round of [4, 5, 6, 7, 8, 9]) await account.charge(plan(round));
    const run = epsilonAfter(cost, 9);
    assert.ok(Math.abs(account.epsilon / run - 1) < 0.02, `${account.epsilon}, the run says ${run}`);
    const figures = linesOf(await readFile(path())).map((text) => JSON.parse(text).entry);
    assert.deepEqual(
      figures.map(({ accountant }) => accountant),
      [...Array(3).fill('rdp'), ...Array(6).fill('pld')],
    );
    assert.equal((await open()).epsilon, account.epsilon);
    const stored: Charges = figures.map((entry) => ({ entry, signature: '' }));
    assert.throws(
      () => charge(stored, { ...figures[0], runId: 'new' }, terms, identity),
      /terms of the charges: expected .*pld, got .*rdp/,
    );
  });
});
