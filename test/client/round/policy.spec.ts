/** Each rule of a site's policy at its limit and one past it, and what is said of a policy that is not understood. */
import assert from 'node:assert/strict';
import { allowAll, declineReasonOf, parsePolicy } from '../../../client/round/policy.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import { toySpec } from '../../support/toy.js';

const work = toySpec({ rounds: 10 }).work;
const plan: RoundPlan = {
  ...{ run: 'r', kind: 'train', round: 1, attempt: 1, modelSha256: '0'.repeat(64), modelSizeBytes: 1000 },
  ...{ deadlineMs: 1000, cohort: 5, work },
};
const epochs: RoundPlan = {
  ...plan,
  work: { ...work, training: { ...work.training, localSteps: undefined, localEpochs: 2 } },
};
const steps: RoundPlan = { ...plan, work: { ...work, training: { ...work.training, localSteps: 20 } } };

function refusal(text: string, of = plan): string | undefined {
  return declineReasonOf(parsePolicy(text, 'policy.yaml'), of);
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
  it('allows everything when it says nothing', () => {
    assert.equal(declineReasonOf(allowAll, plan), undefined);
    for (const text of ['', '# nothing\n', '{}']) assert.deepEqual(parsePolicy(text, 'p'), {});
  });

  const limits = [
    { key: 'min-cohort', allowed: 5, forbidden: 6, of: plan, says: 'expected at least 6, got 5' },
    { key: 'max-local-epochs', allowed: 2, forbidden: 1.5, of: epochs, says: 'expected at most 1.5, got 2' },
    { key: 'max-local-steps', allowed: 20, forbidden: 19, of: steps, says: 'expected at most 19, got 20' },
    { key: 'max-rounds', allowed: 10, forbidden: 9, of: plan, says: 'expected at most 9, got 10' },
    { key: 'max-model-bytes', allowed: 1000, forbidden: 999, of: plan, says: 'expected at most 999, got 1000' },
  ];
  for (const { key, allowed, forbidden, of, says } of limits) {
    it(`keeps to ${key}, to the last one`, () => {
      assert.equal(refusal(`${key}: ${allowed}`, of), undefined);
      assert.equal(refusal(`${key}: ${forbidden}`, of), `policy: ${key}: ${says}`);
    });

    it(`takes only a sensible number for ${key}`, () => {
      for (const value of ['0', '-1', 'many', '.nan', '[]'])
        assert.match(faultOf(`${key}: ${value}`), new RegExp(`^policy.yaml: ${key}: `));
    });
  }

  it('keeps to the workloads that it names', () => {
    assert.equal(refusal('workloads: [toy, cnn]'), undefined);
    assert.equal(refusal('workloads: [cnn, lstm]'), 'policy: workloads: expected one of cnn, lstm, got toy');
    assert.match(refusal('workloads: []')!, /^policy: workloads/);
  });

  it('does not hold one limit against a plan that counts the other way', () => {
    assert.equal(refusal('max-local-epochs: 1', steps), undefined);
    assert.equal(refusal('max-local-steps: 1', epochs), undefined);
  });

  it('names the first rule that forbids a plan', () => {
    assert.match(refusal('max-rounds: 1\nmin-cohort: 100')!, /^policy: min-cohort/);
  });

  it('does not pass over a key that it does not know: the rule might be a misspelt one', () => {
    assert.match(
      faultOf('min-cohrt: 5'),
      /^policy\.yaml: unknown key "min-cohrt"; known are workloads, min-cohort, .*, delta/,
    );
  });

  it('is not a list, a text, or no YAML at all', () => {
    assert.equal(faultOf('[1]'), 'policy.yaml: expected keys and values, got a list');
    assert.equal(faultOf('just words'), 'policy.yaml: expected keys and values, got a string');
    assert.match(faultOf('a: [1'), /^policy\.yaml: not YAML: /);
    assert.match(faultOf('max-rounds: 1\nmax-rounds: 2'), /^policy\.yaml: not YAML: /);
  });
});
