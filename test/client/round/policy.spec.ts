/** Each rule of a site's policy at its limit and one past it, and what is said of a policy that is not understood. */
import assert from 'node:assert/strict';
import { allowAll, crowdOf, declineReasonOf, POLICY_DEFAULTS, parsePolicy } from '../../../client/round/policy.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { SecureSpec, TrainingSpec } from '../../../shared/run/spec.js';
import { planOf } from '../../support/one-client.js';
import { toySpec } from '../../support/toy.js';

const { work } = planOf({ work: toySpec({ rounds: 10 }).work });
const secure: SecureSpec = {
  ...{ valueRange: 1, weightCap: 1024, adversaryFraction: 0.05, dropFraction: 0.05, survivorsMin: 3 },
  ...{ phaseDeadlineMs: 1000, trainMetrics: [], testMetrics: [] },
};
const plan: RoundPlan = planOf({ cohort: 5, modelSizeBytes: 1000, work });
const masked: RoundPlan = { ...plan, work: { ...work, secure }, secure: { nonce: '0'.repeat(32), enrolled: {} } };

function trained(training: Partial<TrainingSpec>): RoundPlan {
  return { ...plan, work: { ...work, training: { ...work.training, ...training } } };
}

function securedBy(changes: Partial<SecureSpec>, cohort = 5): RoundPlan {
  return { ...masked, cohort, work: { ...masked.work, secure: { ...secure, ...changes } } };
}

/** What a file that says nothing else against these plans in the clear says of one. */
function refusal(text: string, of = plan): string | undefined {
  return declineReasonOf(parsePolicy(`require-secure-aggregation: false\n${text}`, 'policy.yaml'), of);
}

function faultOf(text: string): string {
  try {
    parsePolicy(text, 'policy.yaml');
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'invalid-argument');
    return (error as Error).message;
  }
  return '';
}

