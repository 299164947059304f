/**
 * What a run remembers of its clients: in how many models each one's work is, and how often in a row it let a deadline
 * pass. Who was late is asked less often, twice as many rounds later each time, so that a lab that is silent for good
 * costs a run of n rounds about log2(n) deadlines and not n. A fold of the journal: a restart decides the same.
 */
import type { TaskKind } from '../../shared/run/plan.js';
import type { RecordOf } from '../journal/records.js';

/** Deadlines that passed in a row, and the round of the last. */
export interface Late {
  readonly times: number;
  readonly round: number;
}

/** Of one client; `train` and `evaluate` are absent while it is on time in that. */
export interface Attendance {
  /** Committed rounds that it is in. */
  readonly took: number;
  readonly train?: Late;
  readonly evaluate?: Late;
}

/** By client; one that is not there has done nothing yet, neither well nor late. */
export type Attendances = Readonly<Record<string, Attendance>>;

/** A client that has been late for long is asked this often all the same: it may be back. */
const MOST_ROUNDS_PASSED_OVER = 32;
const NEW: Attendance = { took: 0 };

/** What is known of `client`. */
export function attendanceOf(attendances: Attendances, client: string): Attendance {
  return Object.hasOwn(attendances, client) ? attendances[client] : NEW;
}

/** What is known after a cohort's work is over: `back` answered, `late` let the deadline pass. */
export function attended(attendances: Attendances, { kind, round, late = [], back = [] }: AttendedWork): Attendances {
  if (late.length + back.length === 0) return attendances;
  const next: Record<string, Attendance> = { ...attendances };
  for (const client of late) {
    const before = attendanceOf(attendances, client);
    next[client] = { ...before, [kind]: { times: (before[kind]?.times ?? 0) + 1, round } };
  }
  for (const client of back) {
    const { [kind]: _, ...before } = attendanceOf(attendances, client);
    next[client] = { ...before, took: before.took + (kind === 'train' ? 1 : 0) };
  }
  return next;
}

/** The same of a round that is in the journal: who is in its model, and whom it went on without at its deadline. */
export function committedBy(
  attendances: Attendances,
  { round, survivors, draft }: Pick<RecordOf<'committed'>, 'round' | 'survivors' | 'draft'>,
): Attendances {
  const late = draft.dropped.flatMap(({ client, reason }) => (reason === 'deadline' ? client : []));
  return attended(attendances, { kind: 'train', round, late, back: survivors.map(({ client }) => client) });
}

interface AttendedWork {
  readonly kind: TaskKind;
  readonly round: number;
  readonly late?: readonly string[];
  readonly back?: readonly string[];
}

/** The round in which a client is asked again that was late; 0: it is not passed over. Who trains late is not tested either. */
export function askedAgainIn(attendances: Attendances, client: string, kind: TaskKind): number {
  const { train, evaluate } = attendanceOf(attendances, client);
  const rounds = [train, kind === 'evaluate' ? evaluate : undefined].map((late) =>
    late === undefined ? 0 : late.round + Math.min(2 ** (late.times - 1), MOST_ROUNDS_PASSED_OVER) + 1,
  );
  return Math.max(...rounds);
}

/**
 * Whom of the `shuffled` clients to ask, at most `most`: those who are on time, and of the others only as many as it takes
 * to be `least`, first those who were late least often.
 */
export function punctualFirst(
  attendances: Attendances,
  shuffled: readonly string[],
  { kind, round, least, most }: { kind: TaskKind; round: number; least: number; most: number },
): readonly string[] {
  const isPassedOver = (client: string) => askedAgainIn(attendances, client, kind) > round;
  const punctual = shuffled.filter((client) => !isPassedOver(client));
  if (punctual.length >= Math.min(most, least)) return punctual.slice(0, most);
  const times = (client: string) => {
    const { train, evaluate } = attendanceOf(attendances, client);
    return Math.max(train?.times ?? 0, evaluate?.times ?? 0);
  };
  const late = shuffled.filter(isPassedOver).sort((a, b) => times(a) - times(b));
  return [...punctual, ...late].slice(0, Math.min(most, least));
}
