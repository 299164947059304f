/** Real processes: a second run from the same model, without one lab, as an operator meets it who means no harm. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Deployment, succeed } from './support.js';

const POLICY = 'min-cohort: 3\nmin-survivors: 3\nadversary-fraction: 0\n';
const SECURE = { 'secure-aggregation': true, 'adversary-fraction': 0, 'drop-fraction': 0, 'min-survivors': 3 };

describe('a run from a model that was summed before', function () {
  this.timeout(240_000);
  let site: Deployment;

  beforeEach(async () => {
    site = await Deployment.open();
  });
  afterEach(() => site?.close());

  it('is declined by its labs without one of them, in words that say what to change, which helps', async () => {
    const policy = join(site.folder, 'policy.yaml');
    await writeFile(policy, POLICY);
    const labs = [];
    for (const name of ['a', 'b', 'c', 'd']) labs.push(await site.lab(name, '--policy', policy));
    const config = { workload: 'cnn', scale: 'smoke', rounds: 1, ...SECURE };
    const first = await site.run({ ...config, seed: 1, cohort: 4, clients: 4 });
    await site.follow(first);
    assert.equal((await site.show(first)).status, 'completed');

    await labs[3].end();
    const second = await site.run({ ...config, seed: 1, cohort: 3, clients: 3 });
    const declined = await site.follow(second, (event) => event.kind === 'dropped');
    assert.match(JSON.stringify(declined), /policy: min-difference: .*at least 3 .*, got 1; .*another seed/);
    await site.withAdmin((admin) => admin.stopRun(second, 'another seed').catch(() => undefined));
    const surroundings = { cwd: site.folder, env: { STARLING_HOME: site.home('a') } };
    assert.match(await succeed(['client', 'log'], surroundings), /noticed .*policy: min-difference/);

    const third = await site.run({ ...config, seed: 2, cohort: 3, clients: 3 });
    await site.follow(third);
    assert.equal((await site.show(third)).status, 'completed');
  });
});
