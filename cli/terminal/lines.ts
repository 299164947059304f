/**
 * The state of a run as lines of text: a frame of a few lines for a terminal, or one line per round for a log. Pure;
 * colour is applied last (`paint`), after a line was cut to the width, so no escape sequence is ever cut in two.
 */

import { formatBytes, formatDuration, formatNumber, plural } from '../../server/report/format.js';
import { lossyNote, overWhom } from '../../server/report/lossy.js';
import { belowResolution } from '../../server/report/resolution.js';
import { roundWarnings } from '../../server/report/warnings.js';
import { shorten } from '../../shared/charts/markup.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import {
  droppedLines,
  isSomebodyAway,
  plain,
  REASON_LENGTH,
  shareLines,
  waitingForLine,
  waitingLine,
} from './clients.js';
import { type ClientState, doneShare, headlineValue, leftMs, type ProgressState, rates } from './state.js';

/** What a colour would say. */
export type Tone = 'good' | 'busy' | 'bad' | 'dim' | 'strong';
/** Text of one tone; absent: plain. */
export interface Segment {
  readonly text: string;
  readonly tone?: Tone;
}
/** One line of the terminal, before it is coloured. */
export type Line = readonly Segment[];

const SGR: Readonly<Record<Tone, string>> = { good: '32', busy: '36', bad: '31', dim: '2', strong: '1' };
const GLYPHS: Readonly<Record<ClientState, { glyph: string; tone: Tone }>> = {
  arrived: { glyph: '●', tone: 'good' },
  training: { glyph: '◐', tone: 'busy' },
  waiting: { glyph: '○', tone: 'dim' },
  dropped: { glyph: '✕', tone: 'bad' },
};
const ORDER: readonly ClientState[] = ['arrived', 'training', 'waiting', 'dropped'];
const SPARKS = '▁▂▃▄▅▆▇█';
const MAX_LABEL = 24;

/** The frame at `nowMs` (same origin as the events): round, cohort, metric, speed. */
export function liveLines(state: ProgressState, nowMs: number, columns: number): Line[] {
  const width = Math.min(MAX_LABEL, Math.max(6, state.headline.metric.length)) + 2;
  const label = (text: string): Segment => ({ text: shorten(plain(text), MAX_LABEL).padEnd(width), tone: 'dim' });
  const lines: Line[] = [[label('round'), ...roundLine(state, nowMs, columns - width)]];
  if (state.waiting !== null) {
    for (const part of waitingLine(state.waiting, nowMs).split('; ')) {
      lines.push([label('cohort'), { text: part, tone: 'busy' }]); // a decline and what to do are too long for one
    }
  } else {
    lines.push([label('cohort'), ...cohortLine(state, columns - width)]);
    if (state.waitingFor !== null) {
      lines.push([label('waits'), { text: waitingForLine(state.waitingFor, nowMs), tone: 'dim' }]);
    }
  }
  lines.push([label(state.headline.metric), ...metricLine(state)]);
  const rate = rates(state);
  if (rate !== null) {
    lines.push([
      label('speed'),
      { text: `${formatNumber(rounded(rate.updatesPerS))} updates/s  ${formatBytes(rate.bytesPerS)}/s` },
    ]);
  }
  return lines;
}

/** What a log says of this event, after the state has taken it in; most events say nothing. */
export function plainLines(state: ProgressState, event: RunEvent): string[] {
  if (typeof event !== 'object' || event === null) return [];
  switch (event.kind) {
    case 'round-ended':
      return typeof event.summary === 'object' && event.summary !== null
        ? [roundEnded(state, event), ...warningLines(state, event)]
        : [];
    case 'waiting':
      return [waitingLine(event, event.atMs)];
    case 'waiting-for':
      return isSomebodyAway(event) ? [waitingForLine(event, event.atMs)] : []; // who is here is at work
    case 'dropped':
      return droppedLines(state, event);
    case 'round-aborted':
      return [
        `round ${state.round}/${state.rounds}  attempt ${state.attempt} aborted: ${shorten(plain(event.reason), REASON_LENGTH)}`,
      ];
    case 'ended':
      return [...shareLines(event.shares, state.lastRoundEnded), endedLine(state)];
    default:
      return [];
  }
}

/** What must not scroll by unseen: a round that came to nothing, or whose contributions did. */
export function warningLines(state: ProgressState, event: RunEvent): string[] {
  if (event?.kind === 'round-aborted') return plainLines(state, event);
  if (event?.kind === 'dropped' && event.reason === 'refused') return plainLines(state, event);
  if (event?.kind === 'ended') return plainLines(state, event).slice(0, -1);
  if (event?.kind !== 'round-ended') return [];
  return roundWarnings(event.summary ?? {}).map((warning) => {
    return `WARNING  round ${state.round}/${state.rounds}  ${plain(warning)}`;
  });
}

/** One line, cut to `columns` characters and, if wanted, coloured. */
export function paint(line: Line, columns: number, color: boolean): string {
  let left = columns;
  let out = '';
  for (const { text, tone } of line) {
    const points = Array.from(text);
    const shown = points.length <= left ? text : points.slice(0, left).join('');
    left -= Math.min(points.length, left);
    out += color && tone !== undefined && shown !== '' ? `\u001b[${SGR[tone]}m${shown}\u001b[0m` : shown;
  }
  return out;
}

/** The latest `room` values as bars of eight heights, from their least to their greatest. */
export function sparkline(values: readonly number[], room: number): string {
  const shown = values.slice(-room);
  const low = Math.min(...shown);
  const span = Math.max(...shown) - low;
  return shown.map((value) => SPARKS[span > 0 ? Math.round(((value - low) / span) * 7) : 3]).join('');
}

