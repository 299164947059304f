/**
 * The words of the round engine: what it knows (state), what it is told (events), what it asks for (effects) and what
 * it wants to be found again after a crash (records). Plain data, JSON-serialisable.
 */
import type { DropReason } from '../../shared/errors.js';
import type { SecureProof } from '../../shared/ledger/entry.js';
import type { RoundPrivacy } from '../../shared/ledger/privacy.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Receipt, TaskId, TaskKind } from '../../shared/run/plan.js';
import type { EngineSpec, StoredRunSpec } from '../../shared/run/spec.js';
import type { Dropped, RoundSummary, RunStatus } from '../../shared/run/summary.js';
import type { DeclineReason } from '../../shared/service.js';
import { isRested, type Spending } from './privacy.js';

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

/** A round that is committed and not yet evaluated. */
export type Draft = Omit<RoundSummary, 'bytesUp' | 'bytesDown'>;

export type Stage =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'training'; readonly cohort: Cohort; readonly startedAtMs: number; readonly deadlineAtMs: number }
  | {
      readonly kind: 'committing';
      readonly cohort: Cohort;
      readonly startedAtMs: number;
      readonly trainedAtMs: number;
      /** Sums over the survivors, when only these are known. */
      readonly pooled?: SumMetrics;
    }
  /** Committed; waits for clients to evaluate it, but not for ever. */
  | { readonly kind: 'committed'; readonly draft: Draft; readonly untilMs: number }
  | {
      readonly kind: 'evaluating';
      readonly draft: Draft;
      readonly cohort: Cohort;
      readonly startedAtMs: number;
      readonly deadlineAtMs: number;
    }
  | { readonly kind: 'ended' };

export interface RunState {
  readonly run: string;
  readonly spec: EngineSpec;
  readonly status: RunStatus;
  readonly reason: string;
  /** Sorted names of the clients that are connected. */
  readonly online: readonly string[];
  /** Clients whose own policy refused this run; never drawn again. */
  readonly refused: readonly string[];
  /** The round worked on, from 1; after the last it stays there. */
  readonly round: number;
  /** From 1; rises when the round has to be repeated. */
  readonly attempt: number;
  /** Where the count to maxAttempts begins: 1, or the first attempt after a resume. */
  readonly firstAttempt: number;
  /** The model that the round starts from. */
  readonly modelSha256: string;
  readonly stage: Stage;
  /** Absent: a run without differential privacy. */
  readonly spending?: Spending;
}

export type RoundEvent = {
  readonly atMs: number;
} /** Who is connected when the run comes to this coordinator; all at once, so that none is drawn before the others. */ & (
  | { readonly kind: 'present'; readonly clients: readonly string[] }
  | { readonly kind: 'online'; readonly client: string }
  | { readonly kind: 'offline'; readonly client: string }
  /** A complete update whose hash, shape and numbers are right. */
  | {
      readonly kind: 'arrived';
      readonly client: string;
      readonly round: number;
      readonly attempt: number;
      readonly updateSha256: string;
      readonly metrics: SumMetrics;
    }
  /** An upload that was complete and wrong. */
  | {
      readonly kind: 'invalid';
      readonly client: string;
      readonly round: number;
      readonly attempt: number;
      readonly updateSha256: string;
      readonly detail: string;
    }
  | {
      readonly kind: 'declined';
      readonly client: string;
      readonly task: TaskId;
      readonly reason: DeclineReason;
      readonly detail: string;
    }
  | { readonly kind: 'evaluated'; readonly client: string; readonly task: TaskId; readonly metrics: SumMetrics }
  /** Secure aggregation went on without a client. */
  | {
      readonly kind: 'secure-dropped';
      readonly client: string;
      readonly task: TaskId;
      readonly reason: DropReason;
      readonly detail: string;
    }
  /** Secure aggregation has a sum over exactly these clients, in the shell's hands. */
  | {
      readonly kind: 'secured';
      readonly task: TaskId;
      readonly survivors: readonly string[];
      readonly pooled: SumMetrics;
    }
  /** Secure aggregation gave up; nothing was unmasked. */
  | { readonly kind: 'unsecured'; readonly task: TaskId; readonly detail: string }
  /** The shell has summed, applied the strategy and made the new model durable. */
  | {
      readonly kind: 'stored';
      readonly round: number;
      readonly attempt: number;
      readonly modelSha256: string;
      /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
      readonly withinBound?: number;
    }
  | { readonly kind: 'timer'; readonly id: string }
  | { readonly kind: 'stop'; readonly status: RunStatus; readonly reason: string }
  | { readonly kind: 'resume' }
);

export type StageOf<Kind extends Stage['kind']> = Extract<Stage, { kind: Kind }>;
export type EventOf<Kind extends RoundEvent['kind']> = Extract<RoundEvent, { kind: Kind }>;

