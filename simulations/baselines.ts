/**
 * What federation is worth: the rows that a run is set beside, at equal total gradient steps, judged on the same test
 * data. Each row is a function of the run as it was resolved; a new row is one file and one line here.
 */
import type { Report } from '../shared/run/report.js';
import { centralised } from './baselines/centralised.js';
import { federations } from './baselines/federations.js';
import { floors } from './baselines/floors.js';
import type { Baseline, BaselineInput } from './baselines/input.js';
import { localOnly } from './baselines/local.js';

/** The longest first: they are chains of rounds, beside which the others find room. */
const ROWS: readonly Baseline[] = [centralised, federations, localOnly, floors];

/**
 * All rows, at once. Equal input gives equal bits, however wide the trainer is. Nothing of it runs on when this is over. When
 * the signal fires: those that were finished by then.
 */
export async function baselines(input: BaselineInput): Promise<Report['baselines']> {
  const parts = await Promise.allSettled(ROWS.map((row) => row(input)));
  const made = parts.map((part) => {
    if (part.status === 'fulfilled') return part.value;
    if (!input.signal?.aborted) throw part.reason;
    return {};
  });
  return Object.assign({}, ...made) as Report['baselines'];
}

export type { BaselineInput } from './baselines/input.js';
