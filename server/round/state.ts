/**
 * The words of the round engine: what it knows (state), what it is told (events) and what it asks for (effects). Plain
 * data, JSON-serialisable. What is found again after a crash is in journal/records.ts.
 */
import type { DropReason } from '../../shared/errors.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { Lossy } from '../../shared/run/lossy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Receipt, TaskId, TaskKind } from '../../shared/run/plan.js';
import type { EngineSpec } from '../../shared/run/spec.js';
import type { Spending } from '../../shared/run/spending.js';
import type { Judgement } from '../../shared/run/stop-when.js';
import type { RunStatus } from '../../shared/run/summary.js';
import type { DeclineReason } from '../../shared/service.js';
import type { Draft, Evaluation, RunRecord } from '../journal/records.js';
import type { Attendances } from './attendance.js';
import { type Cohort, memberOf, positionOf } from './cohort.js';

/** A cohort at work: until all have answered, or `deadlineAtMs`. */
interface Work {
  readonly cohort: Cohort;
  readonly startedAtMs: number;
  readonly deadlineAtMs: number;
  /** All who are left are away: until then they are waited for. */
  readonly absentUntilMs?: number;
  /** Secure aggregation has sums over the survivors, and of their metrics nothing more is known. */
  readonly pooled?: SumMetrics;
  /** The largest error of each of its metrics' sums. */
  readonly errors?: Readonly<Record<string, number>>;
  readonly lossy?: Lossy;
  readonly nextValueRange?: number;
  /** Secure aggregation gave up. */
  readonly failure?: string;
}

/** `drawn`, `made` and `closed` pass within a step; they are what a journal ends with, so a restart begins in them. */
export type Stage =
  /** `notBeforeMs`: after failed attempts no cohort is drawn before then. */
  | { readonly kind: 'waiting'; readonly notBeforeMs?: number }
  | { readonly kind: 'drawn'; readonly cohort: Cohort }
  | ({ readonly kind: 'training' } & Work)
  | ({ readonly kind: 'committing'; readonly trainedAtMs: number; readonly stored?: StoredModel } & Work)
  /** `survivors` are asked to judge the model; one that is not here is told of. */
  | { readonly kind: 'made'; readonly draft: Draft; readonly survivors?: readonly string[] }
  /** Waits for clients to evaluate it, but not for ever. */
  | {
      readonly kind: 'committed';
      readonly draft: Draft;
      readonly survivors?: readonly string[];
      readonly isDue?: boolean;
    }
  | ({
      readonly kind: 'evaluating';
      readonly draft: Draft;
      readonly absent?: readonly string[];
      /** Clients that were here when it began; absent: those of the cohort. */
      readonly here?: number;
    } & Work)
  | { readonly kind: 'closed' }
  | { readonly kind: 'ended' };
/** A stage by its kind. */
export type StageOf<Kind extends Stage['kind']> = Extract<Stage, { kind: Kind }>;

/** What is known of the model that a round has made. */
interface StoredModel {
  readonly modelSha256: string;
  /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
  readonly withinBound?: number;
}

/** All that the engine knows of a run. */
export interface RunState {
  readonly run: string;
  readonly spec: EngineSpec;
  readonly status: RunStatus;
  readonly reason: string;
  /** Sorted names of the clients that are connected. */
  readonly online: readonly string[];
  /** When a client that is not connected was last seen here; who has never come is not in it. */
  readonly away: Readonly<Record<string, number>>;
  /** By client: whose own policy refused this run. Drawn again when that policy has changed. */
  readonly refused: Readonly<Record<string, Refusal>>;
  /** Sorted names of the clients that have no training example; here, and never drawn again. */
  readonly empty: readonly string[];
  /** Who took part, and who was late. */
  readonly attendances: Attendances;
  /** The round worked on, from 1; after the last it stays there. */
  readonly round: number;
  /** From 1; rises when the round has to be repeated. */
  readonly attempt: number;
  /** Where the count to maxAttempts begins: 1, or the first attempt after a resume. */
  readonly firstAttempt: number;
  /** The highest attempt at this round that clients have shown, and this coordinator may have forgotten. */
  readonly shownAttempt?: number;
  /** What clients have shown and this coordinator has forgotten: the run does not go on. */
  readonly forgotten?: Forgotten;
  /** The model that the round starts from. */
  readonly modelSha256: string;
  readonly stage: Stage;
  /** Of masked updates, since a round was clamped; absent: the specification's. */
  readonly valueRange?: number;
  /** With `stopWhen`: what the evaluations have come to. */
  readonly judgement?: Judgement;
  /** Absent: a run without differential privacy. */
  readonly spending?: Spending;
  /** Why no round begins now, though its clients may be there. */
  readonly paused?: string;
}

/** `round` is in a model, by this coordinator's own signature, which `client` has shown. */
export interface Forgotten {
  readonly client: string;
  readonly round: number;
}

/** What a site said of a run; `policy` stands for the policy that said it, for as long as the client tells. */
interface Refusal {
  readonly detail: string;
  readonly policy?: string;
}

/** A run before its first event. */
export function initialState(run: string, spec: EngineSpec, modelSha256: string, spending?: Spending): RunState {
  const clients = { online: [], away: {}, refused: {}, empty: [], attendances: {} };
  const at = { round: 1, attempt: 1, firstAttempt: 1, modelSha256, stage: { kind: 'waiting' } } as const;
  return { run, spec, status: 'running', reason: '', ...clients, ...at, ...(spending && { spending }) };
}

// ---- events --------------------------------------------------------------------------------------------------------

/** Names one update. */
export interface UpdateId {
  readonly client: string;
  readonly round: number;
  readonly attempt: number;
  readonly updateSha256: string;
}

