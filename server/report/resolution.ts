/** What is said of a figure that is lost in the grid that its sums came through: a 0 would be read as a result. */
import type { RoundReport } from '../../shared/run/report.js';
import { formatNumber } from './format.js';

type Told = Partial<Pick<RoundReport, 'resolution' | 'metrics'>>;

/** "below the resolution of 0.3" for a figure that was measured and cannot be seen; null otherwise. */
export function belowResolution(round: Told | undefined, metric: string): string | null {
  const { resolution = {}, metrics = {} } = round ?? {};
  if (!Object.hasOwn(resolution, metric) || Object.hasOwn(metrics, metric)) return null;
  return `below the resolution of ${formatNumber(resolution[metric])}`;
}

/** One sentence; null when all figures can be seen. */
export function lostFiguresWarning(round: Told | undefined): string | null {
  const lost = Object.keys(round?.resolution ?? {}).flatMap((metric) => {
    const words = belowResolution(round, metric);
    return words === null ? [] : [`${metric} is ${words}`];
  });
  if (lost.length === 0) return null;
  return `${lost.slice(0, 8).join(', ')}: the bound (max) of its masked metric is too large for what it measures`;
}
