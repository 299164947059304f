/** A deployed run as its operator and its labs live it: invited, joined, started, watched, stopped, resumed, completed. */
import assert from 'node:assert/strict';
import { cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Deployment, starling, succeed } from './support.js';

const SMOKE = { workload: 'cnn', scale: 'smoke', rounds: 2, seed: 1 };

describe('a deployed run', function () {
  this.timeout(120_000);
  let site: Deployment;

  beforeEach(async () => {
    site = await Deployment.open();
  });

  afterEach(() => site?.close());

  it('goes from a token to a model, through a stop and a resume', async () => {
    const token = (await site.operator('token', 'create', '--name', 'charite')).trim();
    const surroundings = { cwd: site.folder, env: { STARLING_HOME: site.home('charite') } };
    const joined = await succeed(['client', 'join', token], surroundings);
    assert.equal(joined, 'joined as charite; now: starling client run --name charite\n');
    const run = await site.run({ ...SMOKE, clients: 1, cohort: 1, rounds: 20 });
    await site.start(['client', 'run', '--policy', await site.openPolicy()], site.home('charite')).line(/connected/);

    await site.follow(run, ({ kind }) => kind === 'round-ended');
    await site.withAdmin((admin) => admin.stopRun(run, 'for the night')); // at once: nineteen rounds are left
    const { status: meanwhile, reason } = await site.show(run);
    assert.deepEqual({ meanwhile, reason }, { meanwhile: 'stopped', reason: 'for the night' });
    const watched = await starling(['run', 'watch', run, '--data-dir', site.dataDir], surroundings);
    assert.equal(watched.code, 1);
    assert.equal(watched.stderr, 'starling: the run was stopped: for the night\n');
    await site.operator('run', 'resume', run);

    const lines = (await site.operator('run', 'watch', run)).trimEnd().split('\n');
    assert.equal(lines.filter((line) => /^round \d+\/20 {2}cohort 1 {2}survivors 1 {2}/.test(line)).length, 20);
    assert.match(lines.at(-1)!, /^completed {2}20 rounds /);
    const { status, report, directory } = await site.show(run);
    assert.equal(status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ round }) => round),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    assert.ok(directory.startsWith(site.dataDir));
    assert.match(await site.operator('run', 'list'), new RegExp(`^${run} +cnn +completed +20/20$`, 'm'));
  });

  it('goes on without a lab whose policy forbids it, and says why', async () => {
    const strict = await site.lab('strict', '--policy', await site.openPolicy('workloads: [mlp]\n'));
    for (const name of ['open', 'wide']) await site.openLab(name);
    const run = await site.run({ ...SMOKE, rounds: 4, cohort: 3, 'min-clients': 2, 'min-survivors': 1 });
    await site.follow(run);
    const { report } = await site.show(run);
    assert.equal(report.status, 'completed');
    const detail =
      "policy: workloads: expected one of mlp, got cnn; next: change the workload of the run, or add it to this key in the site's policy";
    const dropped = report.rounds.flatMap((round) => round.dropped);
    assert.deepEqual(dropped, [{ client: 'strict', reason: 'refused', detail }]); // asked once, and not again
    assert.ok((await strict.line(/^strict: plan declined /)).includes(detail)); // in the same words
    for (const { cohort, survivors, dropped } of report.rounds) assert.equal(survivors, cohort - dropped.length);
    assert.deepEqual(Object.keys(report.final.perClient), ['open', 'wide']);

    const logOf = async (lab: string, ...args: string[]) => {
      const surroundings = { cwd: site.folder, env: { STARLING_HOME: site.home(lab) } };
      return succeed(['client', 'log', ...args], surroundings); // while the client runs
    };
    assert.match(await logOf('strict'), /plan .* train round 1 .*: declined: policy: workloads: expected one of mlp/);
    assert.doesNotMatch(await logOf('strict', '--name', 'strict'), /sent/);
    const entries = (await logOf('open', '--json'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const left = entries.filter(({ event, what }) => event === 'sent' && what === 'update');
    assert.deepEqual(
      left.map(({ round }) => round),
      [1, 2, 3, 4],
    );
  });

  it('keeps what is secret where its owner alone can read it', async () => {
    await site.lab('tum');
    for (const [root, secrets] of [
      [site.dataDir, ['identity.key', 'admin.token']],
      [site.home('tum'), ['identity.key']],
    ] as const) {
      const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
      for (const secret of secrets) {
        const found = files.filter(({ name }) => name === secret);
        assert.equal(found.length, 1, `${secret} in ${root}`);
        for (const { parentPath, name } of found) {
          assert.equal((await stat(join(parentPath, name))).mode & 0o777, 0o600, name);
          assert.equal((await stat(parentPath)).mode & 0o777, 0o700, parentPath);
        }
      }
    }
  });

  it('lets nobody be two processes: not in one directory, and not with a copied one', async () => {
    await site.openLab('tum');
    const again = await starling(['client', 'run'], { cwd: site.folder, env: { STARLING_HOME: site.home('tum') } });
    assert.equal(again.code, 1);
    assert.match(again.stderr, /^starling: \S+lock: process \d+ holds it\n$/);

    await cp(site.home('tum'), site.home('copy'), { recursive: true, filter: (path) => !path.endsWith('/lock') });
    const copy = site.start(['client', 'run'], site.home('copy'));
    await copy.line(/client \\?"tum\\?" is connected already: two processes use one identity/);

    const run = await site.run({ ...SMOKE, clients: 1, cohort: 1 });
    await site.follow(run);
    assert.equal((await site.show(run)).status, 'completed');
  });

  it('takes a lab that joins late into its later rounds', async () => {
    await site.openLab('early');
    const run = await site.run({
      ...SMOKE,
      clients: 2,
      cohort: 2,
      'min-clients': 1,
      'min-survivors': 1,
      rounds: 100_000,
    });
    await site.follow(run, ({ kind }) => kind === 'round-ended');
    await site.openLab('late');
    const events = await site.follow(run, (event) => event.kind === 'arrived' && event.client === 'late');
    const cohorts = events.flatMap((event) => (event.kind === 'round-started' ? [event.cohort] : []));
    assert.deepEqual(cohorts[0], ['early']);
    assert.deepEqual(cohorts.at(-1), ['early', 'late']);
    await site.operator('run', 'stop', run);
    assert.equal((await site.show(run)).status, 'stopped');
  });
});
