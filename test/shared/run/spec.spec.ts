/** A run's specification at its boundaries: the way to the wire and the disk and back, and what is refused there. */
import assert from 'node:assert/strict';
import { checkPlan } from '../../../shared/run/plan.js';
import {
  checkRunSpec,
  type PrivacySpec,
  readSpec,
  specOf,
  storedSpec,
  type WorkSpec,
} from '../../../shared/run/spec.js';
import { canonicalJson } from '../../../shared/signing/canonical-json.js';
import { ledgerSpec } from '../../support/ledgers.js';
import { toySpec } from '../../support/toy.js';

/** A copy whose value at a dotted path is another, or (undefined) not there. */
function changed<T>(value: T, path: string, other: unknown): T {
  const copy = JSON.parse(JSON.stringify(value)) as T; // without parts that are shared
  const keys = path.split('.');
  const last = keys.pop()!;
  const parent = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy as never);
  if (other === undefined) delete parent[last];
  else parent[last] = other;
  return copy;
}

describe('the specification of a run', () => {
  it('repeats rounds, seed and secure where it is stored, as it always did', () => {
    const { engine } = storedSpec(toySpec({ rounds: 7 }, 5));
    const own = { cohort: 4, minClients: 4, minSurvivors: 2, overSelection: 0, deadlineMs: 60_000, maxAttempts: 3 };
    const rest = { evaluateEvery: 1, evaluateClients: 0, strategy: 'fedavg' };
    assert.deepEqual(engine, { ...own, ...rest, rounds: 7, seed: 5, secure: false });
    assert.equal(storedSpec(ledgerSpec(true)).engine.secure, true);
  });

  it('comes back from where it was stored, and is stored the same again', () => {
    for (const spec of [toySpec(), ledgerSpec(true)]) {
      const stored = storedSpec(spec);
      assert.deepEqual(readSpec(JSON.parse(JSON.stringify(stored))), spec);
      assert.deepEqual(specOf(stored), spec);
      assert.equal(canonicalJson(storedSpec(specOf(stored))), canonicalJson(stored));
    }
  });

  it('is read where an old one does not say that it is not secure', () => {
    const old = changed(storedSpec(toySpec()), 'engine.secure', undefined);
    assert.deepEqual(readSpec(old), toySpec());
    assert.throws(() => readSpec(changed(storedSpec(ledgerSpec(true)), 'engine.secure', undefined)), /engine\.secure/);
  });

  const PRIVATE = { mode: 'example', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 } as const;
  const refusals: readonly [path: string, value: unknown, says: RegExp][] = [
    ['engine.rounds', 4, /^engine\.rounds: expected 3, as in work, got 4$/],
    ['engine.seed', 2, /^engine\.seed: expected 1, as in work, got 2$/],
    ['engine.secure', true, /^engine\.secure: expected false, as in work, got true$/],
    ['engine.cohort', 0, /^run spec: engine\.cohort: /],
    ['engine.minSurvivors', 5, /^minSurvivors: expected at most the cohort \(4\), got 5$/],
    ['engine.minClients', 1, /^minClients: expected at least minSurvivors \(2\), got 1$/],
    ['engine.colour', 'red', /^run spec: engine: .*colour/],
    ['work.rounds', 0, /^run spec: work\.rounds: /],
    ['work.training.clientLr', undefined, /^run spec: work\.training\.clientLr: /],
    ['work.training.momentum', 1, /^run spec: work\.training\.momentum: /],
    ['work.phases', [], /^run spec: work\.phases: /],
    ['work.phases.0.channels.0.reduce', 'max', /^run spec: work\.phases\.0\.channels\.0\.reduce: /],
    ['work.model.0.shape', [-1], /^run spec: work\.model\.0\.shape\.0: /],
    ['work.compression', 'zip', /^compression: expected none, f16, bf16, int8 or top-k:FRACTION, got "zip"$/],
    ['work.compression', 'top-k:2', /^compression top-k: expected a fraction in \(0, 1\], got 2$/],
    ['work.privacy', { ...PRIVATE, noiseMultiplier: 0 }, /^run spec: work\.privacy\.noiseMultiplier: /],
    ['work.privacy', { ...PRIVATE, delta: 0 }, /^run spec: work\.privacy\.delta: /],
    ['work.privacy', { ...PRIVATE, delta: 1 }, /^run spec: work\.privacy\.delta: /],
    ['work.privacy', { ...PRIVATE, samplingRate: 0 }, /^run spec: work\.privacy\.samplingRate: /],
    ['work.privacy', { ...PRIVATE, samplingRate: 1.5 }, /^run spec: work\.privacy\.samplingRate: /],
    ['work.privacy', { ...PRIVATE, clippingBound: 0 }, /^run spec: work\.privacy\.clippingBound: /],
    ['work.privacy', { ...PRIVATE, epsilonBudget: 0 }, /^run spec: work\.privacy\.epsilonBudget: /],
    ['work.privacy', { ...PRIVATE, cohortMax: 0 }, /^run spec: work\.privacy\.cohortMax: /],
    ['work.privacy', { ...PRIVATE, tree: { separation: 0 } }, /^run spec: work\.privacy\.tree\.separation: /],
    ['work.model.0.name', 'b', /^name: expected each tensor name once, got "b"$/],
  ];
  for (const [path, value, says] of refusals) {
    it(`is refused with ${path} ${value === undefined ? 'missing' : JSON.stringify(value)}`, () => {
      assert.throws(() => readSpec(changed(storedSpec(toySpec()), path, value)), {
        code: 'invalid-argument',
        message: says,
      });
    });
  }

  it('is refused with evaluations, or groups, that a secure sum cannot have', () => {
    const spec = ledgerSpec(true);
    assert.throws(
      () => checkRunSpec(changed(spec, 'engine.evaluateClients', 1)),
      /^FlError.*evaluateClients: expected 0/,
    );
    assert.throws(() => checkRunSpec(changed(spec, 'work.secure.groupSize', 5)), /groupSize: expected at most .*4.*5/);
  });
});

