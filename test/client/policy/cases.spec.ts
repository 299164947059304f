/** Rules of a site at their edges: what is just allowed, what is just not, and what is not there at all. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askFirstModel, modelsOf } from '../../../client/policy/first-model.js';
import { askMemory } from '../../../client/policy/memory.js';
import { openSitePolicy } from '../../../client/policy/site.js';
import { isNoisedByClients } from '../../../client/round/differencing.js';
import {
  budgetDeclineReasonOf,
  declineReasonOf,
  parsePolicy,
  secaggPolicyOf,
  siteRulesOf,
} from '../../../client/round/policy.js';
import { BEGUN_RUNS_FILE, type BegunRun } from '../../../client/store/begun-runs.js';
import { FlError } from '../../../shared/errors.js';
import { openedEntry, type RoundEntry } from '../../../shared/ledger/entry.js';
import { storedSpec } from '../../../shared/run/spec.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { FakeClock } from '../../support/fake-clock.js';
import { signedLedger, simulated } from '../../support/ledgers.js';
import { planOf } from '../../support/one-client.js';
import { exampleSpec, privatePlan } from '../../support/private-plan.js';
import { toySpec } from '../../support/toy.js';

describe('a key that asks for what a plan does not have', () => {
  it('is held against nothing: no noise is noise of 0', () => {
    const plain = planOf();
    for (const key of ['require-test-noise', 'min-noise-multiplier'] as const) {
      assert.match(
        declineReasonOf({ [key]: 0.1 }, plain) ?? '',
        new RegExp(`^policy: ${key}: expected at least 0.1, got 0;`),
      );
    }
    const exact = privatePlan(1, { ...exampleSpec, noiseMultiplier: 2 });
    assert.match(declineReasonOf({ 'require-test-noise': 1 }, exact) ?? '', /^policy: require-test-noise: .* got 0;/);
    assert.equal(declineReasonOf({ 'min-noise-multiplier': 2 }, exact), undefined, 'the least itself');
  });

  it('is held against the smallest sum, where a cohort is divided', () => {
    const enrolled = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`c${i}`, '0'.repeat(64)]));
    const plan = (survivorsMin: number) => {
      const work = { ...toySpec().work, secure: { ...SECURE, groupSize: 3, survivorsMin } };
      return planOf({ cohort: 11, work, secure: { nonce: '0'.repeat(32), enrolled } });
    };
    assert.equal(declineReasonOf({ 'min-cohort': 3 }, plan(3)), undefined);
    // least survivors that no group has promise nothing
    for (const survivorsMin of [3, 4]) {
      assert.match(
        declineReasonOf({ 'min-cohort': 4 }, plan(survivorsMin)) ?? '',
        /^policy: min-cohort: expected at least 4, got 3;/,
      );
    }
  });
});

describe('a plan of more work than a site allows', () => {
  const { work } = planOf();
  const asking = (localSteps: number) => planOf({ work: { ...work, training: { ...work.training, localSteps } } });

  it('is declined, or followed as far as is allowed where the site says so; too little stays too little', () => {
    assert.match(declineReasonOf({ 'max-local-steps': 4 }, asking(5)) ?? '', /^policy: max-local-steps: /);
    const fewer = { 'local-work': 'fewer', 'max-local-steps': 4, 'min-local-steps': 2 } as const;
    assert.equal(declineReasonOf(fewer, asking(5)), undefined);
    assert.match(declineReasonOf(fewer, asking(1)) ?? '', /^policy: min-local-steps: /);
    assert.deepEqual(siteRulesOf(fewer), { most: { localEpochs: undefined, localSteps: 4 } });
    assert.deepEqual(siteRulesOf({ ...fewer, 'local-work': 'all' }), {});
  });
});

describe('a policy file', () => {
  it('has no key that nobody knows, and no sum of one', () => {
    assert.throws(() => parsePolicy('min-cohrt: 30\n', 'policy.yaml'), {
      code: 'invalid-argument',
      message: /min-cohrt/,
    });
    assert.throws(() => parsePolicy('min-survivors: 1\n', 'policy.yaml'), { message: /min-survivors/ });
    assert.equal(parsePolicy('min-survivors: 2\n', 'policy.yaml')['min-survivors'], 2);
  });

  it('names the ledger that first models may come from', () => {
    for (const text of ['first-model: ledger\n', 'first-model: [workload, ledger]\n']) {
      assert.throws(() => parsePolicy(text, 'policy.yaml'), {
        message: /first-model: ledger: expected the key ledger/,
      });
      assert.equal(parsePolicy(`${text}ledger: l.jsonl\n`, 'policy.yaml').ledger, 'l.jsonl');
    }
  });

  it('is what the machine of secure aggregation insists on', () => {
    const policy = { 'min-cohort': 31, 'min-survivors': 17, 'adversary-fraction': 0.4 };
    assert.deepEqual(secaggPolicyOf(policy), { cohortMin: 31, survivorsMin: 17, adversaryFraction: 0.4 });
  });
});

describe('a limit of epsilon', () => {
  const asked = (after: number | Error, policy = { 'max-epsilon': 2 }) =>
    budgetDeclineReasonOf(policy, privatePlan(1), {
      epsilon: 1,
      epsilonAfter: () => assert.fail('the run has no budget'),
      epsilonAfterRun: () => {
        if (typeof after !== 'number') throw after;
        return after;
      },
    });

  it('is for the whole run, and may be reached', () => {
    assert.equal(asked(2), undefined);
    assert.match(
      asked(2.001) ?? '',
      /^policy: max-epsilon: expected at most 2, got 2\.001 after the last of the run's/,
    );
    assert.equal(asked(1e9, {} as never), undefined, 'no limit');
  });

  it('declines what cannot be added up', () => {
    const error = new FlError('invalid-argument', 'steps: expected at most 10');
    assert.equal(asked(error), 'policy: max-epsilon: steps: expected at most 10');
  });
});

describe('a site’s memory', () => {
  const run: BegunRun = {
    ...{
      run: 'r',
      workSha256: '0'.repeat(64),
      month: '2026-11',
      workload: 'cnn',
      roles: { 'held-out': 1 },
      isPrivate: true,
    },
  };

  it('holds roles of data against runs of the same workload, on whichever side the privacy is', () => {
    const ask = (change: Partial<BegunRun>, before: Partial<BegunRun>) =>
      askMemory({ 'data-roles': 'pinned' }, { ...run, run: 's', ...change }, [{ ...run, ...before }])[0].ok;
    const other = { roles: { 'held-out': 2 } };
    assert.equal(ask(other, {}), false);
    assert.equal(ask(other, { workload: 'misa' }), true);
    assert.equal(ask({ ...other, isPrivate: false }, {}), false);
    assert.equal(ask(other, { isPrivate: false }), false);
    assert.equal(ask({ ...other, isPrivate: false }, { isPrivate: false }), true);
  });

  const site = async (text: string, budget: () => string | undefined) => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-cases-'));
    const policy = parsePolicy(`require-secure-aggregation: false\nmin-cohort: 1\n${text}`, 'policy.yaml');
    const opened = await openSitePolicy(policy, { directory, workloadModules: {}, clock: new FakeClock(), budget });
    const lines = async () => (await readFile(join(directory, BEGUN_RUNS_FILE), 'utf8')).split('\n').length - 1;
    return { opened, lines, end: () => rm(directory, { recursive: true, force: true }) };
  };

  it('does not begin a run that the account forbids', async () => {
    const { work } = planOf();
    const plan = planOf({ work: { ...work, workload: 'cnn' } });
    const { opened, lines, end } = await site(
      `first-model: ${plan.modelSha256}\n`,
      () => 'policy: max-epsilon: too much',
    );
    assert.equal(await opened.declineReason(plan), 'policy: max-epsilon: too much');
    assert.equal(await lines(), 0);
    await end();
    const allowed = await site(`first-model: ${plan.modelSha256}\n`, () => undefined);
    assert.equal(await allowed.opened.declineReason(plan), undefined);
    assert.equal(await allowed.lines(), 1);
    await allowed.end();
  });

  it('loads no workload that may not run here, and follows no plan without a price', async () => {
    const { opened, end } = await site('workloads: [cnn]\n', () => undefined);
    const { work } = planOf();
    const nowhere = planOf({ work: { ...work, workload: 'nowhere' } });
    assert.match((await opened.declineReason(nowhere)) ?? '', /^policy: workloads: expected one of cnn, got nowhere;/);
    const priceless = planOf({
      work: { ...work, workload: 'cnn', privacy: { ...exampleSpec, noiseMultiplier: 1e-9 } },
    });
    assert.match((await opened.declineReason(priceless)) ?? '', /^plan: noiseMultiplier: /);
    await end();
  });
});

describe('the models of a ledger', () => {
  it('are the one that it began with, and that of each round', () => {
    const [first, second, third] = ['a', 'b', 'c'].map((digit) => digit.repeat(64));
    const identity = simulated('coordinator');
    const about = { modelSha256: first, coordinatorKey: identity.publicKey, atMs: 0 };
    const round = (number: number, modelBefore: string, modelAfter: string): RoundEntry => ({
      ...{
        run: 'r',
        previous: '0'.repeat(64),
        atMs: 0,
        kind: 'round',
        round: number,
        attempt: 1,
        modelBefore,
        modelAfter,
      },
      ...{ cohort: 1, survivors: [{ client: 'c1' }], dropped: [], secure: [], privacy: null },
    });
    const entries = [openedEntry('r', storedSpec(toySpec()), about), round(1, first, second), round(2, second, third)];
    const known = modelsOf(new TextEncoder().encode(signedLedger(entries)));
    assert.deepEqual(known, [first, second, third]);
    const ask = (modelSha256: string, of = {}) =>
      askFirstModel({ 'first-model': 'ledger' }, planOf({ modelSha256, ...of }), { workload: () => '', ledger: known });
    assert.deepEqual([ask(first)?.ok, ask(third)?.ok, ask('d'.repeat(64))?.ok], [true, true, false]);
    assert.equal(ask('d'.repeat(64), { round: 2 }), undefined, 'a later round');
  });
});

describe('the noise of a client', () => {
  it('is noise from half of the clipping bound on', () => {
    const at = (noiseMultiplier: number) => isNoisedByClients(privatePlan(1, { ...exampleSpec, noiseMultiplier }));
    assert.deepEqual([0.499, 0.5, 1].map(at), [false, true, true]);
  });
});
