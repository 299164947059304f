/** A workload of the user's own, in a folder of the user's own: one TypeScript file, with nothing installed beside it. */
import assert from 'node:assert/strict';
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { Deployment, ROOT, succeed } from './support.js';

const LABS = 2;

describe("a user's workload", function () {
  this.timeout(120_000);
  let site: Deployment;
  let file: string;

  before(async () => {
    site = await Deployment.open();
    await mkdir(join(site.folder, 'mine'));
    file = join(site.folder, 'mine', 'x.ts');
    await copyFile(join(ROOT, 'docs', 'examples', 'my-workload.ts'), file);
  });

  after(() => site?.close());

  it('is simulated, and deployed under the same name: with one model as the result', async () => {
    const options = ['--scale', 'smoke', '--clients', String(LABS), '--cohort', String(LABS), '--json', '-'];
    const simulated = await succeed(['simulate', '--workload', './x.ts', ...options], {
      cwd: join(site.folder, 'mine'),
    });
    const expected = JSON.parse(simulated) as Report;
    assert.equal(expected.status, 'completed');
    assert.equal(expected.workload, 'my-workload');
    const errors = expected.rounds.map(({ metrics }) => metrics['test.error']);
    assert.ok(errors[4] < errors[0], 'five rounds of learning');

    for (let i = 1; i <= LABS; i++) await site.openLab(`c${i}`, '--slice', `${i}/${LABS}`, '--workload', file);
    const run = await site.run({ workload: file, scale: 'smoke', clients: LABS, cohort: LABS });
    await site.follow(run);
    const { report } = await site.show(run);
    assert.equal(report.status, 'completed');
    assert.equal(report.modelSha256, expected.modelSha256);
  });

  it('is never taken from the coordinator: a lab that was not given it declines', async () => {
    const lab = await site.openLab('careful');
    const run = await site.run({
      workload: file,
      scale: 'smoke',
      clients: LABS + 1,
      cohort: LABS + 1,
      'min-clients': LABS,
      'min-survivors': 2,
    });
    await lab.line(/plan declined .*my-workload/);
    await site.follow(run);
    const { report } = await site.show(run);
    assert.equal(report.status, 'completed');
    for (const { survivors } of report.rounds) assert.equal(survivors, LABS);
    const [declined, ...others] = report.rounds.flatMap(({ dropped }) => dropped);
    assert.deepEqual([declined.client, declined.reason, others.length], ['careful', 'refused', 0]); // asked once
    assert.match(declined.detail!, /^plan: workload: expected one of cnn, .* or a path, got "my-workload"$/);
  });
});
