/** What the terminal and the page say of test figures that are noised. */
import type { Report } from '../../shared/run/report.js';
import { formatNumber, plural } from './format.js';

type TestNoise = NonNullable<NonNullable<Report['privacy']>['tests']>;

/** One sentence without a full stop. @param metric the figure that a person looks at first */
export function testNoiseWords({ noiseMultiplier, evaluations, deviations }: TestNoise, metric = ''): string {
  const deviation = Object.hasOwn(deviations, metric) ? deviations[metric] : undefined;
  const much =
    deviation === undefined ? '' : `; its standard deviation in ${metric} is about ${formatNumber(deviation)}`;
  return `test figures are noised, at ${formatNumber(noiseMultiplier)} times what one example changes, and epsilon counts ${plural(evaluations, 'evaluation')}${much}`;
}
