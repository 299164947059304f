/** What stands for a policy: the same for the same rules, others for others, and nothing that could be tried out. */
import assert from 'node:assert/strict';
import { policyDigest } from '../../../client/policy/digest.js';
import { identityOf } from '../../support/peer.js';

describe('the digest of a policy', () => {
  const rules = { policy: { 'max-local-epochs': 1 }, ledgerModels: [], workloads: {}, version: '1' };
  const of = (change: object = {}, client = 'c1') => policyDigest(identityOf(client), { ...rules, ...change });

  it('is the same until anything of what the site allows changes', () => {
    assert.match(of(), /^[0-9a-f]{64}$/);
    assert.equal(of({ policy: { 'max-local-epochs': 1 } }), of());
    const changes = [
      { policy: { 'max-local-epochs': 2 } },
      { policy: {} },
      { ledgerModels: ['ab'] },
      { workloads: { mine: 'ab' } },
      { workloads: { mine: 'cd' } },
      { version: '2' },
    ];
    assert.equal(new Set([of(), ...changes.map((change) => of(change))]).size, changes.length + 1);
  });

  it('is another for another client of the same policy: who has not the key cannot try policies out', () => {
    assert.notEqual(of({}, 'c2'), of());
  });
});
