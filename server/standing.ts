/**
 * How an enrolled client stands, pure: what an operator may do about it, and in which words it is kept out. A token is an
 * approval unless it says otherwise; nothing leads back from `revoked` but another key (re-enrolment).
 *
 *   pending --approve--> approved --suspend--> suspended --resume--> approved;  each --revoke--> revoked
 */
import { FlError } from '../shared/errors.js';
import type { Standing, StandingChange } from '../shared/people.js';

/** How a client stands, and why; `reason` is empty when nobody has said. */
export interface Stood {
  readonly standing: Standing;
  readonly reason: string;
}

const CHANGES: Readonly<Record<StandingChange, { readonly from: readonly Standing[]; readonly to: Standing }>> = {
  approve: { from: ['pending'], to: 'approved' },
  suspend: { from: ['pending', 'approved'], to: 'suspended' },
  resume: { from: ['suspended'], to: 'approved' },
  revoke: { from: ['pending', 'approved', 'suspended'], to: 'revoked' },
};

/** How it stands afterwards. @throws FlError failed-precondition */
export function afterChange(client: string, { standing }: Stood, change: StandingChange): Standing {
  const { from, to } = CHANGES[change];
  if (from.includes(standing)) return to;
  const next = standing === 'revoked' ? `; next: starling client re-enrol ${client}` : '';
  throw new FlError(
    'failed-precondition',
    `${change}: expected a client that is ${from.join(' or ')}, got "${client}", which is ${standing}${next}`,
  );
}

/** Why it is kept out; undefined: it is approved. `retry`: it may be let in later, and is to come back. */
export function refusalOf(
  client: string,
  { standing, reason }: Stood,
): { readonly reason: string; readonly retry: boolean } | undefined {
  const why = reason === '' ? '' : ` (${reason})`;
  switch (standing) {
    case 'approved':
      return undefined;
    case 'pending':
      return {
        reason: `client "${client}" is pending: its operator has to approve it by \`starling client approve ${client}\``,
        retry: true,
      };
    case 'suspended':
      return {
        reason: `client "${client}" is suspended${why}: it is let in again when its operator resumes it`,
        retry: true,
      };
    case 'revoked':
      return {
        reason: `client "${client}" is revoked${why}: it takes no part any more; only its operator can enrol it again`,
        retry: false,
      };
  }
}
