/**
 * How many contributions were zeroed is known, and not whose: a real coordinator and real clients whose examples break the
 * model, all of them or some.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selectBackend } from '../../client/backends/index.js';
import { createTaskRunner } from '../../client/training/task.js';
import type { RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { zeroedMetrics, zeroedPart } from '../../shared/run/zeroed.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { toySpec } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';
import { Lab } from './lab.js';
import { CRAFTED, EXAMPLES, NOBODY, probed, TENSORS } from './probe.js';

const NAMES = ['c1', 'c2', 'c3'];
const { train, test } = zeroedMetrics(SECURE.weightCap);
const COUNTED: SecureSpec = {
  ...SECURE,
  trainMetrics: [...SECURE.trainMetrics, train],
  testMetrics: [...SECURE.testMetrics, test],
};

function specOf(secure: SecureSpec): RunSpec {
  const { work, engine } = toySpec({ rounds: 1, cohort: 3, minClients: 3 });
  const { localSteps: _, ...training } = work.training;
  const phases = [{ name: 'train', channels: [updateChannel(TENSORS)] }];
  return {
    work: { ...work, training: { ...training, localEpochs: 1, clientLr: 0.125 }, phases, model: TENSORS, secure },
    engine,
  };
}

/** One step for each example: w <- w - (exp(w) - 1) / 8, from 1; the crafted weight has no gradient at a client without the match. */
function expectedUpdate(): number {
  let w = 1;
  for (let step = 0; step < EXAMPLES; step++) w -= 0.125 * (Math.exp(w) - 1);
  return w - 1;
}

describe('the count of zeroed contributions', () => {
  let directory: string;
  before(() => selectBackend('cpu'));
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-zeroed-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  /** The run to its end, in which these clients have an example that the model breaks on. */
  async function run(matching: readonly string[], secure: SecureSpec) {
    const warnings: string[] = [];
    const log = { debug: () => {}, info: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
    const trainer = (name: string) =>
      createTaskRunner({ loadWorkload: async () => probed(matching.includes(name) ? 3 : NOBODY) });
    const lab = await Lab.open(directory, NAMES, specOf(secure), { trainer, log, model: CRAFTED });
    try {
      const { status, rounds } = await lab.finish();
      assert.equal(status, 'completed');
      const report = await lab.report();
      return {
        summary: rounds[0],
        report: report as { rounds: readonly Record<string, unknown>[] } & typeof report,
        warnings,
      };
    } finally {
      await lab.close();
    }
  }

  async function weightsAfter(sha256: string): Promise<Float32Array> {
    const { readFile, readdir } = await import('node:fs/promises');
    const files = await readdir(directory, { recursive: true });
    const file = files.find((path) => path.includes(sha256))!;
    return decode(await readFile(join(directory, file))).params.values;
  }

  it('is in summary, report and log; the zeros count with their weight, and in no metric', async () => {
    const { summary, report, warnings } = await run(['c2'], COUNTED);
    assert.deepEqual([summary.survivors, summary.zeroed, summary.zeroedTests], [3, 1, 1]);
    assert.deepEqual([report.rounds[0].zeroed, report.rounds[0].zeroedTests], [1, 1]);
    assert.match(warnings.join('\n'), /^zeroed: 1 of 3 contributions; zeroed: 1 evaluation, /);
    assert.match(warnings[1], /^test figures are pooled over 2 of 3 clients, \d+ examples; 1 sent zeros, /);
    const grid = 4 / (2 ** 23 - 1); // or coarser: 24 bits at the most
    const [crafted, moved] = await weightsAfter(summary.modelSha256);
    assert.equal(crafted, 200);
    assert.ok(Math.abs(moved - (1 + (2 / 3) * expectedUpdate())) < 2 ** 5 * grid, `${moved}`);
    assert.deepEqual(Object.keys(summary.metrics), ['train.loss', 'test.loss']);
    // Of the two that counted; exp(w) - w along the way, so between its least and its first value.
    assert.ok(summary.metrics['train.loss'] > 1 && summary.metrics['train.loss'] < Math.E - 1);
  });

  it('says of a run of zeros that it is none of training', async () => {
    const { summary, warnings } = await run(NAMES, COUNTED);
    assert.deepEqual([summary.zeroed, summary.zeroedTests, summary.metrics], [3, 3, {}]);
    assert.match(warnings[0], /nothing was learned in round 1/);
    assert.deepEqual([...(await weightsAfter(summary.modelSha256))], [200, 1]);
  });

  it('is 0 where all is well, and nobody is warned', async () => {
    const { summary, warnings } = await run([], COUNTED);
    assert.deepEqual([summary.zeroed, summary.zeroedTests, warnings], [0, 0, []]);
  });

  it('is not known of a run that does not declare it, which goes on as ever', async () => {
    const { summary, report, warnings } = await run(['c2'], SECURE);
    assert.ok(!('zeroed' in summary) && !('zeroedTests' in summary) && !('zeroed' in report.rounds[0]));
    assert.deepEqual(warnings, []);
  });

  it('is withheld under privacy, whatever the plan declares', () => {
    const privacy = { mode: 'example', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 } as const;
    assert.deepEqual(zeroedPart({ secure: COUNTED, privacy }, true), {});
    assert.deepEqual(zeroedPart({ privacy }, true), {});
    assert.deepEqual(zeroedPart({}, true), {});
  });
});
