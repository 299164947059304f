/**
 * Whether this client has anything to follow a plan with, asked before keys are exchanged, anything is trained or charged:
 * a client without training examples says so in the same words whatever protects the run (shared/run/no-examples.ts).
 */
import { NO_TEST_EXAMPLES, NO_TRAINING_EXAMPLES } from '../../shared/run/no-examples.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import type { ExampleCounts, SiteRules, TaskRunner } from '../training/task.js';
import { type Decline, taskOf } from './session.js';

/** Undefined: it has, or that cannot be told now; then the task itself says why. At once, when the data have been counted. */
export type AskExamples = (plan: RoundPlan) => Decline | undefined | Promise<Decline | undefined>;

/** Data are counted once for each way of loading and dividing them. */
export function askExamples({
  trainer,
  slice,
  site,
}: {
  readonly trainer: Pick<TaskRunner, 'count'>;
  readonly slice?: { readonly index: number; readonly count: number };
  readonly site?: SiteRules;
}): AskExamples {
  const counted = new Map<string, ExampleCounts>();
  return (plan) => {
    if (trainer.count === undefined || !isAsked(plan)) return undefined;
    const { workload, hyper, seed, partition, validationFraction = 0 } = plan.work;
    const key = canonicalJson({ workload, hyper, seed, partition, validationFraction });
    const known = counted.get(key);
    if (known !== undefined) return declineOf(plan, known);
    const count = trainer.count({ work: plan.work, slice, site });
    return count.then(
      (counts) => {
        counted.set(key, counts);
        return declineOf(plan, counts);
      },
      () => undefined,
    );
  };
}

/** A figure of no example is told as none; one that is noised would be noise, and cost something. */
function isAsked({ kind, work }: RoundPlan): boolean {
  return kind === 'train' || work.privacy?.tests !== undefined;
}

function declineOf({ kind }: RoundPlan, { train, test }: ExampleCounts): Decline | undefined {
  if ((kind === 'train' ? train : test) > 0) return undefined;
  return { reason: 'dropout', detail: kind === 'train' ? NO_TRAINING_EXAMPLES : NO_TEST_EXAMPLES };
}

/** What a site's own console hears of what it says to a plan; that there are no examples, once for a run. */
export function decisionNotices(
  notice: (message: string, fields: object) => void,
): (plan: RoundPlan, decline: Decline | undefined) => void {
  const said = new Set<string>();
  return (plan, decline) => {
    if (decline === undefined) return notice('plan followed', { ...taskOf(plan), rounds: plan.work.rounds });
    const { detail } = decline;
    if (detail !== NO_TRAINING_EXAMPLES && detail !== NO_TEST_EXAMPLES) {
      return notice('plan declined', { ...taskOf(plan), ...decline });
    }
    const key = `${plan.run} ${detail}`;
    if (said.has(key)) return;
    said.add(key);
    notice(detail, { run: plan.run });
  };
}
