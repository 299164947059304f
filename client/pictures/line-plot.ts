/** A plot of a few measured points in a file of its own, with the names of its curves where there are several. */
import { type LineChart, lineChart, type Series } from '../../shared/charts/line-chart.js';
import { type Html, html } from '../../shared/charts/markup.js';
import { picture, text } from '../../shared/charts/picture.js';

const SIZE = { width: 480, height: 280 };
const TONES = ['fed', 'drop', 'central', 'alone'];
const LEGEND = 26;

/** What to draw; see {@link LineChart}. */
export interface LinePlot extends Pick<LineChart, 'xName' | 'logX' | 'range' | 'format' | 'references'> {
  readonly title: string;
  readonly yName: string;
  /** At most four. */
  readonly series: readonly Pick<Series, 'label' | 'points'>[];
}

/** @throws RangeError without a point, or with one that is not finite or not above 0 on a log axis */
export function linePlot({ title, yName, ...plot }: LinePlot): Html {
  const series = plot.series.map((one, i) => ({ ...one, tone: TONES[i % TONES.length] }));
  const points = series.flatMap((one) => one.points);
  const isLog = plot.logX !== undefined;
  demand(
    plot.xName,
    points.map(({ x }) => x),
    isLog ? 'finite values above 0' : 'finite values',
    isLog ? 0 : -Infinity,
  );
  demand(
    yName,
    points.map(({ y }) => y),
    'finite values',
    -Infinity,
  );
  const chart = lineChart({ ...plot, ...SIZE, series, description: title, isStill: true });
  const legend = series.length < 2 ? [] : series;
  const names = legend.map(
    ({ label, tone }, i) =>
      html`<rect class="bar ${tone}" x="${i * 140}" y="4" width="12" height="12" rx="2"/>${text(label, { x: 18 + i * 140, y: 15, look: tone })}`,
  );
  const top = legend.length === 0 ? 0 : LEGEND;
  const { width, height } = SIZE;
  return picture(
    title,
    { width, height: top + 18 + height },
    html`${names}${text(yName, { x: 0, y: top + 12, look: 'soft' })}<svg y="${top + 18}" width="${width}" height="${height}">${chart}</svg>`,
  );
}

function demand(name: string, values: readonly number[], expected: string, above: number): void {
  const wrong = values.find((value) => !Number.isFinite(value) || value <= above);
  if (values.length > 0 && wrong === undefined) return;
  throw new RangeError(`${name}: expected ${expected}, got ${wrong ?? 'none'}`);
}
