/**
 * Where updates come in: the running sum, and the promises of those whose answer is still with the engine. What becomes of
 * an update is decided in round/fate.ts; the intake asks it before a byte is read and once more before it is added.
 */
import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { isClientLevel, privateMean, vectorLayout } from '../../shared/run/client-level-privacy.js';
import type { Receipt, RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { PendingUpdate, UploadReply } from '../../shared/service.js';
import {
  contributionLayout,
  heldOnly,
  multipliersOf,
  phaseOfRound,
  type SummedLayout,
} from '../../shared/tensors/channels.js';
import { type Codec, parseCodec } from '../../shared/tensors/codecs/index.js';
import { sizeOf } from '../../shared/tensors/params.js';
import { dropReceipt, type Fate, fateOf, lastWordOn, type Past } from '../round/fate.js';
import type { EventOf, RoundEvent, RunState, Untimed, UpdateId, UploadAnswer } from '../round/state.js';
import type { CurrentAggregation } from '../secagg/current.js';
import { type Aggregate, createGathering, type Gathering, parseAggregator } from './aggregator.js';
import type { Prepared } from './exact-sum.js';

/** An update that waits for the engine's answer; `update` is absent when there is nothing to add. */
interface Offer {
  readonly update: Prepared | undefined;
  resolve(reply: UploadReply): void;
}

interface Sum {
  readonly round: number;
  readonly attempt: number;
  readonly layout: SummedLayout;
  readonly gathering: Gathering;
}

/** What an intake asks of its run. */
interface IntakeDeps {
  readonly spec: RunSpec;
  /** The last rounds that are over. */
  readonly history: Past & { isLongPast(round: number): boolean };
  /** The same of a round that is long past. */
  readPast(round: number): Promise<Past>;
  state(): RunState;
  /** Masked vectors are its business. */
  readonly secure: Pick<CurrentAggregation, 'maskedBytes' | 'receive'>;
  post(event: Untimed<RoundEvent>): void;
  /** What `say` returns, once all that the engine has asked for so far is carried out, and durable. */
  inTurn<Said>(say: () => Said): Promise<Said>;
  sendReceipts(receipts: readonly Receipt[]): void;
}

/** The updates of one run on their way into its sums. */
export class UpdateIntake {
  readonly #deps: IntakeDeps;
  readonly #codec: Codec;
  #sum: Sum | undefined;
  /** By client and hash; the same update may come by several streams at once. */
  readonly #offers = new Map<string, Offer[]>();

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
    this.#codec = parseCodec(deps.spec.work.compression);
  }

  /** A new running sum; an older one is forgotten. */
  open({ round, attempt }: { readonly round: number; readonly attempt: number }): void {
    const { work, engine } = this.#deps.spec;
    const layout = vectorLayout(work, round);
    this.#sum = { round, attempt, layout, gathering: createGathering(layout, parseAggregator(engine.aggregator)) };
  }

  /**
   * What the updates come to; the sum is over then. Under client-level privacy they are whole numbers, clipped, noised and
   * of weight 1, and `noise` is the coordinator's.
   */
  takeMean(plan: RoundPlan, noise: () => Rng): Aggregate {
    const { gathering } = this.#sum!;
    this.#sum = undefined;
    if (!isClientLevel(plan.work.privacy)) return { mean: gathering.mean(), withinBound: undefined };
    const { sums, weights } = gathering.sums();
    const integers = Int32Array.from(sums, Math.round);
    const { mean, withinBound } = privateMean(plan, { integers, weights }, noise());
    const layout = contributionLayout(phaseOfRound(plan.work.phases, plan.round));
    return { mean: heldOnly(layout, mean, weights), withinBound };
  }

  /** A client came back with updates that it keeps: tells it which of them it may forget. */
  answerPending(client: string, pending: readonly PendingUpdate[]): void {
    const { history, state, sendReceipts } = this.#deps;
    const recent = pending.filter(({ round }) => !history.isLongPast(round));
    sendReceipts(recent.flatMap((update) => lastWordOn(state(), history, idOf(client, update)) ?? []));
    const old = pending.filter(({ round }) => history.isLongPast(round));
    this.#answerOld(client, old).catch(() => undefined); // not to be read now: it asks when it comes back
  }

  async #answerOld(client: string, pending: readonly PendingUpdate[]): Promise<void> {
    const { state, readPast, sendReceipts } = this.#deps;
    for (const update of pending) {
      const past = await readPast(update.round);
      const receipt = lastWordOn(state(), past, idOf(client, update));
      if (receipt !== undefined) sendReceipts([receipt]);
    }
  }

  /** The answer to an upload that its header alone decides, before a byte of it is read; undefined: read it. */
  async answerHeader(client: string, header: UpdateHeader): Promise<UploadReply | undefined> {
    const { spec, state, history, readPast, secure } = this.#deps;
    const id = idOf(client, header);
    if (spec.work.secure) {
      const fate = fateOf(state(), undefined, id);
      const maskedBytes = secure.maskedBytes;
      if (fate.kind === 'rejected') return { outcome: 'rejected', detail: fate.detail };
      if (header.sizeBytes === maskedBytes) return undefined;
      return { outcome: 'rejected', detail: `sizeBytes: expected ${maskedBytes}, got ${header.sizeBytes}` };
    }
    const past = history.isLongPast(header.round) ? await readPast(header.round) : history;
    const fate = fateOf(state(), past, id);
    if (fate.kind !== 'wanted') return this.#answerKnown(fate);
    const weightMax = isClientLevel(spec.work.privacy) ? 1 : Number.POSITIVE_INFINITY;
    const detail = this.#faultOfHeader(header, weightMax);
    return detail === undefined ? undefined : this.#ask({ kind: 'invalid', ...id, detail });
  }

  /** A complete upload whose hash is right; resolves when it is in the sum or rejected. */
  async offer(client: string, header: UpdateHeader, bytes: Uint8Array): Promise<UploadReply> {
    const { spec, state, history, readPast, secure } = this.#deps;
    if (spec.work.secure) {
      secure.receive(client, bytes);
      return { outcome: 'accepted', detail: '' };
    }
    const id = idOf(client, header);
    const past = history.isLongPast(header.round) ? await readPast(header.round) : history;
    const fate = fateOf(state(), past, id); // while the bytes came, the round may have gone on
    if (fate.kind !== 'wanted') return this.#answerKnown(fate);
    const { round, attempt, metrics, weights } = header;
    if (this.#sum?.round !== round || this.#sum.attempt !== attempt) {
      const detail = 'early: the round is not on disk yet';
      return this.#answerKnown({ kind: 'rejected', detail, receipt: dropReceipt(state().run, id, 'deadline') });
    }
    const { layout, gathering } = this.#sum;
    let values: Float32Array;
    try {
      values = this.#codec.decode(bytes, sizeOf(layout));
    } catch (error) {
      return this.#ask({ kind: 'invalid', ...id, detail: FlError.from(error).message });
    }
    const update = gathering.prepare(values, { weight: multipliersOf(layout, weights) });
    if ('reason' in update) return this.#ask({ kind: 'invalid', ...id, detail: update.detail });
    return this.#ask({ kind: 'arrived', ...id, metrics }, update);
  }

  /** In its turn: what the engine has decided may not be on the disk yet, and whoever has a receipt forgets its update. */
  #answerKnown(fate: Exclude<Fate, { kind: 'wanted' }>): Promise<UploadReply> {
    return this.#deps.inTurn(() => {
      if (fate.receipt !== undefined) this.#deps.sendReceipts([fate.receipt]);
      return fate.kind === 'accepted'
        ? { outcome: 'accepted', detail: '' }
        : { outcome: 'rejected', detail: fate.detail };
    });
  }

  /** The engine's answer to `event`, in its turn. */
  #ask(event: Untimed<EventOf<'arrived'> | EventOf<'invalid'>>, update?: Prepared): Promise<UploadReply> {
    const key = `${event.client}/${event.updateSha256}`;
    return new Promise((resolve) => {
      this.#offers.set(key, [...(this.#offers.get(key) ?? []), { update, resolve }]);
      this.#deps.post(event);
    });
  }

  /** Carries out what the engine decided about an offer. @throws FlError internal: there is none */
  answer({ client, updateSha256, outcome, detail }: UploadAnswer): void {
    const key = `${client}/${updateSha256}`;
    const [offer, ...rest] = this.#offers.get(key) ?? [];
    if (offer === undefined) throw new FlError('internal', `answer to an upload that was not offered: ${key}`);
    if (rest.length > 0) this.#offers.set(key, rest);
    else this.#offers.delete(key);
    if (outcome === 'add' && offer.update !== undefined) this.#sum!.gathering.addPrepared(offer.update);
    offer.resolve({ outcome: outcome === 'rejected' ? 'rejected' : 'accepted', detail });
  }

  #faultOfHeader({ round, sizeBytes, weights }: UpdateHeader, weightMax: number): string | undefined {
    const layout = this.#sum?.round === round ? this.#sum.layout : vectorLayout(this.#deps.spec.work, round);
    const expected = this.#codec.sizeBytes(sizeOf(layout));
    if (sizeBytes !== expected) return `sizeBytes: expected ${expected}, got ${sizeBytes}`;
    if (weights.length !== layout.length) return `weights: expected ${layout.length}, got ${weights.length}`;
    const bad = weights.find((weight) => !(weight >= 0 && Number.isFinite(weight)));
    if (bad !== undefined) return `weights: expected finite numbers >= 0, got ${bad}`;
    const heavy = weights.find((weight) => weight > weightMax);
    return heavy === undefined ? undefined : `weights: expected at most ${weightMax} with this privacy, got ${heavy}`;
  }
}

function idOf(client: string, { round, attempt, sha256 }: Omit<PendingUpdate, 'run'>): UpdateId {
  return { client, round, attempt, updateSha256: sha256 };
}
