import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BuildInput, buildReport, writeReport } from '../../../server/report/build.js';
import type { RoundSummary } from '../../../shared/run/summary.js';
import { sampleReport } from './sample.js';

const summary = (round: number, attempt = 1): RoundSummary => ({
  round,
  attempt,
  cohort: 2,
  survivors: 1,
  dropped: [{ client: 'c2', reason: 'deadline' }],
  modelSha256: 'cd'.repeat(32),
  metrics: { 'test.accuracy': 0.5, 'test.loss': Number.NaN },
  durationMs: 10 * attempt,
  overheadMs: 1,
  bytesUp: 3,
  bytesDown: 4,
  ...(round === 1 && { epsilon: 0.8 }),
});

const input: BuildInput = {
  run: 'r',
  work: { workload: 'cnn', scale: 'demo', seed: 7 },
  status: 'completed',
  reason: null,
  backend: 'wasm',
  rounds: [summary(2), summary(1), summary(2, 3)],
  final: {
    metrics: { 'test.accuracy': 0.93, bad: Number.POSITIVE_INFINITY },
    perClient: { c1: { x: Number.NaN, y: 1 } },
  },
  baselines: { centralised: { metrics: { 'test.accuracy': 0.95 }, perClient: {} } },
  artefacts: [
    { path: 'a.png', mime: 'image/png', title: 'A' },
    { path: 'artefacts/b.txt', mime: 'text/plain', title: 'B' },
  ],
  modelSha256: 'ab'.repeat(32),
  privacy: null,
};

describe('buildReport', () => {
  it('gives the record of the contract: rounds in order, the last attempt of each, finite figures only', () => {
    const round = {
      cohort: 2,
      survivors: 1,
      dropped: [{ client: 'c2', reason: 'deadline' }],
      metrics: { 'test.accuracy': 0.5 },
      overheadMs: 1,
      bytesUp: 3,
      bytesDown: 4,
    };
    assert.deepEqual(buildReport(input), {
      schema: 'starling.report/1',
      run: 'r',
      workload: 'cnn',
      scale: 'demo',
      seed: 7,
      backend: 'wasm',
      status: 'completed',
      reason: null,
      rounds: [
        { round: 1, ...round, epsilon: 0.8, durationMs: 10 },
        { round: 2, ...round, epsilon: null, durationMs: 30 },
      ],
      final: { metrics: { 'test.accuracy': 0.93 }, perClient: { c1: { y: 1 } } },
      baselines: { centralised: { metrics: { 'test.accuracy': 0.95 }, perClient: {} } },
      privacy: null,
      modelSha256: 'ab'.repeat(32),
      artefacts: [
        { path: 'artefacts/a.png', mime: 'image/png', title: 'A' },
        { path: 'artefacts/b.txt', mime: 'text/plain', title: 'B' },
      ],
    });
  });

  it('survives JSON unchanged', () => {
    const report = buildReport(input);
    assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
  });

  for (const path of ['../x', 'artefacts/../../x', '/etc/passwd', 'a//b', '', 'a\\b', '.']) {
    it(`refuses the artefact path ${JSON.stringify(path)}`, () => {
      assert.throws(() => buildReport({ ...input, artefacts: [{ path, mime: 'text/plain', title: '' }] }), {
        code: 'invalid-argument',
        message: /artefact path: expected a path below artefacts\//,
      });
    });
  }
});

describe('writeReport', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'starling-report-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('writes both files, holds the artefacts that are there and leaves nothing half done', async () => {
    await mkdir(join(dir, 'artefacts'));
    await writeFile(join(dir, 'artefacts', 'a.png'), Uint8Array.of(1, 2, 3));
    const report = buildReport({ ...input, command: 'starling simulate --workload cnn' });
    const paths = await writeReport(dir, report);
    assert.deepEqual(JSON.parse(await readFile(paths.json, 'utf8')), report);
    const page = await readFile(paths.html, 'utf8');
    assert.ok(page.includes('data:image/png;base64,AQID'));
    assert.ok(page.includes('starling simulate'));
    assert.deepEqual((await readdir(dir)).sort(), ['artefacts', 'report.html', 'report.json']);
  });

  it('replaces an older report', async () => {
    await writeReport(dir, sampleReport({ rounds: 1, clients: 1 }));
    const { json } = await writeReport(dir, sampleReport({ rounds: 2, clients: 1 }));
    assert.equal(JSON.parse(await readFile(json, 'utf8')).rounds.length, 2);
  });

  it('follows no link out of the run directory', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'starling-outside-'));
    try {
      await writeFile(join(outside, 'secret.txt'), 'the secret');
      await mkdir(join(dir, 'artefacts'));
      await symlink(join(outside, 'secret.txt'), join(dir, 'artefacts', 'b.txt'));
      const { html } = await writeReport(dir, buildReport(input));
      assert.ok(!(await readFile(html, 'utf8')).includes('the secret'));
    } finally {
      await rm(outside, { recursive: true });
    }
  });

  it('reads no file above the run directory that a forged report.json names', async () => {
    const forged = {
      ...sampleReport({ rounds: 1, clients: 1 }),
      artefacts: [{ path: '../x', mime: 'text/plain', title: '' }],
    };
    await assert.rejects(writeReport(dir, forged), { code: 'invalid-argument' });
  });
});
