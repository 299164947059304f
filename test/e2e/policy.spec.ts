/**
 * Policies between real processes: three labs without one that follow the README, a run that a policy declines, a first
 * model that no workload made; each ends in words, the same at the lab and at the coordinator.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { encode } from '../../shared/tensors/safetensors.js';
import { resolveForLabs } from '../../simulations/config/for-labs.js';
import type { Child } from '../../simulations/local-process.js';
import { Deployment, ROOT, starling, succeed } from './support.js';

/** As the README has it. */
const QUICK_START = parse(
  /cat > run\.yaml <<'YAML'\n(.*?)YAML/s.exec(await readFile(join(ROOT, 'README.md'), 'utf8'))![1],
);
const LABS = ['lab-1', 'lab-2', 'lab-3'];

describe('policies of labs', function () {
  this.timeout(120_000);
  let site: Deployment;

  beforeEach(async () => {
    site = await Deployment.open();
  });

  afterEach(() => site?.close());

  /** Three labs, each with a third of the data. */
  async function labs(...args: string[]): Promise<Child[]> {
    const started: Child[] = [];
    for (const [i, name] of LABS.entries()) started.push(await site.lab(name, '--slice', `${i + 1}/3`, ...args));
    return started;
  }

  /** The reason, the same from each lab, that a run which can never begin ends with. */
  async function declinedBy(started: readonly Child[], run: string): Promise<string> {
    await site.follow(run);
    const { status, reason } = await site.show(run);
    assert.equal(status, 'failed');
    const said = await started[0].line(/plan declined/);
    const { detail } = JSON.parse(said.slice(said.indexOf('{'))) as { detail: string };
    assert.ok(reason.includes(`${LABS.join(', ')} refused: ${detail})`), `${reason}\n${detail}`);
    const watched = await starling(['run', 'watch', run, '--data-dir', site.dataDir], { cwd: site.folder });
    assert.match(watched.stdout, new RegExp(`^round 1/2 .* refused: ${escaped(detail)}`, 'm')); // whole
    return detail;
  }

  it('let three labs without one start at once, and each says among how many it hides', async () => {
    const [first] = await labs();
    assert.match(
      await first.line(/^policy: /),
      /in a sum of at least 3 clients of a cohort of at least 3; min-survivors and min-cohort raise that/,
    );
    const { 'min-survivors': _, ...silent } = QUICK_START;
    const run = await site.run({ ...silent, 'secure-aggregation': true });
    const events = await site.follow(run);
    const { status, report } = await site.show(run);
    assert.equal(status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ survivors }) => survivors),
      [3, 3],
    );
    const began = events.filter(({ kind }) => kind === 'round-started');
    assert.deepEqual([began.length, events.filter(({ kind }) => kind === 'dropped').length], [2, 0]); // nobody declined
  });

  it('decline a run in the clear where there is no file, and the operator reads which key and what to do', async () => {
    const run = await site.run({ ...QUICK_START, 'max-attempts': 1 });
    assert.equal(
      await declinedBy(await labs(), run),
      "policy: require-secure-aggregation: expected secure aggregation, got none; next: set secure-aggregation: true in the run, or set this key to false in the site's policy",
    );
  });

  it('decline a crowd that is too small for the policy of the README', async () => {
    const text = /cat > policy\.yaml <<'YAML'\n(.*?)YAML/s.exec(await readFile(join(ROOT, 'README.md'), 'utf8'))![1];
    const { 'max-epsilon': _, enrolment: __, ...rules } = parse(text);
    const policy = join(site.folder, 'policy.yaml');
    await writeFile(policy, JSON.stringify(rules));
    const run = await site.run({ ...QUICK_START, 'secure-aggregation': true, 'max-attempts': 1 });
    assert.equal(
      await declinedBy(await labs('--policy', policy), run),
      "policy: min-cohort: expected at least 10, got 3; next: raise the cohort (with groups secure-groups) in the run, or lower this key in the site's policy",
    );
  });

  it('decline a first model that the workload does not make', async () => {
    const { spec, model } = await resolveForLabs({ ...QUICK_START, 'max-attempts': 1 }, 'run.yaml');
    const started = await labs();
    const crafted = { ...model, values: model.values.map((value, i) => (i === 0 ? 1e3 : value)) };
    const run = await site.withAdmin((admin) => admin.startRun(spec, encode(crafted)));
    assert.match(
      await declinedBy(started, run),
      /^policy: first-model: expected the workload's own start \([0-9a-f]{64}\), got [0-9a-f]{64}; next: /,
    );
  });

  it('are begun and checked by commands, with an end for scripts', async () => {
    const here = { cwd: site.folder };
    await writeFile(join(site.folder, 'run.yaml'), JSON.stringify(QUICK_START));
    assert.equal(
      await succeed(['client', 'policy', 'init'], here),
      'policy.yaml: now starling client run --policy policy.yaml\n',
    );
    const said = await succeed(['client', 'policy', 'check', 'run.yaml', '--policy', 'policy.yaml'], here);
    assert.match(said, /^min-cohort +allows +expected at least 3, got 3$/m);
    assert.match(said, /^first-model +allows /m);
    assert.match(said, /\na client with this policy follows it\n$/);
    const again = await starling(['client', 'policy', 'init'], here);
    assert.match(again.stderr, /^starling: policy\.yaml: expected no such file, got one/);

    await writeFile(
      join(site.folder, 'run.yaml'),
      JSON.stringify({ ...QUICK_START, 'secure-aggregation': false, 'client-lr': 11 }),
    );
    const { code, stdout, stderr } = await starling(['client', 'policy', 'check', 'run.yaml'], here);
    assert.equal(code, 1);
    assert.match(stdout, /^require-secure-aggregation +declines +expected secure aggregation, got none$/m);
    assert.match(stdout, /^max-client-lr +declines +expected at most 10, got 11$/m);
    assert.match(stderr, /^starling: declined: policy: require-secure-aggregation: .*; next: /);
  });
});

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