describe("a site's policy", () => {
  it('is the safe one when it says nothing', () => {
    for (const text of ['', '# nothing\n', '{}']) assert.deepEqual(parsePolicy(text, 'p'), POLICY_DEFAULTS);
    assert.equal(declineReasonOf(POLICY_DEFAULTS, masked), undefined);
    assert.equal(
      declineReasonOf(POLICY_DEFAULTS, plan),
      "policy: require-secure-aggregation: expected secure aggregation, got none; next: set secure-aggregation: true in the run, or set this key to false in the site's policy",
    );
    assert.match(
      declineReasonOf(POLICY_DEFAULTS, { ...masked, cohort: 2 })!,
      /^policy: min-cohort: expected at least 3, got 2; /,
    );
    assert.match(
      declineReasonOf(POLICY_DEFAULTS, securedBy({ survivorsMin: 2 }))!,
      /^policy: min-survivors: expected at least 3, got 2; /,
    );
  });

  it('asks nothing when no key is there at all', () => {
    assert.equal(declineReasonOf(allowAll, plan), undefined);
  });

  it('says among how many it hides, and which keys raise that', () => {
    assert.equal(
      crowdOf(parsePolicy('min-cohort: 10', 'p')),
      'policy: an update of this site leaves in a sum of at least 3 clients of a cohort of at least 10; min-survivors and min-cohort raise that (starling client policy)',
    );
    assert.match(
      crowdOf(parsePolicy('require-secure-aggregation: false', 'p')),
      /in the clear; require-secure-aggregation: true/,
    );
  });

  const rows: [key: string, allowed: number, forbidden: number, of: RoundPlan, says: string][] = [
    [
      'min-cohort',
      5,
      6,
      plan,
      'expected at least 6, got 5; next: raise the cohort (with groups secure-groups) in the run',
    ],
    [
      'min-cohort',
      4,
      5,
      securedBy({ survivorsMin: 4 }),
      'expected at least 5, got 4; next: raise min-survivors in the run',
    ],
    [
      'min-survivors',
      4,
      5,
      securedBy({ survivorsMin: 4 }),
      'expected at least 5, got 4; next: raise min-survivors in the run',
    ],
    ['adversary-fraction', 0.05, 0.1, masked, 'expected at least 0.1, got 0.05'],
    ['max-value-range', 1, 0.5, masked, 'expected at most 0.5, got 1; next: lower value-range in the run'],
    ['max-weight-cap', 1024, 1023, masked, 'expected at most 1023, got 1024; next: lower weight-cap in the run'],
    ['max-local-epochs', 2, 1, trained({ localSteps: undefined, localEpochs: 2 }), 'expected at most 1, got 2'],
    ['min-local-epochs', 2, 3, trained({ localSteps: undefined, localEpochs: 2 }), 'expected at least 3, got 2'],
    ['max-local-steps', 20, 19, trained({ localSteps: 20 }), 'expected at most 19, got 20'],
    ['min-local-steps', 20, 21, trained({ localSteps: 20 }), 'expected at least 21, got 20'],
    ['max-batch-size', 8, 7, trained({ batchSize: 8 }), 'expected at most 7, got 8; next: lower batch-size in the run'],
    [
      'min-batch-size',
      8,
      9,
      trained({ batchSize: 8 }),
      'expected at least 9, got 8; next: raise batch-size in the run',
    ],
    ['max-client-lr', 0.5, 0.25, plan, 'expected at most 0.25, got 0.5; next: lower client-lr in the run'],
    ['min-client-lr', 0.5, 0.75, plan, 'expected at least 0.75, got 0.5; next: raise client-lr in the run'],
    ['max-weight-decay', 0.5, 0.25, trained({ weightDecay: 0.5 }), 'expected at most 0.25, got 0.5'],
    ['max-gradient-clip-norm', 2, 1, trained({ gradientClipNorm: 2 }), 'expected at most 1, got 2'],
    ['max-rounds', 10, 9, plan, 'expected at most 9, got 10; next: lower rounds in the run'],
    ['max-rounds', 12, 11, { ...plan, round: 12 }, 'expected at most 11, got 12'],
    ['max-model-bytes', 1000, 999, plan, 'expected at most 999, got 1000'],
  ];
  for (const [key, allowed, forbidden, of, says] of rows) {
    it(`keeps to ${key}, to the last one: ${says}`, () => {
      assert.equal(refusal(`min-survivors: 2\n${key === 'min-survivors' ? '' : `${key}: ${allowed}`}`, of), undefined);
      const said = refusal(
        key === 'min-survivors' ? `${key}: ${forbidden}` : `min-survivors: 2\n${key}: ${forbidden}`,
        of,
      );
      assert.ok(said?.startsWith(`policy: ${key}: ${says}`), said);
      assert.match(said!, /, or (lower|raise) this key in the site's policy$/);
    });

    it(`takes only a sensible number for ${key} (${says})`, () => {
      for (const value of ['-1', 'many', '.nan', '[]'])
        assert.match(faultOf(`${key}: ${value}`), new RegExp(`^policy.yaml: ${key}: `));
    });
  }

  it('counts rounds by the number of the round too, whatever the run announces', () => {
    assert.equal(refusal('max-rounds: 12', { ...plan, round: 12 }), undefined);
    assert.match(
      refusal('max-rounds: 12', { ...plan, round: 13 })!,
      /^policy: max-rounds: expected at most 12, got 13; /,
    );
  });

  it('takes a gradient that nobody clips for one above every limit', () => {
    assert.match(
      refusal('max-gradient-clip-norm: 1e9')!,
      /^policy: max-gradient-clip-norm: expected at most 1000000000, got none; /,
    );
    assert.equal(refusal(''), undefined);
  });

  it('keeps to the workloads that it names', () => {
    assert.equal(refusal('workloads: [toy, cnn]'), undefined);
    assert.match(
      refusal('workloads: [cnn, lstm]')!,
      /^policy: workloads: expected one of cnn, lstm, got toy; next: change the workload of the run, or /,
    );
    assert.match(refusal('workloads: []')!, /^policy: workloads/);
  });

  it('keeps to the settings of a workload that it names', () => {
    const tuned = { ...plan, work: { ...work, hyper: { filters: 8, 'held-out': 2 } } };
    assert.equal(refusal('hyper: [filters, held-out]', tuned), undefined);
    assert.equal(refusal('hyper: []', plan), undefined);
    assert.match(
      refusal('hyper: [filters]', tuned)!,
      /^policy: hyper: expected none but filters, got held-out; next: leave /,
    );
  });

  it('does not hold one limit against a plan that counts the other way', () => {
    const epochs = trained({ localSteps: undefined, localEpochs: 2 });
    assert.equal(refusal('max-local-epochs: 1', trained({ localSteps: 20 })), undefined);
    assert.equal(refusal('max-local-steps: 1', epochs), undefined);
  });

  it('names the first rule that forbids a plan', () => {
    assert.match(refusal('max-rounds: 1\nmin-cohort: 100')!, /^policy: min-cohort/);
  });

  it('does not pass over a key that it does not know: the rule might be a misspelt one', () => {
    assert.match(
      faultOf('min-cohrt: 5'),
      /^policy\.yaml: unknown key "min-cohrt"; known are workloads, .*delta, min-cohort, /,
    );
  });

  it('is not a list, a text, or no YAML at all', () => {
    assert.equal(faultOf('[1]'), 'policy.yaml: expected keys and values, got a list');
    assert.equal(faultOf('just words'), 'policy.yaml: expected keys and values, got a string');
    assert.match(faultOf('a: [1'), /^policy\.yaml: not YAML: /);
    assert.match(faultOf('max-rounds: 1\nmax-rounds: 2'), /^policy\.yaml: not YAML: /);
  });

  it('takes a first model from a ledger only if it says which', () => {
    assert.match(faultOf('first-model: ledger'), /^policy\.yaml: first-model: ledger: expected the key ledger/);
    assert.equal(parsePolicy('first-model: [workload, ledger]\nledger: l.jsonl', 'p').ledger, 'l.jsonl');
    assert.match(faultOf('first-model: [abc]'), /^policy\.yaml: first-model/);
  });
});
