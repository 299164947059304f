/** The code under test, as a table of functions: a mutant is the same table with one of them wrong. */
import { step as clientStep } from '../../client/session.js';
import type { History } from '../../server/history.js';
import { restore } from '../../server/restore.js';
import { step } from '../../server/round.js';
import type { Receipt } from '../../shared/round.js';
import type { PendingUpdate } from '../../shared/service.js';

export interface Subject {
  readonly step: typeof step;
  readonly restore: typeof restore;
  readonly clientStep: typeof clientStep;
  readonly receiptFor: (history: History, run: string, client: string, update: PendingUpdate) => Receipt | undefined;
}

export const subject: Subject = {
  step,
  restore,
  clientStep,
  receiptFor: (history, run, client, update) => history.receiptFor(run, client, update),
};
