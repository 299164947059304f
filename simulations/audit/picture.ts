/** The audit as a picture: for each setting a bar for what every attack proves, and a line where the accountant's promise ends. */
import { barRows, ROW_HEIGHT } from '../../shared/charts/bar-rows.js';
import { html, markupText } from '../../shared/charts/markup.js';
import { picture, text } from '../../shared/charts/picture.js';
import { px } from '../../shared/charts/scale.js';
import type { AuditReport, AuditSetting } from './report.js';

const LEFT = 320;
const BAR = 370;
const HEAD = 36;
const GROUP_HEAD = 30;
const GROUP_GAP = 20;

/** SVG. Bars that would be longer than the picture end at its edge, with their figure. */
export function auditPicture({ settings, delta, confidence }: AuditReport): string {
  const most = Math.max(1, ...settings.map(longestOf)) * 1.15;
  const lengthOf = (epsilon: number) => (Math.min(epsilon, most) / most) * BAR;
  const legend = html`${text(`bars: ε is at least this (${100 * confidence} % confidence)`, { x: 0, y: 14, look: 'fed' })}${text(`line: ε is at most this (δ = ${delta.toExponential()})`, { x: LEFT + 10, y: 14, look: 'drop' })}`;
  let y = HEAD;
  const groups = settings.map(({ name, epsilonAtMost, bounds, testAccuracy }) => {
    const promise = epsilonAtMost === null ? 'no bound' : `ε at most ${figure(epsilonAtMost)}`;
    const accuracy = testAccuracy === null ? '' : `; accuracy ${Math.round(100 * testAccuracy)} %`;
    const heading = `${name}: ${promise}${accuracy}`;
    const top = y + GROUP_HEAD;
    const bottom = top + bounds.length * ROW_HEIGHT;
    const bars = bounds.map(({ attack, epsilonAtLeast, auc }) => ({
      name: auc === undefined ? attack : `${attack} (AUC ${auc.toFixed(2)})`,
      length: lengthOf(epsilonAtLeast),
      figure: figure(epsilonAtLeast),
      tone: 'fed',
    }));
    const line =
      epsilonAtMost !== null &&
      html`<path class="drop" stroke-width="3" d="M${px(LEFT + lengthOf(epsilonAtMost))} ${top - 6}V${bottom}"/>`;
    const drawn = html`${text(heading, { x: 0, y: y + 18, look: 'strong' })}${barRows(bars, { left: LEFT, top })}${line}`;
    y = bottom + GROUP_GAP;
    return drawn;
  });
  const size = { width: LEFT + BAR + 50, height: y - GROUP_GAP };
  return markupText(picture('How tight is the claim', size, html`${legend}${groups}`));
}

/** Two digits, as they are shown in text and picture. */
export function figure(epsilon: number): string {
  return epsilon.toFixed(2);
}

/** What sets the scale: the promise, and where there is none the bound that assumes nothing. */
function longestOf({ epsilonAtMost, bounds }: AuditSetting): number {
  return epsilonAtMost ?? bounds[0].epsilonAtLeast;
}
