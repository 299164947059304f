/**
 * The noise of a simulated run follows from the seed that its run.json prints. The attack: whoever has the run directory
 * draws that noise again, takes it off the released model and holds the sum of the updates without noise. With
 * `--secret-noise` the same attack is left with all of it, and the report says in each case which one it was.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { resultLines } from '../../cli/terminal/result.js';
import { LEDGER_FILE } from '../../server/run/ledger.js';
import { seededNoise } from '../../server/run/noise.js';
import type { RoundEntry } from '../../shared/ledger/entry.js';
import { noiseShare } from '../../shared/privacy/index.js';
import { type Rng, rngFromKey, rngFromSeed } from '../../shared/rng.js';
import { latticeFor } from '../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { Report } from '../../shared/run/report.js';
import type { PrivacySpec, RunSpec } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { identityFromSeed, sha256Hex } from '../../shared/signing/identity.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { finishDirectory } from '../../simulations/finish-run.js';
import { simulate } from '../../simulations/simulate.js';
import { scanHtml } from '../server/report/scan.js';
import { entriesOf, ledgerSpec } from '../support/ledgers.js';
import { toyModel, toyTrainer, toyWorkload } from '../support/toy.js';

const CLIENTS = ['c1', 'c2', 'c3', 'c4'];
/** No toy update is longer than 5, so none is clipped. */
const PRIVACY = { clippingBound: 5, noiseMultiplier: 0.3, delta: 1e-5 };
/** Client ci answers the model 0 with i / 2 in every number. */
const SUM = (1 + 2 + 3 + 4) / 2;

const FROM_SEED = /its noise is public: it follows from the seed that run\.json prints/;
const SECRET = /simulated with secret noise, drawn from the system and kept nowhere/;

function specOf(mode: PrivacySpec['mode']): RunSpec {
  const { work, engine } = ledgerSpec(mode === 'distributed', { rounds: 1, minClients: CLIENTS.length });
  const unit = mode === 'example' ? { samplingRate: 0.1 } : { cohortMax: CLIENTS.length };
  const secure = work.secure && { secure: { ...work.secure, weightCap: 1 } };
  return { engine, work: { ...work, privacy: { mode, ...PRIVACY, ...unit }, ...secure } };
}

/** What anyone reads in the run directory; and of the trainers, the keys of example-level noise that they were given. */
interface Released {
  readonly seed: number;
  readonly entry: RoundEntry;
  readonly model: Float32Array;
  readonly report: Report;
  readonly page: string;
  /** The page of the same directory, if other processes had filled it. */
  readonly deployed: { readonly report: Report; readonly page: string };
  readonly keys: ReadonlyMap<string, Uint8Array>;
}

