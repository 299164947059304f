/**
 * Contributions that were zeroed, in words: a warning for the terminal, the log and the page alike. Under secure aggregation
 * they look like any other in all else, and a run of them like training (shared/run/zeroed.ts).
 */
import { formatCount, plural } from './format.js';

/** A round's summary, or what the report says of it; what makes no sense counts as nothing. */
interface Counted {
  readonly round?: unknown;
  readonly survivors?: unknown;
  readonly zeroed?: unknown;
  readonly zeroedTests?: unknown;
}

const MAX_NAMED = 8;

/** One sentence over these rounds; null when nothing was zeroed, or nobody may know. */
export function zeroedWarning(rounds: readonly Counted[]): string | null {
  const total = (pick: (round: Counted) => unknown) => rounds.reduce((sum, round) => sum + positive(pick(round)), 0);
  const zeroed = total((round) => round.zeroed);
  const tests = total((round) => round.zeroedTests);
  if (zeroed + tests === 0) return null;
  const touched = rounds.filter((round) => positive(round.zeroed) > 0);
  const of = touched.reduce((sum, { survivors }) => sum + positive(survivors), 0);
  const empty = touched.filter((round) => positive(round.zeroed) >= positive(round.survivors));
  return [
    ...(zeroed === 0 ? [] : [`zeroed: ${formatCount(zeroed)} of ${formatCount(of)} contributions${roundsOf(touched)}`]),
    ...(tests === 0 ? [] : [`zeroed: ${plural(tests, 'evaluation')}, which no test figure counts`]),
    ...(empty.length === 0 ? [] : [`nothing was learned in ${named(empty)}`]),
    'numbers there were not finite; the logs of the sites say why',
  ].join('; ');
}

function roundsOf(rounds: readonly Counted[]): string {
  return rounds.length === 1 ? '' : `, in ${named(rounds)}`;
}

function named(rounds: readonly Counted[]): string {
  const numbers = rounds.slice(0, MAX_NAMED).map(({ round }) => positive(round));
  const more = rounds.length > MAX_NAMED ? ' and more' : '';
  return `${rounds.length === 1 ? 'round' : 'rounds'} ${numbers.join(', ')}${more}`;
}

function positive(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0;
}
