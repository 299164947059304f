/**
 * Learning curves, the headline metric large and first, the others as small multiples of one size: train and test of
 * one family share a picture; baselines that are runs with rounds are curves in it, and the others dashed lines.
 */
import { group } from 'd3-array';
import { lineChart, type Reference, type Series } from '../../shared/charts/line-chart.js';
import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { Headline, Report } from '../../shared/run/report.js';
import { capital } from './format.js';
import { betterOf, formatMetric, isFraction, metricNames, metricValue, readable, splitMetric } from './metrics.js';

const MAX_CHARTS = 12;
/** Of one family, by split; anything else gets the last. */
const TONES: Readonly<Record<string, string>> = {
  test: 'fed',
  '': 'fed',
  train: 'soft',
  validation: 'central',
  val: 'central',
  eval: 'central',
};

/** Null when no round has a metric, or one round alone: a curve takes two. */
export function curvesSection(report: Report, headline: Headline | null): Html | null {
  const inRounds = new Set(report.rounds.flatMap((round) => Object.keys(round.metrics)));
  const families = group(
    metricNames(report).filter((name) => inRounds.has(name)),
    (name) => splitMetric(name).family,
  );
  if (families.size === 0 || report.rounds.length < 2) return null;
  const first = headline === null ? '' : splitMetric(headline.metric).family;
  const order = [...families.keys()].sort((a, b) => Number(b === first) - Number(a === first) || (a < b ? -1 : 1));
  const shown = order.slice(0, MAX_CHARTS);
  const figures = shown.map((family, i) =>
    figure(report, families.get(family) ?? [], {
      large: i === 0 || shown.length === 2, // one beside the first would leave two thirds of its row empty
      small: shown.length > 3 ? 320 : 400,
      told: family === first ? headline?.better : undefined,
    }),
  );
  return html`<section><h2>Learning curves</h2>
${figures[0]}
${figures.length > 1 && html`<div class="charts">${figures.slice(1)}</div>`}
${order.length > shown.length && html`<p class="more">${order.length - shown.length} more metrics are in report.json.</p>`}</section>`;
}

/** Pixels of the view box: `large` figures have a wide picture beside the `small` one for phones. */
interface Shape {
  readonly large: boolean;
  readonly small: number;
  readonly told?: 'higher' | 'lower';
}

function figure(report: Report, names: readonly string[], { large, small, told }: Shape): Html {
  const { family } = splitMetric(names[0]);
  const title = capital(shorten(readable(family), 60));
  const tested =
    names.find((name) => splitMetric(name).split === 'test') ??
    names.find((name) => splitMetric(name).split !== 'train');
  const others = tested === undefined ? [] : beside(report, tested);
  const series = [...names.map((name) => seriesOf(report, name)), ...others];
  const common = {
    description: `Line chart of ${title} over the rounds: ${series.map(described).join('; ')}`,
    series,
    references: tested === undefined ? [] : referencesOf(report, tested),
    format: (y: number) =>
      isFraction(family) ? formatMetric(family, y).replace('.0 %', ' %') : formatMetric(family, y),
    xName: 'round',
  };
  const better = told ?? betterOf(family);
  return html`<figure${large && html` class="large"`}><figcaption><b>${title}</b> <span>${better} is better</span>${legend(series)}</figcaption>
${large && html`<div class="on-wide">${lineChart({ ...common, width: 860, height: 320 })}</div>`}
<div${large && html` class="on-narrow"`}>${lineChart({ ...common, width: small, height: 220 })}</div></figure>`;
}

function seriesOf(report: Report, name: string): Series {
  const { split } = splitMetric(name);
  const points = report.rounds.flatMap((round) => {
    const y = metricValue(round.metrics, name);
    return y === null ? [] : [{ x: round.round, y }];
  });
  return { label: split, tone: Object.hasOwn(TONES, split) ? TONES[split] : 'soft', points };
}

/** Other federations that were run round by round, on the same test data. */
function beside({ baselines }: Report, name: string): Series[] {
  const { private: hidden, federated = {} } = baselines;
  const rows = [
    ...(hidden ? [{ label: 'with privacy', tone: 'drop', row: hidden }] : []),
    ...Object.entries(federated).map(([key, row]) => ({ label: shorten(row.label ?? key, 40), tone: 'alone', row })),
  ];
  return rows.flatMap(({ label, tone, row }) => {
    const points = (row.curve ?? []).flatMap(({ round: x, metrics }) => {
      const y = metricValue(metrics, name);
      return y === null ? [] : [{ x, y }];
    });
    return points.length > 1 ? [{ label, tone, points }] : [];
  });
}

function referencesOf(report: Report, name: string): Reference[] {
  const { local, centralised } = report.baselines;
  return [
    { label: 'training alone', tone: 'alone', y: metricValue(local?.metrics, name) },
    { label: 'all data in one place', tone: 'central', y: metricValue(centralised?.metrics, name) },
  ].flatMap((reference) => (reference.y === null ? [] : [{ ...reference, y: reference.y }]));
}

function described({ label, points }: Series): string {
  const last = points.at(-1);
  const at = (point: { y: number } | undefined) => (point === undefined ? '–' : point.y.toPrecision(3));
  return `${label} from ${at(points[0])} to ${at(last)}`.trim();
}

/** Which line is which; a single line needs none. */
export function legend(series: readonly { readonly label: string; readonly tone: string }[]): Html | null {
  if (series.length < 2) return null;
  return html`<span class="legend">${series.map(
    ({ label, tone }) =>
      html`<span><svg viewBox="0 0 12 12" aria-hidden="true"><rect class="bar ${tone}" y="3" width="12" height="6" rx="2"/></svg>${label}</span>`,
  )}</span>`;
}
