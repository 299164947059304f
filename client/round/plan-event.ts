/** What a site's log says of a plan that came. */
import type { RoundPlan } from '../../shared/run/plan.js';
import type { SiteEvent } from '../store/site-log.js';
import { type Decline, taskOf } from './session.js';

/** The line: what was asked, and whether it is followed. */
export function planEvent(plan: RoundPlan, decline: Decline | undefined): SiteEvent {
  const { modelSha256, work, cohort } = plan;
  return {
    ...{ event: 'plan', ...taskOf(plan), modelSha256, workload: work.workload, cohort },
    ...{ secure: work.secure !== undefined, privacy: work.privacy?.mode },
    ...(decline === undefined ? { decision: 'followed' } : { decision: 'declined', reason: decline.detail }),
  };
}
