/**
 * One task under way, from the plan to the event that ends it: trained or evaluated, and what comes of it kept and told;
 * under secure aggregation keys and shares first, training when the cohort is frozen, and then only what is masked goes out.
 */
import type { Clock } from '../../shared/clock.js';
import { adviceOn } from '../../shared/disk/faults.js';
import { FlError, type FlErrorCode } from '../../shared/errors.js';
import { rngFromKey } from '../../shared/rng.js';
import { FAILED, FAILS_ALIKE } from '../../shared/run/fails-alike.js';
import { encodedPart, encodedWords } from '../../shared/run/lossy.js';
import type { RoundPlan, TaskId, UpdateHeader } from '../../shared/run/plan.js';
import { isProtected } from '../../shared/run/spec.js';
import { type ClientFrame, SMALL_BYTES } from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { parseCodec } from '../../shared/tensors/codecs/index.js';
import type { Openings } from '../store/openings.js';
import type { ClientStore } from '../store/updates.js';
import type { TaskOptions } from '../training/task.js';
import { withoutExamples } from '../training/withheld.js';
import { type PlainContribution, type SecaggSite, SecaggTask } from './secagg-task.js';
import { type SessionEvent, taskOf } from './session.js';
import type { Tasks } from './tasks.js';

const PROGRESS_EVERY_MS = 1_000;

export { FAILED };

/** Faults of code, data or settings, which are as they are in the next attempt. */
const LASTING: ReadonlySet<FlErrorCode> = new Set(['invalid-argument', 'failed-precondition', 'data-missing']);

/** What a task is done with, and who is told. */
export interface WorkDeps {
  readonly client: string;
  readonly tasks: Tasks;
  readonly store: ClientStore;
  /** Absent: a plan with secure aggregation fails here. */
  readonly secure?: SecaggSite & { readonly openings: Openings };
  readonly clock: Clock;
  /** Lets the computation start. */
  limit<T>(task: () => Promise<T>): Promise<T>;
  /** Takes the event that ends the task; never called before {@link startWork} has returned. */
  post(event: SessionEvent): void;
  /** Takes what this machine failed with, its disk mostly: the next task would fail as well. Ends the client. */
  broke(error: unknown): void;
  send(frame: ClientFrame): void;
  /** Carries what is too large for a frame. */
  upload(header: UpdateHeader, bytes: Uint8Array): void;
  notice(message: string, fields: object): void;
  /** Hears that a plan has been followed to its end: what it asked for has left, or is on its way. */
  answered?(plan: RoundPlan): void;
  /** Takes down, durably when it resolves, what is about to leave; absent: nobody does. */
  record?(task: TaskId, what: string, bytes: Uint8Array): Promise<void>;
}

/** A task under way; nothing but the session says whether it has ended. */
export interface Work {
  readonly plan: RoundPlan;
  /** The aggregation that the task goes through; undefined when there is none, and when it has ended. */
  readonly aggregation: SecaggTask | undefined;
  /** The task is not wanted any more: ends it, and takes this client out of its aggregation. Nothing is posted. */
  cancel(): void;
  /** Ends the computation, for this process ends. Nothing is posted. */
  stop(): void;
}

/** Begins to follow a plan. Whatever goes wrong is posted as the event that ends the task. */
export function startWork(plan: RoundPlan, deps: WorkDeps): Work {
  return plan.work.secure === undefined ? startPlain(plan, deps) : startSecure(plan, deps);
}

function startPlain(plan: RoundPlan, deps: WorkDeps): Work {
  const abort = new AbortController();
  void deps.limit(async () => {
    if (abort.signal.aborted) return;
    const task = taskOf(plan);
    const options = { signal: abort.signal, onProgress: progressOf(plan, deps) };
    try {
      if (plan.kind === 'train') await train(plan, deps, options);
      else await evaluate(plan, deps, options);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (adviceOn(error) !== undefined) return deps.broke(error);
      const { code, message } = FlError.from(error);
      deps.notice('task failed', { ...task, message });
      deps.post({ kind: 'failed', task, detail: outwardly(plan, message, plan.kind === 'train' && LASTING.has(code)) });
    }
  });
  const stop = () => abort.abort();
  return { plan, aggregation: undefined, cancel: stop, stop };
}

/** The update is on the disk before it is said to be there; if it is unwanted by then, whoever is told forgets it. */
async function train(
  plan: RoundPlan,
  { tasks, store, post, answered, notice }: WorkDeps,
  options: TaskOptions,
): Promise<void> {
  const { run, round, attempt, work } = plan;
  const codec = parseCodec(work.compression); // one that is not known here costs no training
  const { values, weights, metrics: measured } = await tasks.train(plan, options);
  if (options.signal?.aborted) return;
  const bytes = codec.encode(values); // once: whatever is sent again is this
  const lost = work.compression === undefined ? {} : encodedPart(values, codec.decode(bytes, values.length));
  const told = encodedWords(work, lost);
  if (told !== undefined) notice('lossy', { ...taskOf(plan), [work.privacy === undefined ? 'told' : 'cause']: told });
  const metrics = work.privacy === undefined ? { ...measured, ...lost } : measured; // it is a figure without noise
  const sha256 = sha256Hex(bytes);
  await store.keep({ header: { run, round, attempt, weights, metrics, sha256, sizeBytes: bytes.length }, bytes });
  post({ kind: 'trained', task: taskOf(plan), sha256 });
  answered?.(plan);
}

