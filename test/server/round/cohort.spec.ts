/** A cohort counts its members as they change; the counts are never but what counting would give. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Member, memberOf, namesOf, newCohort, withMember } from '../../../server/round/cohort.js';

const NAMES = ['c', 'a', 'd', 'b'];
const member = fc.constantFrom<Member>(
  { status: 'arrived', updateSha256: 'f', metrics: {} },
  { status: 'evaluated', metrics: {} },
  { status: 'dropped', reason: 'deadline', detail: '' },
  { status: 'invited' },
);

describe('a cohort', () => {
  it('counts each member once, as what it became last', () => {
    const changes = fc.array(fc.tuple(fc.constantFrom(...NAMES), member), { maxLength: 12 });
    fc.assert(
      fc.property(changes, (list) => {
        const cohort = list.reduce((rest, [client, next]) => withMember(rest, client, next), newCohort(NAMES));
        for (const [client, next] of new Map(list)) assert.deepEqual(memberOf(cohort, client), next);
        for (const [status, count] of Object.entries(cohort.counts)) {
          assert.equal(count, namesOf(cohort, status as Member['status']).length, status);
        }
      }),
    );
  });
});