function roundLine(state: ProgressState, nowMs: number, room: number): Segment[] {
  const done = doneShare(state);
  const left = leftMs(state);
  const head = `${Math.max(state.round, 1)}/${state.rounds}`.padEnd(9);
  const elapsed = Math.max(0, (state.ended === null ? nowMs : state.atMs) - (state.startedAtMs ?? nowMs));
  const tail = `  ${String(Math.floor(done * 100 + 1e-9)).padStart(3)} %  ${formatDuration(coarse(elapsed))}${left === null ? '' : `  ~${formatDuration(coarse(left))} left`}`;
  const width = Math.max(4, Math.min(40, room - head.length - 30));
  const filled = Math.round(done * width);
  return [
    { text: head, tone: 'strong' },
    { text: '━'.repeat(filled), tone: 'good' },
    { text: '─'.repeat(width - filled), tone: 'dim' },
    { text: tail },
  ];
}

/** One glyph for each client, in the order of the cohort; a cohort without room becomes a bar of the same glyphs. */
function cohortLine(state: ProgressState, room: number): Segment[] {
  const said = ORDER.filter((kind) => state.counts[kind] > 0).map((kind) => `${state.counts[kind]} ${kind}`);
  const tail = said.length === 0 ? '' : `  ${said.join('  ')}`;
  const width = Math.max(8, room - tail.length - 1);
  const glyphs =
    state.cohort.size <= width
      ? [...state.cohort.values()].map(({ state: kind }) => GLYPHS[kind])
      : proportional(state, width).flatMap(({ kind, count }) =>
          new Array<{ glyph: string; tone: Tone }>(count).fill(GLYPHS[kind]),
        );
  const segments: { text: string; tone?: Tone }[] = [];
  for (const { glyph, tone } of glyphs) {
    const last = segments.at(-1);
    if (last !== undefined && last.tone === tone) last.text += glyph;
    else segments.push({ text: glyph, tone });
  }
  return [...segments, { text: tail }, ...droppedNote(state)];
}

/** Glyphs by share, rounded down; whoever is there at all gets one, and what is left over goes to the largest. */
function proportional(state: ProgressState, width: number): { kind: ClientState; count: number }[] {
  const parts = ORDER.map((kind) => {
    const clients = state.counts[kind];
    return { kind, clients, count: clients === 0 ? 0 : Math.max(1, Math.floor((clients / state.cohort.size) * width)) };
  });
  const largest = parts.reduce((most, part) => (part.clients > most.clients ? part : most));
  largest.count += width - parts.reduce((sum, part) => sum + part.count, 0);
  return parts;
}

function droppedNote({ lastDropped }: ProgressState): Segment[] {
  if (lastDropped === null) return [];
  return [
    { text: ` (${shorten(plain(lastDropped.client), 24)}: ${shorten(plain(lastDropped.reason), 24)})`, tone: 'bad' },
  ];
}

function metricLine({ values, best }: ProgressState): Segment[] {
  const last = values.at(-1);
  if (last === undefined || best === null) return [{ text: 'not evaluated yet', tone: 'dim' }];
  return [
    { text: formatValue(last), tone: 'strong' },
    { text: `  ${sparkline(values, 24)}`, tone: 'good' },
    { text: `  best ${formatValue(best)}`, tone: 'dim' },
  ];
}

function roundEnded(state: ProgressState, { summary }: Extract<RunEvent, { kind: 'round-ended' }>): string {
  const found = headlineValue(state, summary.metrics);
  const unseen = belowResolution(summary, state.headline.metric);
  const note = lossyNote(summary.lossy);
  const left = leftMs(state);
  return [
    `round ${state.round}/${state.rounds}`,
    `cohort ${formatNumber(summary.cohort)}`,
    `survivors ${formatNumber(summary.survivors)}`,
    ...(found === null ? [] : [`${shorten(plain(found.name), 60)} ${formatValue(found.value)}`]),
    ...(unseen === null ? [] : [`${shorten(plain(state.headline.metric), 60)} ${unseen}`]),
    ...judgedBy(summary),
    ...(note === null ? [] : [note]),
    ...(summary.epsilon === undefined ? [] : [`ε ${formatValue(summary.epsilon)}`]),
    formatDuration(summary.durationMs),
    ...(left === null ? [] : [`~${formatDuration(left)} left`]),
  ].join('  ');
}

/** Said where a figure is not of all. */
function judgedBy({ evaluated, zeroedTests = 0 }: RoundSummary): string[] {
  if (!Array.isArray(evaluated?.missing)) return [];
  if (evaluated.missing.length + zeroedTests === 0 && evaluated.asked === undefined) return [];
  return [`of ${overWhom(evaluated, zeroedTests)}, ${plural(evaluated.examples, 'example')}`];
}

function endedLine(state: ProgressState): string {
  const { status, reason } = state.ended ?? { status: '', reason: '' };
  const elapsed = state.atMs - (state.startedAtMs ?? state.atMs);
  const why = reason === '' ? '' : `: ${shorten(plain(reason), REASON_LENGTH)}`;
  return `${plain(status)}${why}  ${plural(state.roundsEnded, 'round')}  ${formatDuration(elapsed)}`;
}

/** Three decimals for small figures, as metrics mostly are. */
export function formatValue(value: number): string {
  return Math.abs(value) < 10 && Math.abs(value) >= 0.001 ? value.toFixed(3) : formatNumber(value);
}

function rounded(value: number): number {
  return value >= 100 ? Math.round(value) : Math.round(value * 10) / 10;
}

/** Whole seconds, so that the figures do not flicker. */
function coarse(durationMs: number): number {
  return durationMs < 1000 ? durationMs : Math.round(durationMs / 1000) * 1000;
}
