/** A workload of the user's own, in a folder of the user's own: one TypeScript file, with nothing installed beside it. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeSha256 } from '../../client/workloads/code.js';
import type { Report } from '../../shared/run/report.js';
import { Deployment, ROOT, starling, succeed } from './support.js';

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

  it('fails with its file, line and column, in the clear and under secure aggregation', async () => {
    const cwd = join(site.folder, 'mine');
    const text = await readFile(file, 'utf8');
    const lines = text.split('\n');
    const at = lines.findIndex((line) => /^ {2}loss: /.test(line));
    assert.ok(at > 0);
    await writeFile(
      join(cwd, 'broken.ts'),
      text.replace(/^ {2}loss: /m, '  loss: () => (undefined as any).y, broken: '),
    );
    // under secure aggregation a client may not say why, so that the coordinator tries twice
    for (const [attempts, more] of [
      [1, []],
      [2, ['--secure-aggregation']],
    ] as const) {
      const { code, stdout, stderr } = await starling(
        ['simulate', '--workload', './broken.ts', '--scale', 'smoke', ...more],
        { cwd },
      );
      assert.equal(code, 1);
      const place = `broken.ts:${at + 1}:34: TypeError: Cannot read properties of undefined (reading 'y')`;
      assert.ok(stdout.includes(place), `${stdout}${stderr}`);
      assert.equal(stdout.match(/attempt \d+ aborted/g)?.length, attempts, stdout);
      assert.match(stderr, /another attempt would fail alike; mend the cause, then resume the run/);
    }
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

  it('is declined by a lab whose file of that name does something else, with both hashes, unless its policy lets it', async () => {
    const text = await readFile(file, 'utf8');
    const older = join(site.folder, 'mine', 'older.ts');
    await writeFile(older, text.replace('tf.tanh(', 'tf.relu('));
    const copied = join(site.folder, 'mine', 'copied.ts');
    await writeFile(copied, `// the same\n${text}`);
    const [own, other] = [await codeSha256(file), await codeSha256(older)];
    assert.notEqual(own, other);
    const lab = await site.openLab('skewed', '--workload', older);
    await site.openLab('copier', '--workload', copied);
    await site.lab('lenient', '--workload', older, '--policy', await site.openPolicy('workload-code: any\n'));
    const run = await site.run({
      ...{ workload: file, scale: 'smoke', clients: 6, cohort: 6, rounds: 1, 'min-survivors': 2, partition: 'iid' },
    });
    const said = await lab.line(/plan declined .*workload-code/);
    const words = `policy: workload-code: expected ${own}, the code that the run was started with, got ${other}: this lab's my-workload is not the one that the run was started with; next: `;
    assert.ok(said.includes(words), said);
    await site.follow(run);
    const [{ dropped, survivors }] = (await site.show(run)).report.rounds;
    assert.deepEqual(
      dropped.map(({ client, reason }) => [client, reason]),
      [
        ['careful', 'refused'],
        ['skewed', 'refused'],
      ],
    );
    assert.ok(dropped[1].detail!.startsWith(words), dropped[1].detail);
    assert.equal(survivors, 4); // two as before, the copy, and who does not mind
  });
});