/** An event before the clock has stamped it. */
export type Untimed<Event> = Event extends RoundEvent ? Omit<Event, 'atMs'> : never;

/** How an upload is answered; every arrived or invalid event has exactly one. */
export interface UploadAnswer {
  readonly kind: 'answer';
  readonly client: string;
  readonly updateSha256: string;
  /** 'add': put it into the running sum and say accepted; 'again': it is in already, say accepted. */
  readonly outcome: 'add' | 'again' | 'rejected';
  readonly detail: string;
}

export type Effect =
  /** Durable before the next effect is carried out. */
  | { readonly kind: 'record'; readonly record: RunRecord }
  | {
      readonly kind: 'plan';
      readonly client: string;
      readonly task: TaskKind;
      readonly round: number;
      readonly attempt: number;
      readonly modelSha256: string;
      readonly deadlineAtMs: number;
      readonly cohort: number;
    }
  | { readonly kind: 'withdraw'; readonly client: string; readonly task: TaskId; readonly reason: string }
  /** A new running sum for this attempt; an older one is forgotten. */
  | { readonly kind: 'open-sum'; readonly round: number; readonly attempt: number }
  /** The same under secure aggregation: a new aggregation of these clients; an older one is cancelled. */
  | { readonly kind: 'open-secure'; readonly task: TaskId; readonly cohort: readonly string[] }
  /** This client takes no further part in the aggregation. */
  | { readonly kind: 'leave-secure'; readonly client: string }
  | UploadAnswer
  /** Sum, apply the strategy, store; then comes the event `stored`. */
  | { readonly kind: 'commit'; readonly round: number; readonly attempt: number; readonly survivors: readonly string[] }
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  | { readonly kind: 'timer'; readonly id: string; readonly atMs: number }
  | { readonly kind: 'emit'; readonly event: RunEvent }
  /** The round is over; the shell adds the bytes, records the summary and emits it. */
  | { readonly kind: 'round-ended'; readonly draft: Draft; readonly evaluation: Evaluation };

/** What an evaluation brought: sums over all, and each client's own where these may be known. */
export interface Evaluation {
  readonly pooled: SumMetrics;
  readonly perClient: Readonly<Record<string, SumMetrics>>;
}

export const NOT_EVALUATED: Evaluation = { pooled: {}, perClient: {} };

/** One entry of journal.log. A state after a restart is the fold of these. */
export type RunRecord = { readonly atMs: number } & (
  | { readonly kind: 'created'; readonly run: string; readonly spec: StoredRunSpec; readonly modelSha256: string }
  | {
      readonly kind: 'round-started';
      readonly round: number;
      readonly attempt: number;
      readonly cohort: readonly string[];
    }
  | { readonly kind: 'round-aborted'; readonly round: number; readonly attempt: number; readonly reason: string }
  | {
      readonly kind: 'committed';
      readonly round: number;
      readonly attempt: number;
      readonly modelSha256: string;
      readonly survivors: readonly { readonly client: string; readonly updateSha256: string }[];
      readonly draft: Draft;
      /** What the ledger says of the secure aggregation behind it; the shell adds it. */
      readonly secure?: readonly SecureProof[];
      readonly privacy?: RoundPrivacy;
      /** With adaptive clipping: the bound of the next round. */
      readonly nextClippingBound?: number;
    }
  | {
      readonly kind: 'round-ended';
      readonly summary: RoundSummary;
      /** Pooled sums of the evaluation; empty when the round was not evaluated. */
      readonly pooled: SumMetrics;
      /** Each client's own sums, kept for the last round only. */
      readonly perClient: Readonly<Record<string, SumMetrics>>;
    }
  | { readonly kind: 'ended'; readonly status: RunStatus; readonly reason: string }
  | { readonly kind: 'resumed' }
);

/** A run before its first event. */
export function initialState(run: string, spec: EngineSpec, modelSha256: string, spending?: Spending): RunState {
  return {
    ...(spending && { spending }),
    run,
    spec,
    status: 'running',
    reason: '',
    online: [],
    refused: [],
    round: 1,
    attempt: 1,
    firstAttempt: 1,
    modelSha256,
    stage: { kind: 'waiting' },
  };
}

export function newCohort(names: readonly string[]): Cohort {
  const sorted = [...names].sort();
  const counts = { invited: sorted.length, arrived: 0, evaluated: 0, dropped: 0 };
  return { names: sorted, members: sorted.map(() => ({ status: 'invited' })), counts };
}

/** What became of `client`; undefined when it was not drawn. */
export function memberOf(cohort: Cohort, client: string): Member | undefined {
  const at = positionOf(cohort.names, client);
  return at >= 0 ? cohort.members[at] : undefined;
}

