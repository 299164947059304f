/**
 * A report as one HTML page that needs nothing but itself: no request leaves it, and its Content-Security-Policy
 * (W3C CSP Level 3) allows only the style sheet and the script whose hashes it names. Everything that came from a run
 * goes through the escaping tag of markup.ts.
 */
import { createHash } from 'node:crypto';
import { html, markupText, shorten, trusted } from '../../shared/charts/markup.js';
import type { Report } from '../../shared/run/report.js';
import { artefactsSection, type InlineArtefact } from './artefacts.js';
import { clientsSection } from './clients.js';
import { curvesSection } from './curves.js';
import type { ReportFacts } from './facts.js';
import { headlineOf } from './metrics.js';
import { outcomeSection } from './outcome.js';
import { privacySection } from './privacy.js';
import { droppedSection, roundsSection } from './rounds.js';
import { runSection } from './run.js';
import { SCRIPT } from './script.js';
import { STYLE } from './style.js';

/**
 * The page, for any status, any number of rounds (also none) and any names. Pure: equal input gives equal text.
 * `artefacts` bring the bytes of those files that are to be held inside the page.
 */
export function renderReport(report: Report, artefacts: readonly InlineArtefact[], facts: ReportFacts = {}): string {
  const headline = headlineOf(report, facts.headline);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy())}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${shorten(report.workload, 80)} – Starling run report</title>
<style>${trusted(STYLE)}</style>
</head>
<body>
<main>
${outcomeSection(report, headline, facts)}
${curvesSection(report, headline)}
${artefactsSection(report.artefacts, artefacts)}
${clientsSection(report, headline)}
${privacySection(report, headline?.metric)}
${roundsSection(report)}
${droppedSection(report)}
${runSection(report, facts)}
<footer>Made by Starling. The same figures for machines: report.json.</footer>
</main>
<script>${trusted(SCRIPT)}</script>
</body>
</html>
`;
  return markupText(page);
}

function policy(): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return `default-src 'none'; img-src data:; media-src data:; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`;
}
