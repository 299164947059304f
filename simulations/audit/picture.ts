/** The audit as a picture: for each setting a bar for what every attack proves, and a line where the accountant's promise ends. */
import { round, text } from '../../client/artefacts/svg.js';
import type { AuditReport, AuditSetting } from './audit.js';

const WIDTH = 800;
const LEFT = 330;
const RIGHT = WIDTH - 80;
const BAR = 22;
const GAP = 10;
const HEAD = 76;
const GROUP_HEAD = 34;
const PROVED = '#1d4ed8';
const PROMISED = '#dc2626';

/** SVG. Bars that would be longer than the picture end at its edge, with their figure. */
export function auditPicture({ settings, delta, confidence }: AuditReport): string {
  const most = Math.max(1, ...settings.map(longestOf)) * 1.15;
  const at = (epsilon: number) => round(LEFT + (Math.min(epsilon, most) / most) * (RIGHT - LEFT));
  const parts = [text('How tight is the claim', { x: 24, y: 30, size: 17, weight: 600 })];
  parts.push(
    text(
      `blue: ε is at least this (${100 * confidence} % confidence); red: ε is at most this (δ = ${delta.toExponential()})`,
      { x: 24, y: 52 },
    ),
  );
  let y = HEAD;
  for (const setting of settings) {
    const { name, epsilonAtMost, bounds, testAccuracy } = setting;
    const promise = epsilonAtMost === null ? 'no bound' : `ε at most ${figure(epsilonAtMost)}`;
    parts.push(
      text(`${name}: ${promise}; accuracy ${Math.round(100 * testAccuracy)} %`, { x: 24, y: y + 20, weight: 600 }),
    );
    y += GROUP_HEAD;
    const top = y;
    for (const { attack, epsilonAtLeast, auc } of bounds) {
      const end = at(epsilonAtLeast);
      const area = auc === undefined ? '' : ` (AUC ${auc.toFixed(2)})`;
      parts.push(text(attack + area, { x: LEFT - 10, y: y + 16, anchor: 'end' }));
      parts.push(`<rect x="${LEFT}" y="${y}" width="${Math.max(1, end - LEFT)}" height="${BAR}" fill="${PROVED}"/>`);
      parts.push(text(figure(epsilonAtLeast), { x: end + 6, y: y + 16, colour: PROVED }));
      y += BAR + GAP;
    }
    if (epsilonAtMost !== null) {
      parts.push(`<path d="M${at(epsilonAtMost)} ${top - 6}V${y}" stroke="${PROMISED}" stroke-width="3"/>`);
    }
    y += 2 * GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui,sans-serif"><rect width="${WIDTH}" height="${y}" fill="#fff"/>${parts.join('')}</svg>\n`;
}

/** Two digits, as they are shown in text and picture. */
export function figure(epsilon: number): string {
  return epsilon.toFixed(2);
}

/** What sets the scale: the promise, and where there is none the bound that assumes nothing. */
function longestOf({ epsilonAtMost, bounds }: AuditSetting): number {
  return epsilonAtMost ?? bounds[0].epsilonAtLeast;
}
