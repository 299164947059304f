/** What an operator does about a client is on the disk before it is carried out: a kill between the two undoes nothing. */
import assert from 'node:assert/strict';
import { peopleOf } from '../../server/people.js';
import { Registry } from '../../server/registry.js';
import { rngFromSeed } from '../../shared/rng.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { FakeClock } from '../support/fake-clock.js';

const { publicKey } = identityFromSeed(new Uint8Array(32).fill(1));

/** Lab c1 is enrolled; `acts` has what the disk and the door did, in order. @param broken the disk takes nothing more */
async function open() {
  const acts: string[] = [];
  let isBroken = false;
  const append = async (record: unknown) => {
    if (isBroken) throw new Error('the disk is full');
    await undefined;
    const { kind, standing = '' } = record as { kind: string; standing?: string };
    acts.push(`${kind} ${standing}`.trim());
  };
  const registry = new Registry({ append }, []);
  await registry.enrolTrusted('c1', publicKey, 0);
  acts.length = 0;
  const people = peopleOf({
    ...{ registry, clock: new FakeClock(0), rng: rngFromSeed(1), addresses: () => ['here:1'] },
    ...{ tokenOf: (secret) => secret, shutOut: (client) => acts.push(`shut out ${client}`) },
  });
  const breakDisk = () => {
    isBroken = true;
  };
  return { people, registry, acts, breakDisk };
}

describe('what an operator does about a client', () => {
  it('is on the disk, and then the client is shut out', async () => {
    const { people, acts } = await open();
    await people.setStanding({ client: 'c1', change: 'suspend', reason: 'audit' });
    await people.setStanding({ client: 'c1', change: 'revoke', reason: 'left' });
    assert.deepEqual(acts, ['standing suspended', 'shut out c1', 'standing revoked', 'shut out c1']);
  });

  it('that gives its name to another key revokes the first, and then shuts it out', async () => {
    const { people, registry, acts } = await open();
    await people.reEnrol({ client: 'c1', expiresMs: 1 });
    assert.deepEqual(acts, ['standing revoked', 'token', 'shut out c1']);
    assert.equal(registry.standingOf('c1').standing, 'revoked');
  });

  it('and is on no disk is not carried out', async () => {
    const { people, acts, breakDisk } = await open();
    breakDisk();
    await assert.rejects(people.setStanding({ client: 'c1', change: 'revoke', reason: '' }), /the disk is full/);
    await assert.rejects(people.reEnrol({ client: 'c1', expiresMs: 1 }), /the disk is full/);
    assert.deepEqual(acts, []);
  });
});
