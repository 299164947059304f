/** `stop-when` of a configuration, completed from what the workload says of its figures. */
import type { Workload } from '../../client/workload.js';
import { invalidArgument } from '../../shared/errors.js';
import type { FiguresSpec } from '../../shared/run/figures.js';
import type { Config } from '../../shared/run/settings.js';
import type { Hyper } from '../../shared/run/spec.js';
import { parseStopWhen, type StopWhen } from '../../shared/run/stop-when.js';

/** Nothing: the run goes to its last round. @throws FlError invalid-argument: it could never be decided */
export function stopWhenOf(
  config: Config,
  { manifest }: Workload,
  about: { readonly hyper: Hyper; readonly figures: FiguresSpec | undefined },
): { readonly stopWhen?: StopWhen } {
  const given = config['stop-when'];
  if (given === undefined) return {};
  const {
    metric,
    better,
    patience,
    'min-delta': minDelta = 0,
  } = typeof given === 'string' ? parseStopWhen(given) : given;
  if (config['evaluate-every'] === 0) throw invalidArgument('evaluate-every', 'at least 1 with stop-when', 0);
  const declared = manifest.maskedMetrics?.(about.hyper);
  const names = new Set([
    manifest.headline.metric,
    ...(declared ?? []).filter(({ size }) => size === 1).map(({ name }) => `test.${name}`),
    ...Object.keys(about.figures?.formulas ?? {}).map((name) => `test.${name}`),
  ]);
  if (declared !== undefined && !names.has(metric)) {
    throw invalidArgument('stop-when.metric', `one of ${[...names].join(', ')}`, metric);
  }
  const direction = better ?? directionOf(metric, manifest.headline);
  return { stopWhen: { metric, better: direction, ...(patience !== undefined && { patience }), minDelta } };
}

/** The workload says it of its headline; of a loss everybody knows. */
function directionOf(metric: string, headline: Workload['manifest']['headline']): StopWhen['better'] {
  if (metric === headline.metric) return headline.better;
  if (metric === 'test.loss') return 'lower';
  throw invalidArgument('stop-when.better', `higher or lower, for ${metric} is not the headline`, 'none');
}
