/** The code under test, as a table of functions: a mutant is the same table with one of them wrong. */
import { step as clientStep } from '../../client/round/session.js';
import { restore } from '../../server/round/restore.js';
import type { UpdateId } from '../../server/round/state.js';
import { step } from '../../server/round/step.js';
import type { CommittedRounds } from '../../server/run/committed.js';
import type { Receipt } from '../../shared/run/plan.js';

export interface Subject {
  readonly step: typeof step;
  readonly restore: typeof restore;
  readonly clientStep: typeof clientStep;
  readonly receiptFor: (history: CommittedRounds, run: string, update: UpdateId) => Receipt | undefined;
}

export const subject: Subject = {
  step,
  restore,
  clientStep,
  receiptFor: (history, run, update) => history.receiptFor(run, update),
};
