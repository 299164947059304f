/**
 * What a client does next: `step(state, event) -> [state, effects]`, pure. The shell in `participant.ts` carries frames,
 * trains and uploads.
 *
 *   plan --> queued --> working --> kept (on disk) --uploaded--> kept --receipt--> forgotten
 *                          |                                       |
 *                          +-- failed, withdrawn: nothing is kept   +-- cut: the plan comes again, the update goes again
 *
 * An update that was trained is never trained again: when the plan comes once more, after a crash on either side, the
 * kept one is sent.
 */
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Receipt, RoundPlan, TaskId } from '../../shared/run/plan.js';
import type { DeclineReason, PendingUpdate } from '../../shared/service.js';
import type { Answer } from '../../shared/signing/answers.js';

/** All that a client knows of its work; plain data. */
export interface SessionState {
  readonly online: boolean;
  readonly working: RoundPlan | undefined;
  readonly queue: readonly RoundPlan[];
  readonly kept: readonly PendingUpdate[];
  /** Those of `kept` that were made while the client was away, perhaps after it had said hello. */
  readonly unannounced: readonly PendingUpdate[];
}

/** Why a client does not follow a plan; `detail` is for the operator. */
export interface Decline {
  readonly reason: DeclineReason;
  readonly detail: string;
}

/** What happens to a client. */
export type SessionEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'disconnected' }
  /** A plan that is signed and well-formed; `decline` is why the site does not follow it. */
  | { readonly kind: 'plan'; readonly plan: RoundPlan; readonly decline?: Decline }
  | { readonly kind: 'withdrawn'; readonly task: TaskId }
  /** Signed by the coordinator. */
  | { readonly kind: 'receipt'; readonly receipt: Receipt }
  /** The update is on this client's disk. */
  | { readonly kind: 'trained'; readonly task: TaskId; readonly sha256: string }
  | { readonly kind: 'evaluated'; readonly task: TaskId; readonly metrics: SumMetrics }
  | { readonly kind: 'failed'; readonly task: TaskId; readonly detail: string }
  /** Over, and the coordinator knows how: secure aggregation says so itself. */
  | { readonly kind: 'finished'; readonly task: TaskId };

/** What the shell has to do, in this order. */
export type SessionEffect =
  | { readonly kind: 'work'; readonly plan: RoundPlan }
  | { readonly kind: 'cancel'; readonly task: TaskId }
  | { readonly kind: 'upload'; readonly update: PendingUpdate }
  | { readonly kind: 'forget'; readonly update: PendingUpdate }
  /** The shell signs it. */
  | { readonly kind: 'send'; readonly frame: Answer };

/** A client that is away and has no work; `kept` are the updates that an earlier process left without a receipt. */
export function newSession(kept: readonly PendingUpdate[]): SessionState {
  return { online: false, working: undefined, queue: [], kept, unannounced: [] };
}

/** The state after the event, and what has to be done because of it. */
export function step(state: SessionState, event: SessionEvent): [SessionState, SessionEffect[]] {
  const effects: SessionEffect[] = [];
  const next = handle(state, event, effects);
  return [startNext(next, effects), effects];
}

function handle(state: SessionState, event: SessionEvent, out: SessionEffect[]): SessionState {
  switch (event.kind) {
    case 'connected':
      for (const update of state.unannounced) {
        if (state.kept.some((kept) => belongsTo(kept, update))) out.push({ kind: 'upload', update });
      }
      return { ...state, online: true, unannounced: [] };
    case 'disconnected':
      return { ...state, online: false };
    case 'plan':
      return onPlan(state, event, out);
    case 'withdrawn':
      return withdraw(state, (plan) => sameTask(plan, event.task), out);
    case 'receipt':
      return onReceipt(state, event.receipt, out);
    case 'trained': {
      const { run, round, attempt } = event.task;
      const update = { run, round, attempt, sha256: event.sha256 };
      if (!isWorkingOn(state, event.task)) {
        // Withdrawn while it was being written: nobody will ask for it.
        if (!state.kept.some((kept) => belongsTo(kept, event.task))) out.push({ kind: 'forget', update });
        return state;
      }
      if (state.online) out.push({ kind: 'upload', update });
      const unannounced = state.online ? state.unannounced : [...state.unannounced, update];
      return { ...state, working: undefined, kept: [...state.kept, update], unannounced };
    }
    case 'evaluated':
      if (!isWorkingOn(state, event.task)) return state;
      if (state.online)
        out.push({ kind: 'send', frame: { kind: 'evaluation', task: event.task, metrics: event.metrics } });
      return { ...state, working: undefined };
    case 'finished':
      return isWorkingOn(state, event.task) ? { ...state, working: undefined } : state;
    case 'failed':
      if (!isWorkingOn(state, event.task)) return state;
      if (state.online) out.push(declineFrame(event.task, { reason: 'failed', detail: event.detail }));
      return { ...state, working: undefined };
  }
}

function onPlan(
  state: SessionState,
  { plan, decline }: Extract<SessionEvent, { kind: 'plan' }>,
  out: SessionEffect[],
): SessionState {
  const update = plan.kind === 'train' ? state.kept.find((kept) => belongsTo(kept, plan)) : undefined;
  if (update !== undefined) {
    out.push({ kind: 'upload', update });
    return state;
  }
  if (isWorkingOn(state, plan) || state.queue.some((queued) => sameTask(queued, plan))) return state;
  // A newer plan of a run voids what is left of an older one: the coordinator has moved on.
  const rest = withdraw(state, (older) => older.run === plan.run, out);
  if (decline !== undefined) {
    out.push(declineFrame(taskOf(plan), decline));
    return rest;
  }
  return { ...rest, queue: [...rest.queue, plan] };
}

function withdraw(state: SessionState, isVoid: (plan: RoundPlan) => boolean, out: SessionEffect[]): SessionState {
  const queue = state.queue.filter((plan) => !isVoid(plan));
  if (state.working === undefined || !isVoid(state.working)) return { ...state, queue };
  out.push({ kind: 'cancel', task: taskOf(state.working) });
  return { ...state, queue, working: undefined };
}

function onReceipt(state: SessionState, receipt: Receipt, out: SessionEffect[]): SessionState {
  const update = state.kept.find((kept) => belongsTo(kept, receipt) && kept.sha256 === receipt.updateSha256);
  if (update === undefined) return state;
  out.push({ kind: 'forget', update });
  return { ...state, kept: state.kept.filter((kept) => kept !== update) };
}

function startNext(state: SessionState, out: SessionEffect[]): SessionState {
  const [plan, ...queue] = state.queue;
  if (plan === undefined || state.working !== undefined) return state;
  out.push({ kind: 'work', plan });
  return { ...state, working: plan, queue };
}

function declineFrame(task: TaskId, { reason, detail }: Decline): SessionEffect {
  return { kind: 'send', frame: { kind: 'decline', task, reason, detail } };
}

/** What names a task, of a record that has more. */
export function taskOf({ run, kind, round, attempt }: TaskId): TaskId {
  return { run, kind, round, attempt };
}

function isWorkingOn(state: SessionState, task: TaskId): boolean {
  return state.working !== undefined && sameTask(state.working, task);
}

/** Whether both name one task. */
export function sameTask(a: TaskId, b: TaskId): boolean {
  return a.run === b.run && a.kind === b.kind && a.round === b.round && a.attempt === b.attempt;
}

function belongsTo(update: PendingUpdate, task: Pick<TaskId, 'run' | 'round' | 'attempt'>): boolean {
  return update.run === task.run && update.round === task.round && update.attempt === task.attempt;
}
