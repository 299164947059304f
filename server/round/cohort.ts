/** Who was drawn for a round, and what became of each: plain data, equal for equal histories. */
import type { DropReason } from '../../shared/errors.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Dropped } from '../../shared/run/summary.js';

/** What became of a client that was drawn: `invited` until it answers or is dropped. */
export type Member =
  | { readonly status: 'invited' }
  | { readonly status: 'arrived'; readonly updateSha256: string; readonly metrics: SumMetrics }
  | { readonly status: 'evaluated'; readonly metrics: SumMetrics }
  | { readonly status: 'dropped'; readonly reason: DropReason; readonly detail: string };

/** Sorted names and, at the same index, what became of each. */
export interface Cohort {
  readonly names: readonly string[];
  readonly members: readonly Member[];
  /** How many there are of each status: asked for at every event, and a cohort may be large. */
  readonly counts: Readonly<Record<Member['status'], number>>;
}

/** All of `names` invited, in any order. */
export function newCohort(names: readonly string[]): Cohort {
  const sorted = [...names].sort();
  const counts = { invited: sorted.length, arrived: 0, evaluated: 0, dropped: 0 };
  return { names: sorted, members: sorted.map(() => ({ status: 'invited' })), counts };
}

/** What became of `client`; undefined when it was not drawn. */
export function memberOf({ names, members }: Cohort, client: string): Member | undefined {
  return members[positionOf(names, client)];
}

/** The same with another word on `client`, who must have been drawn. */
export function withMember({ names, members, counts }: Cohort, client: string, member: Member): Cohort {
  const at = positionOf(names, client);
  const changed = { ...counts };
  changed[members[at].status]--;
  changed[member.status]++;
  return { names, members: members.with(at, member), counts: changed };
}

/** Those with this status, sorted by name. */
export function having<Status extends Member['status']>({ names, members }: Cohort, status: Status) {
  type Found = Extract<Member, { status: Status }> & { readonly client: string };
  return names.flatMap((client, i) => (members[i].status === status ? [{ client, ...members[i] } as Found] : []));
}

/** The names of those with this status, sorted. */
export function namesOf({ names, members }: Cohort, status: Member['status']): string[] {
  return names.filter((_, i) => members[i].status === status);
}

/** Who was dropped and why, sorted by name. */
export function droppedOf(cohort: Cohort): Required<Dropped>[] {
  return having(cohort, 'dropped').map(({ client, reason, detail }) => ({ client, reason, detail }));
}

/** Whose updates are in, sorted by name. */
export function arrivalsOf(cohort: Cohort): { client: string; updateSha256: string }[] {
  return having(cohort, 'arrived').map(({ client, updateSha256 }) => ({ client, updateSha256 }));
}

/** What each client that has answered says of its own examples. */
export function metricsByClient({ names, members }: Cohort): Record<string, SumMetrics> {
  const answers = names.flatMap((client, i) => {
    const member = members[i];
    return 'metrics' in member ? [[client, member.metrics] as const] : [];
  });
  return Object.fromEntries(answers);
}

/** Index in a sorted list of names, or -1. */
export function positionOf(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (names[middle] === name) return middle;
    if (names[middle] < name) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** A sorted list with `name` in it, the same list if it is there already. */
export function inserted(names: readonly string[], name: string): readonly string[] {
  if (positionOf(names, name) >= 0) return names;
  const at = names.findIndex((other) => other > name);
  return at < 0 ? [...names, name] : names.toSpliced(at, 0, name);
}
