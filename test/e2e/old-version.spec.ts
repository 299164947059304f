/**
 * What an earlier version left on disk (test/fixtures) is what this one goes on from: a run that kill -9 cut short ends in
 * the model of the undisturbed one, and nothing that labs keep for good begins anew.
 */
import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from 'starling-fl';
import { Deployment, ROOT, succeed } from './support.js';

const FIXTURE = join(ROOT, 'test', 'fixtures', 'v0.1');
const LABS = ['c1', 'c2', 'c3'];
/** Names that the file of signed heads has had. */
const HEADS = /^(receipts|ledger-heads)\.jsonl$/;

describe('what version 0.1.0 left', function () {
  this.timeout(120_000);
  let site: Deployment;
  let runs: { secret: string; plain: string; interrupted: string };

  const keptBy = (name: string, root = site.folder) => join(root, `lab-${name}`, 'clients', name);
  const runDirectory = (run: string, root = site.folder) => join(root, 'coordinator', 'runs', run);
  const verify = (directory: string, ...args: string[]) =>
    succeed(['verify', directory, ...args], { cwd: site.folder });

  before(async () => {
    runs = JSON.parse(await readFile(join(FIXTURE, 'runs.json'), 'utf8'));
    site = await Deployment.open(FIXTURE);
  });

  after(() => site?.close());

  it('is a simulation that verifies, and is reported as it was', async () => {
    const directory = join(site.folder, 'simulation');
    const { modelSha256, run } = await reportIn(directory);
    assert.match(
      await verify(directory),
      new RegExp(`^${run}: the ledger holds: 3 rounds, 11 signatures of survivors\n`),
    );
    assert.match(await verify(directory), new RegExp(`^model +${modelSha256}$`, 'm'));
    const page = (await succeed(['report', directory], { cwd: site.folder })).trim();
    assert.ok((await readFile(page, 'utf8')).includes(modelSha256));
  });

  it('is finished runs that verify, and that the journal still tells as it did', async () => {
    for (const run of [runs.secret, runs.plain]) {
      const directory = runDirectory(run);
      const { status, report } = await site.show(run);
      assert.equal(status, 'completed');
      assert.deepEqual(report, await reportIn(directory));
      assert.match(await verify(directory), new RegExp(`^model +${report.modelSha256}$`, 'm'));
    }
  });

  it('is an interrupted run that verifies, and that has a page though it never got a report', async () => {
    const directory = runDirectory(runs.interrupted);
    const said = await verify(directory);
    assert.match(said, /: the ledger holds: 2 rounds\n/);
    assert.match(said, /\nnote: the run had not ended\n$/);
    const page = (await succeed(['report', directory], { cwd: site.folder })).trim();
    assert.ok((await readFile(page, 'utf8')).includes(runs.interrupted));
    assert.equal((await site.show(runs.interrupted)).status, 'running');
  });

  it('is a join token that still lets a lab in', async () => {
    const [scheme, body] = (await readFile(join(FIXTURE, 'token'), 'utf8')).trim().split('.');
    const token = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), address: await address() };
    const moved = `${scheme}.${Buffer.from(JSON.stringify(token)).toString('base64url')}`;
    const env = { STARLING_HOME: site.home('late') };
    assert.match(await succeed(['client', 'join', moved], { cwd: site.folder, env }), /^joined as late; /);
  });

  it('is a run that goes on to the model of the undisturbed run, and leaves no update unanswered', async () => {
    assert.deepEqual(await pending(), { c1: 1, c2: 1, c3: 0 });
    // A file of that time is silent on what is forbidden unless it says so today: runs in the clear.
    await appendFile(join(site.folder, 'policy.yaml'), 'require-secure-aggregation: false\n');
    for (const [i, name] of LABS.entries()) {
      const file = join(keptBy(name), 'client.json');
      await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), address: await address() }));
      const options = ['--slice', `${i + 1}/${LABS.length}`, '--workload', join(site.folder, 'line.mjs')];
      const policy = ['--policy', join(site.folder, 'policy.yaml')];
      const lab = site.start(['client', 'run', ...options, ...policy, '--backend', 'wasm'], site.home(name));
      await lab.line(/connected/);
    }
    await site.follow(runs.interrupted);
    const { report } = await site.show(runs.interrupted);
    const undisturbed = await reportIn(runDirectory(runs.plain));
    assert.equal(report.status, 'completed');
    assert.equal(report.modelSha256, undisturbed.modelSha256);
    assert.deepEqual(report.rounds.map(learned), undisturbed.rounds.map(learned));
    assert.match(await verify(runDirectory(runs.interrupted)), /: the ledger holds: 5 rounds\n/);
    assert.deepEqual(await pending(), { c1: 0, c2: 0, c3: 0 });
  });

  it('is labs whose ledger heads are added to, and hold every run to its word', async () => {
    for (const name of LABS) {
      const [before, now] = [await headsOf(keptBy(name, FIXTURE)), await headsOf(keptBy(name))];
      assert.deepEqual(now.slice(0, before.length), before);
      assert.deepEqual(roundsOf(now, runs.interrupted), [1, 2, 3, 4, 5]);
    }
    const file = join(site.folder, 'heads');
    await writeFile(file, (await headsOf(keptBy('c1'))).map((line) => `${line}\n`).join(''));
    for (const run of Object.values(runs)) await verify(runDirectory(run), '--against', file);
  });

  it('is labs whose privacy account goes on where it was, in a secret run that begins today', async () => {
    const privacy = { privacy: 'distributed', 'clipping-bound': 1, 'noise-multiplier': 2, 'adversary-fraction': 0 };
    const workload = join(site.folder, 'line.mjs');
    const run = await site.run({ workload, rounds: 1, ...privacy, 'secure-aggregation': true });
    await site.follow(run);
    assert.equal((await site.show(run)).status, 'completed');
    for (const name of LABS) {
      const [before, now] = [await accountOf(keptBy(name, FIXTURE)), await accountOf(keptBy(name))];
      assert.deepEqual(now.slice(0, -1), before);
      const [spentBefore, spent] = [before, now].map((lines) => JSON.parse(lines.at(-1)!).entry.epsilonAfter as number);
      assert.ok(spent > spentBefore, `${name}: ${spent} after ${spentBefore}`);
    }
  });

  async function address(): Promise<string> {
    return (await readFile(join(site.dataDir, 'address'), 'utf8')).trim();
  }

  /** By lab: updates that the coordinator has not answered. */
  async function pending(): Promise<Record<string, number>> {
    const counts = LABS.map(async (name) => {
      const files = await readdir(join(keptBy(name), 'updates'), { recursive: true }).catch(() => []);
      return [name, files.filter((file) => file.endsWith('.update')).length] as const;
    });
    return Object.fromEntries(await Promise.all(counts));
  }
});

async function reportIn(directory: string): Promise<Report> {
  return JSON.parse(await readFile(join(directory, 'report.json'), 'utf8'));
}

/** What a round has come to, without times and traffic. */
function learned({ round, cohort, survivors, dropped, metrics }: Report['rounds'][number]) {
  return { round, cohort, survivors, dropped, metrics };
}

async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).trimEnd().split('\n');
}

/** The signed heads that a client keeps, whatever the files are called; oldest first. */
async function headsOf(folder: string): Promise<string[]> {
  const names = (await readdir(folder))
    .filter((name) => HEADS.test(name))
    .sort()
    .reverse(); // receipts.jsonl is older
  const lines = await Promise.all(names.map((name) => linesOf(join(folder, name))));
  return [...new Set(lines.flat())];
}

function roundsOf(heads: readonly string[], run: string): number[] {
  const parsed = heads.map((line) => (JSON.parse(line) as { head: { run: string; round: number } }).head);
  return parsed.filter((head) => head.run === run).map(({ round }) => round);
}

function accountOf(folder: string): Promise<string[]> {
  return linesOf(join(folder, 'privacy.jsonl'));
}