async function release(mode: PrivacySpec['mode'], secretNoise: boolean): Promise<Released> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-noise-'));
  const keys = new Map<string, Uint8Array>();
  const trainer = toyTrainer((task) => {
    if (task.kind === 'train' && task.noiseKey !== undefined) keys.set(task.client, task.noiseKey);
  });
  const about = { workload: toyWorkload, clients: CLIENTS.length, directory };
  const pageOf = async (path: string) => scanHtml(await readFile(path, 'utf8')).text;
  try {
    const { report, html } = await simulate({
      ...{ ...about, spec: specOf(mode), model: toyModel(), trainer, backend: 'none', workers: 1 },
      ...{ transport: 'memory', dropout: 0, baselines: 'none', secretNoise, command: 'starling simulate' },
    });
    const { spec } = JSON.parse(await readFile(join(directory, 'run.json'), 'utf8'));
    const entries = entriesOf(await readFile(join(directory, LEDGER_FILE), 'utf8'));
    const file = await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`));
    const page = await pageOf(html);
    const deployed = await finishDirectory(about);
    return {
      ...{ seed: spec.work.seed, model: decode(file).params.values, report, page, keys },
      entry: entries.find((entry) => entry.kind === 'round')!,
      deployed: { report: deployed.report, page: await pageOf(deployed.html) },
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The attacker's: what each virtual party draws its noise from. */
function noisesFrom({ seed, entry, report }: Released, mode: PrivacySpec['mode']): Map<string, Rng> {
  const rng = rngFromSeed(seed).split('simulation');
  const { work } = specOf(mode);
  const plan = { run: report.run, round: 1, modelSha256: entry.modelBefore, work };
  if (mode === 'central') {
    const coordinator = identityFromSeed(rng.split('coordinator').bytes(32));
    const asked = { ...plan, kind: 'train', attempt: entry.attempt } as RoundPlan;
    return new Map([['coordinator', seededNoise(coordinator).noiseOf(asked)]]);
  }
  const nonce = mode === 'distributed' ? { nonce: entry.secure[0].nonce } : {};
  const label = `noise/${sha256Hex(canonicalJson({ ...plan, ...nonce }))}`;
  return new Map(CLIENTS.map((client) => [client, rngFromKey(rng.split(`identity/${client}`).bytes(32), label)]));
}

/** How far the sum of the updates is from what the attack makes of the model, in steps of the lattice. */
function stepsLeft(released: Released, mode: PrivacySpec['mode']): number {
  const lattice = latticeFor(specOf(mode).work, 1);
  const noise = new Int32Array(lattice.length);
  const share = noiseShare(lattice);
  for (const rng of noisesFrom(released, mode).values()) share.addTo(noise, rng.split('noise'));
  const step = lattice.granularity * PRIVACY.clippingBound;
  const left = Array.from(released.model, (mean, i) =>
    Math.abs(Math.round((mean * CLIENTS.length) / step) - noise[i] - SUM / step),
  );
  return Math.max(...left);
}

describe('the noise of a simulated run', () => {
  for (const mode of ['central', 'distributed', 'local'] as const) {
    it(`${mode}: is taken off with the seed that run.json prints, to the rounding of each update`, async () => {
      const released = await release(mode, false);
      assert.ok(stepsLeft(released, mode) <= CLIENTS.length, String(stepsLeft(released, mode)));
    });

    it(`${mode}: stays on with --secret-noise, and no second run has the same`, async () => {
      const [one, other] = [await release(mode, true), await release(mode, true)];
      assert.notEqual(one.report.modelSha256, other.report.modelSha256);
      // six draws of deviation 0.3 bounds: all of them below 0.01, by P(|N| < 1/30) = 0.027, once in 10^9
      const bound = latticeFor(specOf(mode).work, 1).integerNorm;
      for (const released of [one, other]) assert.ok(stepsLeft(released, mode) > bound / 100);
    });
  }

  it('example: has keys that follow from the seed, and with --secret-noise others in each run', async () => {
    const known = await release('example', false);
    const derived = [...noisesFrom(known, 'example')].map(([client, rng]) => [client, rng.bytes(32)] as const);
    assert.deepEqual(new Map(derived), known.keys);
    const all = [known, await release('example', true), await release('example', true)];
    const keys = all.flatMap((released) => [...released.keys.values()].map((key) => Buffer.from(key).toString('hex')));
    assert.equal(new Set(keys).size, 3 * CLIENTS.length);
  });

  it('is public, say report.json, the page and the terminal', async () => {
    const { report, page } = await release('central', false);
    assert.equal(report.privacy?.noise, 'from-seed');
    assert.match(page, FROM_SEED);
    assert.doesNotMatch(page, SECRET);
    assert.match(page, /it ends in the same model/);
    assert.match(
      resultLines(report).join('\n'),
      /the noise follows from the seed and can be taken off; --secret-noise/,
    );
  });

  it('is secret and not to be had again with --secret-noise, say the same three', async () => {
    const { report, page } = await release('central', true);
    assert.equal(report.privacy?.noise, 'secret');
    assert.match(page, SECRET);
    assert.doesNotMatch(page, FROM_SEED);
    assert.match(page, /done again, it ends in another model/);
    assert.match(resultLines(report).join('\n'), /secret noise: the seed does not give it, nor this model again/);
  });

  it('is nothing that the report of a deployed run speaks of', async () => {
    const { report, page } = (await release('central', false)).deployed;
    assert.deepEqual(Object.keys(report.privacy!), ['mode', 'epsilon', 'delta', 'accountant', 'budget']);
    for (const sentence of [FROM_SEED, SECRET]) assert.doesNotMatch(page, sentence);
    assert.doesNotMatch(resultLines(report).join('\n'), /simulated/);
  });
});
