/**
 * What updates lost on their way into the sum, in words: a warning with the key and the value that mend it, for the
 * terminal, the log and the page alike; and over whom the test figures are (shared/run/lossy.ts).
 */
import { CLAMPED_FROM, ENCODED_FROM, type Lossy, percent } from '../../shared/run/lossy.js';
import type { RoundReport } from '../../shared/run/report.js';
import type { Evaluated } from '../../shared/run/summary.js';
import { formatCount, formatNumber, plural } from './format.js';

const MAX_NAMED = 8;

type Counted = Partial<Pick<RoundReport, 'round' | 'survivors' | 'lossy'>>;

/** One sentence over these rounds; null when nothing was lost that needs mending. */
export function lossyWarning(rounds: readonly Counted[]): string | null {
  const warnings = [...clampedWords(rounds), ...cappedWords(rounds), ...encodedWords(rounds), ...cutWords(rounds)];
  return warnings.length === 0 ? null : warnings.join('; ');
}

/** What a line says of a round that lost something and is none to warn of. */
export function lossyNote(lossy: Lossy | undefined): string | null {
  const notes = [
    ...(among(lossy?.clamped) > 0 ? [`clamped ${percent(among(lossy?.clamped))}`] : []),
    ...(lossy?.encoding === undefined ? [] : [`compression lost ${percent(among(lossy.encoding))} of the updates`]),
  ];
  return notes.length === 0 ? null : notes.join('  ');
}

function clampedWords(rounds: readonly Counted[]): string[] {
  const touched = rounds.filter(({ lossy }) => among(lossy?.clamped) >= CLAMPED_FROM);
  if (touched.length === 0) return [];
  const most = Math.max(...touched.map(({ lossy }) => among(lossy?.clamped)));
  const { is, enough } = last(touched, ({ valueRange }) => valueRange);
  const next = touched.at(-1)?.lossy?.valueRange?.next;
  const later = next === undefined ? '' : ` from the start; later rounds use ${formatNumber(next)}`;
  const rest = next === undefined && most > 0.5 ? '; what was learned is mostly the clamping' : '';
  return [
    `${rounds.length > 1 ? 'up to ' : ''}${percent(most)} of the update was beyond value-range ${formatNumber(is)} ` +
      `and was clamped${within(rounds, touched)}: raise value-range to about ${formatNumber(enough)}${later}${rest}`,
  ];
}

function cappedWords(rounds: readonly Counted[]): string[] {
  const touched = rounds.filter(({ lossy }) => among(lossy?.cappedWeights) > 0);
  if (touched.length === 0) return [];
  const most = Math.max(...touched.map(({ lossy }) => among(lossy?.cappedWeights)));
  const { is, enough } = last(touched, ({ weightCap }) => weightCap);
  return [
    `${rounds.length > 1 ? 'up to ' : ''}${plural(most, 'client')} of a round had more examples than weight-cap ${formatCount(is)} ` +
      `counts${within(rounds, touched)}: raise weight-cap to about ${formatCount(enough)}`,
  ];
}

/** What is left out of an update is not sent later. */
function encodedWords(rounds: readonly Counted[]): string[] {
  const touched = rounds.filter(({ lossy }) => among(lossy?.encoding) >= ENCODED_FROM);
  if (touched.length === 0) return [];
  const most = Math.max(...touched.map(({ lossy }) => among(lossy?.encoding)));
  return [
    `compression lost ${rounds.length > 1 ? 'up to ' : ''}${percent(most)} of the updates${within(rounds, touched)}, by their norm, ` +
      'and nothing of it is sent later: a larger fraction of top-k loses less, int8 and f16 next to nothing',
  ];
}

function cutWords(rounds: readonly Counted[]): string[] {
  const most = Math.max(0, ...rounds.map(({ lossy }) => among(lossy?.cutMetrics)));
  if (most === 0) return [];
  return [`a metric of ${plural(most, 'client')} was larger than can be told, and its figure is too small`];
}

/** The largest that is enough, and where the last round stood. */
function last(rounds: readonly Counted[], pick: (lossy: Lossy) => Lossy['valueRange']): { is: number; enough: number } {
  const found = rounds.flatMap(({ lossy }) => pick(lossy ?? {}) ?? []);
  return { is: found.at(-1)?.is ?? 0, enough: Math.max(0, ...found.map(({ enough }) => enough)) };
}