export function withMember(cohort: Cohort, client: string, member: Member): Cohort {
  const { names, members, counts } = cohort;
  const at = positionOf(names, client);
  const fewer = { ...counts, [members[at].status]: counts[members[at].status] - 1 };
  return { names, members: members.with(at, member), counts: { ...fewer, [member.status]: fewer[member.status] + 1 } };
}

export function namesOf(cohort: Cohort, status: Member['status']): string[] {
  return cohort.names.filter((_, i) => cohort.members[i].status === status);
}

export function droppedOf(cohort: Cohort): Dropped[] {
  return cohort.names.flatMap((client, i) => {
    const member = cohort.members[i];
    return member.status === 'dropped' ? [{ client, reason: member.reason, detail: member.detail }] : [];
  });
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

// ---- small questions that every stage asks ------------------------------------------------------------------------

/** How long a cohort is waited for. Secure aggregation closes its phases by itself; this is the last resort behind it. */
export function waitMs({ deadlineMs, secure }: EngineSpec): number {
  return secure ? 5 * deadlineMs : deadlineMs;
}

/** What gathers the contributions of a cohort: a plain running sum, or a secure aggregation. */
export function openingOf({ run, spec, round, attempt }: RunState, kind: TaskKind, cohort: Cohort): Effect {
  if (!spec.secure) return { kind: 'open-sum', round, attempt };
  return { kind: 'open-secure', task: { run, kind, round, attempt }, cohort: cohort.names };
}

/** Who is there for this run: connected, and not of a site that has refused it. */
export function willing({ online, refused }: RunState): readonly string[] {
  return online.filter((name) => positionOf(refused, name) < 0);
}

/** Who of them may be drawn: not again too soon for their privacy. */
export function eligible(state: RunState): readonly string[] {
  const { spending, round } = state;
  return spending === undefined ? willing(state) : willing(state).filter((name) => isRested(spending, name, round));
}

/** Names a wait; a timer of an older wait has another name and is ignored. */
export function timerId({ round, attempt, stage }: RunState): string {
  return `${stage.kind}/${round}/${attempt}`;
}

export function isCurrent({ run, round, attempt, stage }: RunState, task: TaskId): boolean {
  const kind = stage.kind === 'evaluating' ? 'evaluate' : 'train';
  return task.run === run && task.kind === kind && task.round === round && task.attempt === attempt;
}

export function currentMember(
  state: RunState,
  id: { client: string; round: number; attempt: number },
): Member | undefined {
  const { stage, round, attempt } = state;
  if (stage.kind !== 'training' && stage.kind !== 'committing') return undefined;
  return id.round === round && id.attempt === attempt ? memberOf(stage.cohort, id.client) : undefined;
}

/** Whether the engine may still take, or has taken, this very update: its plan, or its receipt, is to come. */
export function isWanted(
  state: RunState,
  { updateSha256, ...id }: { client: string; round: number; attempt: number; updateSha256: string },
): boolean {
  const member = currentMember(state, id);
  return member?.status === 'invited' || (member?.status === 'arrived' && member.updateSha256 === updateSha256);
}

export function planFor(state: RunState, client: string): Effect {
  const { stage, round, attempt, modelSha256 } = state;
  if (stage.kind !== 'training' && stage.kind !== 'evaluating') throw new Error(`no plan while ${stage.kind}`);
  const task = stage.kind === 'training' ? 'train' : 'evaluate';
  const { deadlineAtMs, cohort } = stage;
  return { kind: 'plan', client, task, round, attempt, modelSha256, deadlineAtMs, cohort: cohort.names.length };
}

export function arrivals(cohort: Cohort): { client: string; updateSha256: string }[] {
  return cohort.names.flatMap((client, i) => {
    const member = cohort.members[i];
    return member.status === 'arrived' ? [{ client, updateSha256: member.updateSha256 }] : [];
  });
}

export function metricsByClient(cohort: Cohort): Record<string, SumMetrics> {
  const out: Record<string, SumMetrics> = {};
  cohort.names.forEach((client, i) => {
    const member = cohort.members[i];
    if (member.status === 'arrived' || member.status === 'evaluated') out[client] = member.metrics;
  });
  return out;
}

/** "This update is in no model and will be in none." */
export function dropReceipt(
  { run }: { readonly run: string },
  update: { readonly client: string; readonly round: number; readonly attempt: number; readonly updateSha256: string },
  reason: NonNullable<Receipt['reason']>,
): Extract<Effect, { kind: 'receipt' }> {
  const { client, round, attempt, updateSha256 } = update;
  const receipt = { run, round, attempt, client, updateSha256, outcome: 'dropped', reason, modelSha256: '' } as const;
  return { kind: 'receipt', receipt };
}
