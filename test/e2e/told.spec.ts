/**
 * What a deployed run tells: its headline, which is no mean, and over whom it is, in the report, in what `run watch` prints
 * and in the logs of the labs; and what secure aggregation clamped.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Deployment, ROOT, starling } from './support.js';

const FILE = join(ROOT, 'test', 'fixtures', 'workloads', 'prices.ts');
const LABS = 3;

describe('a deployed run', function () {
  this.timeout(120_000);
  let site: Deployment;
  const labs: Awaited<ReturnType<Deployment['lab']>>[] = [];

  before(async () => {
    site = await Deployment.open();
    for (let i = 1; i <= LABS; i++) {
      labs.push(await site.openLab(`c${i}`, '--slice', `${i}/${LABS}`, '--workload', FILE));
    }
  });

  after(() => site?.close());

  const config = { workload: FILE, scale: 'smoke', rounds: 2, clients: LABS, cohort: LABS };

  it('shows its headline in every round, in the end and in run watch, where no line of the workload is', async () => {
    const run = await site.run(config);
    const watched = await site.operator('run', 'watch', run);
    const { report } = await site.show(run);
    assert.deepEqual(report.headline, { metric: 'test.rmse', better: 'lower' });
    for (const { metrics, round } of report.rounds) {
      assert.ok(Math.abs(metrics['test.rmse'] - Math.sqrt(metrics['test.squared-error'])) < 1e-9);
      assert.match(watched, new RegExp(`^round ${round}/2 .* test\\.rmse ${shown(metrics['test.rmse'])} `, 'm'));
    }
    assert.equal(report.final.metrics['test.rmse'], report.rounds[1].metrics['test.rmse']);
    assert.ok(report.final.perClient.c1['test.rmse'] > 0);
    assert.deepEqual(report.evaluated, { clients: 3, examples: 400, missing: [] });
  });

  it('says in report, watch and the log of that lab who has not judged its model, and why', async () => {
    const said = labs[1].line(/task failed .*squared-error.*not finite/); // which example is told at the site alone
    const run = await site.run({ ...config, hyper: { 'bad-site': 2 } });
    const watched = await site.operator('run', 'watch', run);
    const { report } = await site.show(run);
    await said;
    assert.equal(report.evaluated?.clients, 2);
    const detail = "an example here is not finite; which one is in the site's own log";
    assert.deepEqual(report.evaluated?.missing, [{ client: 'c2', reason: 'failed', detail }]);
    assert.match(
      watched,
      /^WARNING {2}round 1\/2 {2}test figures are pooled over 2 of 3 clients, \d+ examples; c2 failed: /m,
    );
  });

  it('says what its masked sums clamped, at the coordinator and at the labs', async () => {
    const told = labs[0].line(/lossy .*100 % of this update was beyond value-range 1/);
    const run = await site.run({ ...config, 'secure-aggregation': true, 'value-range': 1 });
    const watched = await site.operator('run', 'watch', run);
    await told;
    assert.match(
      watched,
      /^WARNING {2}round 1\/2 {2}100 % of the update was beyond value-range 1 .*: raise value-range to about 256/m,
    );
    const { report } = await site.show(run);
    assert.deepEqual(report.lossy?.valueRange, { is: 1, enough: 256 });
    assert.ok(report.rounds.every(({ metrics }) => metrics['test.rmse'] > 200));
  });

  it('is refused when one name has two figures, before anything starts', async () => {
    const file = join(ROOT, 'test', 'fixtures', 'workloads', 'twice.ts');
    const { writeFile } = await import('node:fs/promises');
    const yaml = join(site.folder, 'twice.yaml');
    await writeFile(yaml, JSON.stringify({ workload: file, scale: 'smoke' }));
    const { code, stderr } = await starling(['run', 'start', yaml, '--data-dir', site.dataDir], { cwd: site.folder });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /workload twice: figure squared-error: expected one figure of this name, .*: rename one of the two/,
    );
    assert.ok(!(await site.operator('run', 'list')).includes('twice'));
  });
});

/** As lines show a figure of this size. */
function shown(value: number): string {
  return String(Number(value.toPrecision(4))).replace('.', '\\.');
}