describe('an encoding of updates', () => {
  const { work, engine } = toySpec();
  const check = (change: Partial<WorkSpec>, compression = 'bf16') =>
    checkRunSpec({ work: { ...work, ...change, compression }, engine });
  const refused = (change: Partial<WorkSpec>, message: RegExp) =>
    assert.throws(() => check(change), { code: 'invalid-argument', message });
  const privacy = (mode: PrivacySpec['mode']) => ({ mode, clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 });

  it('is for plain updates, and for those whose noise was added before them', () => {
    for (const name of ['f16', 'bf16', 'int8', 'top-k:0.1']) check({}, name);
    check({ privacy: privacy('example') });
  });

  it('is refused where it would spoil what is sent, and says what is so', () => {
    const { secure } = ledgerSpec(true).work;
    refused({ secure }, /^compression: expected none with secure-aggregation, whose masked numbers .*, got "bf16"$/);
    for (const mode of ['central', 'local'] as const) {
      refused(
        { privacy: privacy(mode) },
        new RegExp(`^compression: expected none with privacy ${mode}, whose updates`),
      );
    }
    const channel = { ...work.phases[0].channels[0], name: 'prototypes' };
    refused({ phases: [{ name: 'train', channels: [channel] }] }, /sends more than updates \(prototypes\)/);
  });
});

describe('a plan', () => {
  const hash = '0'.repeat(64);
  const about = { run: 'r', kind: 'train', round: 1, attempt: 1, modelSha256: hash, modelSizeBytes: 4 };
  const plan = { ...about, deadlineMs: 1000, cohort: 4, work: toySpec().work };

  it('may tell more of the work than this version knows of, and nothing else of what it does know', () => {
    checkPlan(plan);
    checkPlan(changed(plan, 'work.colour', 'red'));
    checkPlan(changed(plan, 'colour', 'red'));
    assert.throws(
      () => checkPlan(changed(plan, 'work.training.colour', 'red')),
      /^FlError.*plan: work\.training: .*colour/,
    );
  });

  for (const [path, value] of [
    ['run', 'A'],
    ['kind', 'rest'],
    ['round', 0],
    ['modelSha256', 'f'],
    ['work.training.batchSize', 0.5],
    ['secure', { nonce: 'f', enrolled: {} }],
  ] as const) {
    it(`is refused with ${path} ${JSON.stringify(value)}`, () => {
      const says = new RegExp(`^plan: ${path.replaceAll('.', '\\.')}`);
      assert.throws(() => checkPlan(changed(plan, path, value)), { code: 'invalid-argument', message: says });
    });
  }
});
