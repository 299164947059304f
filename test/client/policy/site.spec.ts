/**
 * Attacks by plans that are each in order, and not together: an example that trained under privacy is asked for again as a
 * test example; a run begins with a model that no workload makes; runs without end. The client is a real one, its home a
 * real folder, its coordinator played by hand.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startOf } from '../../../client/policy/first-model.js';
import { rolesOf } from '../../../client/policy/memory.js';
import { openSitePolicy, type SitePolicy } from '../../../client/policy/site.js';
import { parsePolicy } from '../../../client/round/policy.js';
import { BEGUN_RUNS_FILE } from '../../../client/store/begun-runs.js';
import type { Workload } from '../../../client/workload.js';
import { listWorkloads, loadWorkload } from '../../../client/workloads/index.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { Hyper } from '../../../shared/run/spec.js';
import { FakeClock } from '../../support/fake-clock.js';
import { planOf, startOne } from '../../support/one-client.js';

const PLAIN = 'require-secure-aggregation: false\n';
const example = { mode: 'example', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, samplingRate: 0.1 } as const;
const DAY_MS = 24 * 3_600_000;

describe('a policy that remembers', () => {
  let directory: string;
  let misa: Workload;
  const clock = new FakeClock();

  before(async () => {
    misa = await loadWorkload('misa');
  });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-policy-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  function open(text = ''): Promise<SitePolicy> {
    const about = { directory, workloadModules: {}, clock, budget: () => undefined };
    return openSitePolicy(parsePolicy(`${PLAIN}${text}`, 'policy.yaml'), about);
  }

  /** Round 1 of a run of misa, from the model that misa begins with. */
  function plan(
    run: string,
    { hyper = {}, isPrivate = false }: { hyper?: Hyper; isPrivate?: boolean } = {},
  ): RoundPlan {
    const { work } = planOf();
    const settings = { ...misa.manifest.scales.smoke.hyper, ...hyper };
    const asked = { ...work, workload: 'misa', hyper: settings, ...(isPrivate && { privacy: example }) };
    return planOf({ run, work: asked, modelSha256: startOf(misa, asked) });
  }

  it('does not test what it has trained on under privacy, also after a restart', async () => {
    // With held-out 1 the clips of speaker 1, which trained in the first run, are the whole test set of the second.
    const trained = async (hyper: Hyper) => {
      const data = await misa.load({ hyper: { ...misa.manifest.scales.smoke.hyper, ...hyper }, rng: rngFromSeed(1) });
      const { train, test } = misa.examples(data, hyper);
      return { train: new Set(Array.from(train.groups!)), test: new Set(Array.from(test.groups!)) };
    };
    assert.ok((await trained({ 'held-out': -1 })).train.has(1));
    assert.deepEqual([...(await trained({ 'held-out': 1 })).test], [1]);

    assert.equal(await (await open()).declineReason(plan('first', { isPrivate: true })), undefined);
    const again = await open();
    const said = await again.declineReason(plan('second', { hyper: { 'held-out': 1 } }));
    assert.equal(
      said,
      "policy: data-roles: expected held-out=-1 (as in run first, begun here before), got held-out=1; next: set them as before in the run's hyper, or set this key to plan in the site's policy",
    );
    assert.equal(await again.declineReason(plan('third')), undefined);
    assert.equal(
      await (await open('data-roles: plan')).declineReason(plan('second', { hyper: { 'held-out': 1 } })),
      undefined,
    );
  });

  it('does not hold out, for figures without noise, what it has trained on under privacy; nor the other way about', async () => {
    const holding = (run: string, validationFraction?: number, isPrivate = false) => {
      const { work, ...rest } = plan(run, { isPrivate });
      return { ...rest, work: { ...work, ...(validationFraction && { validationFraction }) } };
    };
    assert.equal(await (await open()).declineReason(holding('first', undefined, true)), undefined);
    const said = await (await open()).declineReason(holding('second', 0.1));
    assert.match(
      said!,
      /^policy: data-roles: expected validation-fraction=nothing \(as in run first, begun here before\), got validation-fraction=0.1; /,
    );
    // what the site says itself holds for every run, whatever that asks for
    await rm(join(directory, BEGUN_RUNS_FILE));
    const own = 'validation-fraction: 0.2';
    assert.equal(await (await open(own)).declineReason(holding('third', 0.5, true)), undefined);
    assert.equal(await (await open(own)).declineReason(holding('fourth')), undefined);
    assert.match((await (await open()).declineReason(holding('fifth', 0.5)))!, /expected validation-fraction=0.2 /);
  });

  it('does not train under privacy on what it has tested', async () => {
    const site = await open();
    assert.equal(await site.declineReason(plan('first', { hyper: { 'held-out': 1 } })), undefined);
    assert.equal(await site.declineReason(plan('other', { hyper: { 'held-out': 2 } })), undefined); // all in the clear
    assert.match((await site.declineReason(plan('second', { isPrivate: true })))!, /^policy: data-roles: /);
  });

  it('knows of every workload which settings decide roles, and takes all where nothing is said', async () => {
    for (const name of listWorkloads()) {
      const { manifest } = await loadWorkload(name);
      const { hyper } = manifest.scales.smoke;
      assert.ok(
        manifest.roleKeys?.every((key) => key in hyper),
        name,
      );
      assert.deepEqual(rolesOf({ ...manifest, roleKeys: undefined }, { hyper, seed: 7 }), { ...hyper, 'run-seed': 7 });
    }
  });

  it('does not fix settings that say nothing of roles', async () => {
    const site = await open();
    assert.equal(await site.declineReason(plan('first', { isPrivate: true })), undefined);
    assert.equal(await site.declineReason(plan('second', { hyper: { 'train-takes': 1 }, isPrivate: true })), undefined);
  });

  it('begins only with the model that the workload makes, unless the policy names another', async () => {
    const crafted = { ...plan('run'), modelSha256: 'c'.repeat(64) };
    const start = plan('run').modelSha256;
    const said = await (await open()).declineReason(crafted);
    assert.equal(
      said,
      `policy: first-model: expected the workload's own start (${start}), got ${'c'.repeat(64)}; next: start the run from that model, or add the hash that came to this key in the site's policy`,
    );
    assert.equal(await (await open()).declineReason(plan('run')), undefined);
    assert.equal(await (await open(`first-model: [workload, ${'c'.repeat(64)}]`)).declineReason(crafted), undefined);
    assert.match(
      (await (await open(`first-model: ${'d'.repeat(64)}`)).declineReason(crafted))!,
      /expected d{64}, got c{64};/,
    );
  });

  it('begins no more runs in a month than it says, and counts one that changes its work as another', async () => {
    const site = await open('max-runs-per-month: 2\ndata-roles: plan');
    assert.equal(await site.declineReason(plan('a')), undefined);
    assert.equal(await site.declineReason(plan('a')), undefined); // asked again
    assert.equal(await site.declineReason(plan('a', { hyper: { 'train-takes': 1 } })), undefined);
    const said = await (await open('max-runs-per-month: 2\ndata-roles: plan')).declineReason(plan('b'));
    assert.match(
      said!,
      /^policy: max-runs-per-month: expected at most 2, got run 3 of 1970-01; next: wait for the next month, or /,
    );
    assert.equal(await site.declineReason(plan('a')), undefined); // which it goes on with
    clock.advance(31 * DAY_MS);
    assert.equal(await site.declineReason(plan('b')), undefined);
  });

  it('forgets a run that a crash has cut out of its file, and no other', async () => {
    const site = await open();
    await site.declineReason(plan('a', { isPrivate: true }));
    const file = join(directory, BEGUN_RUNS_FILE);
    await writeFile(file, `${await readFile(file, 'utf8')}{"run":"b","mon`);
    assert.match((await (await open()).declineReason(plan('c', { hyper: { 'held-out': 1 } })))!, /data-roles/);
  });

  it('does not begin with another model than the run says it starts from, whatever the policy allows', async () => {
    const { work, ...rest } = plan('run');
    const warm = { ...rest, modelSha256: 'c'.repeat(64), work: { ...work, initialModel: 'd'.repeat(64) } };
    for (const rules of ['', `first-model: ${'c'.repeat(64)}`]) {
      const said = (await (await open(rules)).declineReason(warm))!;
      assert.match(said, /^policy: first-model: expected d{64}, as the run's own initialModel says, got c{64}; next: /);
    }
    const honest = { ...warm, work: { ...work, initialModel: 'c'.repeat(64) } };
    assert.match(
      (await (await open()).declineReason(honest))!,
      /next: if this site agrees with that start, add the hash/,
    );
    assert.equal(await (await open(`first-model: ${'c'.repeat(64)}`)).declineReason(honest), undefined);
  });

  it('is told on both sides, in the same words', async () => {
    const site = await open();
    const one = await startOne({
      declineReason: async (asked) => {
        const detail = await site.declineReason(asked);
        return detail === undefined ? undefined : { reason: 'refused', detail };
      },
    });
    one.coordinator.welcome();
    const crafted = { ...plan('run'), modelSha256: 'c'.repeat(64) };
    one.coordinator.plan(crafted);
    await until(() => one.coordinator.all('decline').length > 0);
    const [{ reason, detail }] = one.coordinator.all('decline');
    assert.equal(reason, 'refused');
    assert.match(detail, /^policy: first-model: expected .*, got c{64}; next: /);
    const [notice] = one.notices.filter(({ message }) => message === 'plan declined');
    assert.equal(notice.fields.detail, detail);
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}