async function evaluate(
  plan: RoundPlan,
  { tasks, post, record, answered }: WorkDeps,
  options: TaskOptions,
): Promise<void> {
  const metrics = await tasks.evaluate(plan, options);
  if (record && !options.signal?.aborted) await record(taskOf(plan), 'evaluation', Buffer.from(canonicalJson(metrics)));
  if (options.signal?.aborted) return;
  post({ kind: 'evaluated', task: taskOf(plan), metrics });
  answered?.(plan);
}

function startSecure(plan: RoundPlan, deps: WorkDeps): Work {
  const { client, secure: site, limit, post, notice } = deps;
  const task = taskOf(plan);
  const abort = new AbortController();
  let aggregation: SecaggTask | undefined;
  /** An aggregation ends in its own time; if it was cancelled, another has taken its place, perhaps for the same task. */
  const end = (event: SessionEvent, detail?: string) => {
    if (abort.signal.aborted) return;
    aggregation = undefined;
    if (detail !== undefined) notice('refused', { ...task, detail });
    post(event);
  };
  /** What this site's rules forbid it declines, in words; the rest is a failure. */
  const failed = (error: FlError) => {
    if (adviceOn(error) !== undefined) return deps.broke(error);
    const { code, message } = error;
    if (code === 'permission-denied') return end({ kind: 'declined', task, detail: message }, message);
    return end({ kind: 'failed', task, detail: outwardly(plan, message) }, message);
  };
  try {
    if (site === undefined) throw new FlError('failed-precondition', 'this client has no secure aggregation');
    const options = { signal: abort.signal, onProgress: progressOf(plan, deps) };
    aggregation = SecaggTask.start({
      ...{
        plan,
        client,
        store: site.store,
        openings: site.openings,
        minDifference: site.minDifference,
        signingSeed: site.signingSeed,
        policy: site.policy,
        enrolled: site.enrolled,
      },
      // the next bytes, and nothing that the plan names: keys of two aggregations must differ, whoever drew the nonces
      rng: rngFromKey(site.rng.bytes(32), 'aggregation'),
      contribute: () => limit(() => contribution(plan, deps.tasks, options)),
      record: deps.record && ((type, frame) => deps.record!(task, type, frame)),
      send: (frame) => sendSecure(plan, frame, deps),
      notice,
      ended(refusal) {
        if (refusal === undefined && !abort.signal.aborted) deps.answered?.(plan);
        end({ kind: 'finished', task }, refusal);
      },
      failed,
    });
  } catch (error) {
    queueMicrotask(() => failed(FlError.from(error)));
  }
  return {
    plan,
    get aggregation() {
      return aggregation;
    },
    cancel() {
      abort.abort();
      aggregation?.withdraw();
      aggregation = undefined;
    },
    stop: () => abort.abort(),
  };
}

async function contribution(plan: RoundPlan, tasks: Tasks, options: TaskOptions): Promise<PlainContribution> {
  if (plan.kind === 'train') return tasks.train(plan, options);
  return { values: new Float32Array(0), weights: [], metrics: await tasks.evaluate(plan, options) };
}

/** A small frame through the stream; a large masked vector by an upload of its own. */
function sendSecure(plan: RoundPlan, frame: Uint8Array, { send, upload }: WorkDeps): void {
  if (frame.length <= SMALL_BYTES) return send({ kind: 'secure', task: taskOf(plan), frame });
  const { run, round, attempt } = plan;
  const header = { run, round, attempt, weights: [], metrics: {}, sha256: sha256Hex(frame), sizeBytes: frame.length };
  upload(header, frame);
}

function outwardly({ work }: RoundPlan, cause: string, isLasting = false): string {
  return isProtected(work) ? FAILED : withoutExamples(cause) + (isLasting ? `; ${FAILS_ALIKE}` : '');
}

function progressOf(plan: RoundPlan, { clock, send }: WorkDeps): NonNullable<TaskOptions['onProgress']> {
  const task = taskOf(plan);
  let lastMs = clock.nowMs();
  return (stepsDone, stepsTotal) => {
    const nowMs = clock.nowMs();
    if (nowMs - lastMs < PROGRESS_EVERY_MS) return;
    lastMs = nowMs;
    send({ kind: 'progress', task, ...(isProtected(plan.work) ? inPercent : inSteps)(stepsDone, stepsTotal) });
  };
}

type Steps = Pick<Extract<ClientFrame, { kind: 'progress' }>, 'stepsDone' | 'stepsTotal'>;

const inSteps = (stepsDone: number, stepsTotal: number): Steps => ({ stepsDone, stepsTotal });

/** How many steps there are says how many examples a client has; how far it is does not. */
function inPercent(stepsDone: number, stepsTotal: number): Steps {
  return { stepsDone: Math.floor((100 * stepsDone) / Math.max(1, stepsTotal)), stepsTotal: 100 };
}
