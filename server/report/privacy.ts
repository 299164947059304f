/**
 * The privacy that was spent: epsilon after each round against the budget, and what the figures mean.
 * (ε, δ)-differential privacy: Dwork, Roth, "The Algorithmic Foundations of Differential Privacy", 2014, definition 2.4.
 */

import { lineChart } from '../../shared/charts/line-chart.js';
import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { Report } from '../../shared/run/report.js';
import { capital, formatNumber, formatPercent } from './format.js';
import { testNoiseWords } from './test-noise.js';

const MODES: Readonly<Record<string, string>> = {
  central: 'The coordinator adds the noise to the sum of the updates of a round.',
  distributed:
    'Each client adds its part of the noise before its update leaves it, so the sum of a round is noised from the start.',
  local: 'Each client adds all of the noise to its own update before it leaves it, so nobody need be trusted.',
  example: 'Each client adds noise to every training step, so that each single example is protected.',
};

/** Of simulated runs; in a deployed one every noise is secret, and nothing need be said. */
const NOISE: Readonly<Record<string, string>> = {
  'from-seed':
    'This run was simulated, and its noise is public: it follows from the seed that run.json prints, so whoever sees the model can take it off. ε is what the same run costs where noise is secret.',
  secret:
    'This run was simulated with secret noise, drawn from the system and kept nowhere: the seed does not give it, nor this model again.',
};

/** `metric`: the figure that the page shows first. Null when the run had no differential privacy. */
export function privacySection(report: Report, metric?: string): Html | null {
  const { privacy } = report;
  if (privacy === null) return null;
  const { epsilon, budget } = privacy;
  const points = report.rounds.flatMap((round) =>
    round.epsilon === null ? [] : [{ x: round.round, y: round.epsilon }],
  );
  const unit = privacy.mode === 'example' ? 'example' : 'client';
  const used = budget === null || budget === 0 ? null : epsilon / budget;
  return html`<section><h2>Privacy spent</h2><div class="privacy">
<div><p class="epsilon">ε = ${formatNumber(epsilon)} <small>at δ = ${formatNumber(privacy.delta)}</small></p>
<p>${used === null ? 'The run had no budget.' : `${formatPercent(used, 0)} of the budget of ε = ${formatNumber(budget ?? 0)}.`}</p>
<p>With or without any one ${unit}'s data, the odds of anything that can be concluded from the model differ at most by the factor e<sup>ε</sup> = ${formatNumber(Math.exp(epsilon))}, except with a probability of about δ. Smaller is more private.</p>
<p>${Object.hasOwn(MODES, privacy.mode) && MODES[privacy.mode]} Mode <code>${shorten(privacy.mode, 40)}</code>, accountant <code>${shorten(privacy.accountant, 40)}</code>.</p>
${privacy.tests !== undefined && html`<p>${shorten(capital(testNoiseWords(privacy.tests, metric)), 300)}.</p>`}
${privacy.noise !== undefined && Object.hasOwn(NOISE, privacy.noise) && html`<p>${NOISE[privacy.noise]}</p>`}</div>
${
  points.length > 0 &&
  html`<figure><figcaption><b>ε after each round</b></figcaption>${lineChart({
    description: `Line chart of epsilon after each round, ${formatNumber(epsilon)} at the end`,
    width: 400,
    height: 240,
    series: [{ label: 'ε', tone: 'fed', points }],
    references: budget === null ? [] : [{ label: 'budget', tone: 'drop', y: budget }],
    format: formatNumber,
    xName: 'round',
    fromZero: true,
  })}</figure>`
}</div></section>`;
}
