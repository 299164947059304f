/** Whether this site's workload is the very code that the run was started with: sites that run others train nothing together. */
import type { RoundPlan } from '../../shared/run/plan.js';
import type { Asked, Policy } from './table.js';

/** What `workload-code` says of a plan; undefined: the run does not say which code it is (an older one), or any will do. */
export async function askWorkloadCode(
  { 'workload-code': rule }: Policy,
  { work }: RoundPlan,
  own: () => Promise<string>,
): Promise<Asked | undefined> {
  if (rule !== 'same' || work.workloadSha256 === undefined) return undefined;
  const got = await own();
  const ok = got === work.workloadSha256;
  return {
    ok,
    expected: `${work.workloadSha256}, the code that the run was started with`,
    got: ok ? got : `${got}: this lab's ${work.workload} is not the one that the run was started with`,
    next: "use the operator's file here, start the run again from this one, or set this key to any in the site's policy",
  };
}