function within(rounds: readonly Counted[], touched: readonly Counted[]): string {
  if (rounds.length === 1) return '';
  if (rounds.length === touched.length) return ' in all rounds';
  const named = touched.slice(0, MAX_NAMED).map(({ round }) => round);
  const more = touched.length > MAX_NAMED ? ' and more' : '';
  return ` in ${touched.length === 1 ? 'round' : 'rounds'} ${named.join(', ')}${more}`;
}

const among = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

/** All rounds together: shares on average, clients by contributions. Undefined where nobody counted. */
export function lossyOver(rounds: readonly Counted[]): Lossy | undefined {
  const counted = rounds.filter(({ lossy }) => lossy !== undefined);
  if (counted.length === 0) return undefined;
  const sum = (pick: (lossy: Lossy) => number | undefined) =>
    counted.reduce((total, { lossy }) => total + among(pick(lossy!)), 0);
  const has = (key: keyof Lossy) => counted.some(({ lossy }) => lossy![key] !== undefined);
  const ends = (key: 'valueRange' | 'weightCap') => (has(key) ? { [key]: last(counted, (lossy) => lossy[key]) } : {});
  return {
    ...(has('clamped') && { clamped: sum(({ clamped }) => clamped) / counted.length }),
    ...(has('cappedWeights') && { cappedWeights: sum(({ cappedWeights }) => cappedWeights) }),
    ...ends('valueRange'),
    ...ends('weightCap'),
    ...(has('encoding') && { encoding: sum(({ encoding }) => encoding) / counted.length }),
    ...(has('cutMetrics') && { cutMetrics: sum(({ cutMetrics }) => cutMetrics) }),
  };
}

/** "pooled over 2 of 3 clients, 404 examples; c2 failed: ..."; null when nobody is missing. */
export function missingWarning(evaluated: Evaluated | undefined, zeroed = 0): string | null {
  if (!Array.isArray(evaluated?.missing) || (evaluated.missing.length === 0 && zeroed === 0)) return null;
  return evaluatedWords(evaluated, zeroed);
}

/** The same, also when all are in. */
export function evaluatedWords(evaluated: Evaluated, zeroed = 0): string {
  const { examples, missing, validation, asked } = evaluated;
  const why = missing.slice(0, MAX_NAMED).map(({ client, reason, detail }) => {
    return `${client} ${WORDS[reason] ?? reason}${detail ? `: ${detail}` : ''}`;
  });
  const more = missing.length > MAX_NAMED ? [`${formatCount(missing.length - MAX_NAMED)} more`] : [];
  const zeros = zeroed > 0 ? [`${formatCount(zeroed)} sent zeros, and their own logs say why`] : [];
  const others = validation ? [`validation figures over ${validatedWords(validation)}`] : [];
  const tested = `test figures are pooled over ${overWhom(evaluated, zeroed)}, ${plural(examples, 'example')}`;
  return [tested, ...why, ...more, ...zeros, ...(asked ? [WHO_ASKED[asked.by]] : []), ...others].join('; ');
}

/** "3 clients" where all that were here are in, else "2 of 3 clients". */
export function overWhom({ clients, missing, asked }: Evaluated, zeroed = 0): string {
  const all = Math.max(asked?.of ?? 0, clients + missing.length + zeroed);
  return clients === all ? plural(clients, 'client') : `${formatCount(clients)} of ${plural(all, 'client')}`;
}

const WHO_ASKED = {
  lot: 'evaluate-clients has that many drawn by lot, others in each evaluation',
  punctuality: 'who was late before was not asked this time',
} as const;

function validatedWords({ clients, examples }: NonNullable<Evaluated['validation']>): string {
  return `${clients === undefined ? '' : `${plural(clients, 'client')}, `}${plural(examples, 'example')}`;
}

const WORDS: Readonly<Record<string, string>> = {
  deadline: 'was late',
  'no-figures': 'has no figures',
  offline: 'was offline',
  dropout: 'left',
  refused: 'declined',
  'invalid-update': 'was rejected',
  'round-aborted': 'got no sum',
};