/** A client that is not in a cohort any more, and why. */
interface Fault<Reason> {
  readonly client: string;
  readonly task: TaskId;
  readonly reason: Reason;
  readonly detail: string;
}

/** What the engine is told; `atMs` is the coordinator's clock. */
export type RoundEvent = {
  readonly atMs: number;
} /** `policy` stands for what the site allows now; a client older than that has none. */ & (
  | { readonly kind: 'online'; readonly client: string; readonly policy?: string }
  /** Who is connected when the run comes to this coordinator; all at once, so that none is drawn before the others. */
  | { readonly kind: 'present'; readonly clients: readonly string[] }
  | { readonly kind: 'offline'; readonly client: string }
  /** An operator has suspended or revoked a client. */
  | { readonly kind: 'excluded'; readonly client: string; readonly detail: string }
  /** A client has shown what this coordinator has signed: an attempt at a round, or that the round is in a model. */
  | {
      readonly kind: 'shown';
      readonly client: string;
      readonly round: number;
      readonly attempt: number;
      readonly isCommitted: boolean;
    }
  /** A complete update whose hash, shape and numbers are right. */
  | ({ readonly kind: 'arrived'; readonly metrics: SumMetrics } & UpdateId)
  /** An upload whose header or values are wrong. */
  | ({ readonly kind: 'invalid'; readonly detail: string } & UpdateId)
  | ({ readonly kind: 'declined'; readonly policy?: string } & Fault<DeclineReason>)
  | { readonly kind: 'evaluated'; readonly client: string; readonly task: TaskId; readonly metrics: SumMetrics }
  /** Secure aggregation went on without a client. */
  | ({ readonly kind: 'secure-dropped' } & Fault<DropReason>)
  /** Secure aggregation has a sum over exactly these clients, in the shell's hands. */
  | {
      readonly kind: 'secured';
      readonly task: TaskId;
      readonly survivors: readonly string[];
      readonly pooled: SumMetrics;
      readonly errors?: Readonly<Record<string, number>>;
      readonly lossy?: Lossy;
      readonly nextValueRange?: number;
    }
  /** Secure aggregation gave up; nothing was unmasked. */
  | { readonly kind: 'unsecured'; readonly task: TaskId; readonly detail: string }
  /** The shell has summed, applied the strategy and made the new model durable. */
  | ({ readonly kind: 'stored'; readonly round: number; readonly attempt: number } & StoredModel)
  | { readonly kind: 'timer'; readonly id: string }
  | { readonly kind: 'stop'; readonly status: RunStatus; readonly reason: string }
  | { readonly kind: 'resume' }
  /** No round begins until the reason is '' again; one that goes on ends. */
  | { readonly kind: 'pause'; readonly reason: string }
);
/** An event by its kind. */
export type EventOf<Kind extends RoundEvent['kind']> = Extract<RoundEvent, { kind: Kind }>;

/** An event before the clock has stamped it. */
export type Untimed<Event> = Event extends RoundEvent ? Omit<Event, 'atMs'> : never;

// ---- effects -------------------------------------------------------------------------------------------------------

/** How an upload is answered; every arrived or invalid event has exactly one. */
export interface UploadAnswer {
  readonly kind: 'answer';
  readonly client: string;
  readonly updateSha256: string;
  /** 'add': put it into the running sum and say accepted; 'again': it is in already, say accepted. */
  readonly outcome: 'add' | 'again' | 'rejected';
  readonly detail: string;
}

/** What the shell carries out, in this order. */
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
  /** Nothing of this client may be in the sum. */
  | { readonly kind: 'exclude-secure'; readonly client: string }
  | UploadAnswer
  /** Sum, apply the strategy, store; then comes the event `stored`. */
  | { readonly kind: 'commit'; readonly round: number; readonly attempt: number; readonly survivors: readonly string[] }
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  | { readonly kind: 'timer'; readonly id: string; readonly atMs: number }
  | { readonly kind: 'emit'; readonly event: RunEvent }
  /** The round is over; the shell adds the bytes, records the summary and emits it. */
  | { readonly kind: 'round-ended'; readonly draft: Draft; readonly evaluation: Evaluation };
/** An effect by its kind. */
export type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

/** One step: its time, and what it asks for so far. */
export interface Turn {
  readonly atMs: number;
  readonly out: Effect[];
}

// ---- questions -----------------------------------------------------------------------------------------------------

/** The stage, if clients are at work in it. */
export function workOf({ stage }: RunState): StageOf<'training' | 'evaluating'> | undefined {
  return stage.kind === 'training' || stage.kind === 'evaluating' ? stage : undefined;
}

/** What the clients of now are asked for: training, unless they evaluate. */
export function taskOf({ run, round, attempt, stage }: RunState): TaskId {
  return { run, kind: stage.kind === 'evaluating' ? 'evaluate' : 'train', round, attempt };
}

/** The stage, if clients are at work in it on this very task. */
export function workOn(state: RunState, task: TaskId): StageOf<'training' | 'evaluating'> | undefined {
  const { run, kind, round, attempt } = taskOf(state);
  const isSame = task.run === run && task.kind === kind && task.round === round && task.attempt === attempt;
  return isSame ? workOf(state) : undefined;
}

/** Whether `client` is asked for this task now, and has not answered. */
export function isAsked(state: RunState, client: string, task = taskOf(state)): boolean {
  const work = workOn(state, task);
  return work !== undefined && memberOf(work.cohort, client)?.status === 'invited';
}

/** Who is there for this run: connected, and not of a site that has refused it. */
export function willing({ online, refused }: RunState): readonly string[] {
  return online.filter((name) => !Object.hasOwn(refused, name));
}

/** Those of them that have something to train with. */
export function trainable(state: RunState): readonly string[] {
  return willing(state).filter((name) => positionOf(state.empty, name) < 0);
}
