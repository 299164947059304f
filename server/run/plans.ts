/** What a run says to its clients of what there is to do: plans, made once for a cohort and signed. */
import { toHex } from '../../shared/hex.js';
import type { Rng } from '../../shared/rng.js';
import type { RoundPlan, TaskKind } from '../../shared/run/plan.js';
import type { WorkSpec } from '../../shared/run/spec.js';
import { type CoordinatorFrame, SMALL_BYTES } from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';
import { signTask } from '../../shared/signing/shown.js';
import type { RunState } from '../round/state.js';
import type { GlobalModel } from './model.js';

/** A plan with its signature and, if that is small, its model. */
type PlanFrame = Extract<CoordinatorFrame, { kind: 'plan' }>;

/** What plans are made of, besides the state of the run. */
interface PlanDeps {
  readonly work: WorkSpec;
  readonly identity: Identity;
  /** Of this run; a name gives the same nonce again. */
  readonly rng: Rng;
  /** Enrolled Ed25519 keys, hex, by client. */
  keysOf(clients: readonly string[]): Readonly<Record<string, string>>;
}

/** Sent again while no more of its time than this has passed, it is the same plan. */
const PLAN_AGE_MS = 100;

/** The plans of one run. */
export class Plans {
  readonly #deps: PlanDeps;
  #keys: { readonly attempt: string; readonly keys: Readonly<Record<string, string>> } | undefined;
  #last: { readonly key: string; readonly frame: PlanFrame } | undefined;

  constructor(deps: PlanDeps) {
    this.#deps = deps;
  }

  /** The plan of the stage that the engine is in; `deadlineMs` is the time that is left. */
  planOf(state: RunState, model: GlobalModel, kind: TaskKind, deadlineMs: number): RoundPlan {
    const { run, round, attempt, modelSha256, stage, spending, valueRange } = state;
    const { work, rng } = this.#deps;
    const names = 'cohort' in stage ? stage.cohort.names : [];
    // named, not the next of a stream that others draw from: a simulation gives the same nonces again
    const nonce = () => toHex(rng.split(`nonce/${run}/${kind}/${round}/${attempt}`).bytes(16));
    return {
      ...(kind === 'train' && spending?.isAdaptive && { clippingBound: spending.clippingBound }),
      ...(kind === 'train' && valueRange !== undefined && { valueRange }),
      ...(work.secure && { secure: { nonce: nonce(), enrolled: this.#keysOf(`${kind}/${round}/${attempt}`, names) } }),
      run,
      kind,
      round,
      attempt,
      modelSha256,
      modelSizeBytes: model.file.length,
      deadlineMs,
      cohort: names.length,
      work,
    };
  }

  /** Of an attempt they stay what they were: whoever rotates its key meanwhile is no other member to those who are at it. */
  #keysOf(attempt: string, names: readonly string[]): Readonly<Record<string, string>> {
    if (this.#keys?.attempt !== attempt) this.#keys = { attempt, keys: this.#deps.keysOf(names) };
    return this.#keys.keys;
  }

  /** The same as it is sent: the cohort gets one plan, signed once. */
  frameOf(state: RunState, model: GlobalModel, kind: TaskKind, deadlineMs: number): PlanFrame {
    const key = `${kind}/${state.round}/${state.attempt}/${Math.ceil(deadlineMs / PLAN_AGE_MS)}`;
    if (this.#last?.key === key) return this.#last.frame;
    const plan = this.planOf(state, model, kind, deadlineMs);
    const body = new TextEncoder().encode(canonicalJson(plan));
    const signature = this.#deps.identity.sign(signedBytes('plan', plan));
    const inFrame = model.file.length <= SMALL_BYTES ? model.file : new Uint8Array(0);
    const taskSignature = signTask(this.#deps.identity, plan);
    this.#last = { key, frame: { kind: 'plan', body, signature, model: inFrame, taskSignature } };
    return this.#last.frame;
  }
}
