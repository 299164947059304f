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
  about: { readonly hyper: Hyper; readonly figures: FiguresSpec | undefined; readonly hasValidation: boolean },
): { readonly stopWhen?: StopWhen } {
  const given = config['stop-when'];
  if (given === undefined) return {};
  const {
    metric: named,
    better,
    patience,
    'min-delta': minDelta = 0,
  } = typeof given === 'string' ? parseStopWhen(given) : given;
  if (config['evaluate-every'] === 0) throw invalidArgument('evaluate-every', 'at least 1 with stop-when', 0);
  const metric = chosenBy(named, about.hasValidation);
  const declared = manifest.maskedMetrics?.(about.hyper);
  const names = new Set([
    manifest.headline.metric,
    ...(declared ?? []).filter(({ size }) => size === 1).map(({ name }) => `test.${name}`),
    ...Object.keys(about.figures?.formulas ?? {}).map((name) => `test.${name}`),
  ]);
  const ofTests = metric.replace(/^validation\./, 'test.');
  if (declared !== undefined && !names.has(ofTests)) {
    throw invalidArgument('stop-when.metric', `one of ${[...names].join(', ')}`, named);
  }
  const direction = better ?? directionOf(ofTests, manifest.headline);
  return { stopWhen: { metric, better: direction, ...(patience !== undefined && { patience }), minDelta } };
}

/**
 * The figure of validation examples where there are any, however it was named: nobody means to spend test examples on a
 * choice that others are there for. @throws FlError invalid-argument: of validation examples, and there are none
 */
function chosenBy(named: string, hasValidation: boolean): string {
  if (/^train\./.test(named)) return named;
  const [, split, figure] = /^(?:(test|validation)\.)?(.+)$/s.exec(named) ?? [];
  if (split === 'validation' && !hasValidation) {
    const expected = `test.${figure}, for the run has no validation examples (validation-fraction: 0.1 holds some out)`;
    throw invalidArgument('stop-when.metric', expected, named);
  }
  return `${hasValidation ? 'validation' : 'test'}.${figure}`;
}

/** The workload says it of its headline; of a loss everybody knows. */
function directionOf(metric: string, headline: Workload['manifest']['headline']): StopWhen['better'] {
  if (metric === headline.metric) return headline.better;
  if (metric === 'test.loss') return 'lower';
  throw invalidArgument('stop-when.better', `higher or lower, for ${metric} is not the headline`, 'none');
}
