/**
 * When a run has learned enough: the best figure so far, and for how many evaluations nothing was better (early stopping
 * with patience: Prechelt 1998, "Early Stopping - But When?"). What was chosen by a figure is flattered by it.
 */
import { z } from 'zod';
import { invalidArgument } from '../errors.js';

/** As a configuration says it. */
export const stopWhenSetting = z.union([
  z.string(),
  z.strictObject({
    metric: z.string().min(1).max(200),
    better: z.enum(['higher', 'lower']).optional(),
    patience: z.int().min(1).max(1_000_000).optional(),
    'min-delta': z.number().min(0).optional(),
  }),
]);

/** As a specification holds it. */
export const stopWhenSpec = z.strictObject({
  metric: z.string().min(1).max(200),
  better: z.enum(['higher', 'lower']),
  /** Evaluations in a row without a better figure, after which the run ends; absent: it does not, and the best is kept. */
  patience: z.int().min(1).optional(),
  /** A figure is better if it is so by more than this. */
  minDelta: z.number().min(0),
});

/** When a run ends before its last round, and by what its best model is chosen. */
export type StopWhen = z.infer<typeof stopWhenSpec>;

/** What a run's evaluations have come to. */
export interface Judgement {
  /** Absent: no evaluation has had the metric. */
  readonly best?: { readonly round: number; readonly value: number; readonly modelSha256: string };
  /** Evaluations since the best one, or in all. */
  readonly since: number;
}

/** After one more evaluation; `value` undefined: it did not have the metric. Pure. */
export function judged(
  { best, since }: Judgement = { since: 0 },
  { better, minDelta }: StopWhen,
  next: { readonly round: number; readonly value: number | undefined; readonly modelSha256: string },
): Judgement {
  const { round, value, modelSha256 } = next;
  if (value === undefined) return { ...(best && { best }), since: since + 1 };
  const gain =
    best === undefined ? Number.POSITIVE_INFINITY : better === 'lower' ? best.value - value : value - best.value;
  return gain > minDelta ? { best: { round, value, modelSha256 }, since: 0 } : { best, since: since + 1 };
}

/** Why the run ends now; undefined: it goes on. */
export function stopReason({ metric, patience }: StopWhen, { best, since }: Judgement): string | undefined {
  if (patience === undefined || since < patience) return undefined;
  const evaluations = since === 1 ? 'the last evaluation' : `the last ${since} evaluations`;
  if (best === undefined) return `stop-when: ${metric} was not in ${evaluations}; name one of the test figures`;
  const value = Number(best.value.toPrecision(5));
  return `${metric} has not improved in ${evaluations}; its best was ${value} in round ${best.round}`;
}

/** `METRIC[:patience=N,min-delta=X,better=higher|lower]`. @throws FlError invalid-argument */
export function parseStopWhen(text: string): Exclude<z.infer<typeof stopWhenSetting>, string> {
  const [metric, ...rest] = text.trim().split(':');
  const out: Record<string, unknown> = { metric };
  for (const pair of rest.join(':').split(',').filter(Boolean)) {
    const [key, value = ''] = pair.split('=').map((part) => part.trim());
    if (Object.hasOwn(out, key)) throw invalidArgument('stop-when', 'each key once', key);
    out[key] = key === 'better' || value === '' ? value : Number(value);
  }
  const read = stopWhenSetting.safeParse(out);
  if (read.success && typeof read.data !== 'string') return read.data;
  throw invalidArgument('stop-when', 'METRIC[:patience=N,min-delta=X,better=higher or lower]', text);
}
