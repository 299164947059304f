/**
 * Where updates come in: what becomes of each upload, from its header alone if possible, and the running sum that the
 * engine's answers put them into. One call has one answer; the engine gives it, except where it is known already.
 */

import { type DropReason, FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { isClientLevel, privateMean, vectorLayout } from '../../shared/run/client-level-privacy.js';
import type { Receipt, RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { PendingUpdate, UploadReply } from '../../shared/service.js';
import { valuesIn } from '../../shared/tensors/bytes.js';
import {
  contributionLayout,
  heldOnly,
  multipliersOf,
  type PhaseSpec,
  phaseOfRound,
  type SummedLayout,
} from '../../shared/tensors/channels.js';
import type { Layout } from '../../shared/tensors/params.js';
import { rejection } from '../round/rejection.js';
import {
  currentMember,
  dropReceipt,
  isWanted,
  memberOf,
  type RoundEvent,
  type RunState,
  type Untimed,
  type UploadAnswer,
} from '../round/state.js';
import type { History } from '../run/history.js';
import type { SecureCohort } from '../secagg/grouped.js';
import { type Aggregate, createGathering, type Gathering, parseAggregator } from './aggregator.js';
import type { Prepared } from './exact-sum.js';

/** An update that waits for the engine's answer; `update` is absent when there is nothing to add. */
interface Offer {
  readonly update: Prepared | undefined;
  resolve(reply: UploadReply): void;
}

export interface DeskSurroundings {
  readonly run: string;
  readonly spec: RunSpec;
  readonly history: History;
  state(): RunState;
  /** The secure aggregation of now; masked vectors are its business. */
  secure(): SecureCohort | undefined;
  post(event: Untimed<RoundEvent>): void;
  sendReceipts(receipts: readonly Receipt[]): void;
}

export class UpdateDesk {
  readonly #around: DeskSurroundings;
  #sum: { round: number; attempt: number; sum: Gathering } | undefined;
  readonly #offers = new Map<string, Offer[]>();
  /** By phase: asked for with every update. */
  readonly #layouts = new Map<PhaseSpec, SummedLayout>();

  constructor(around: DeskSurroundings) {
    this.#around = around;
  }

  /** A new running sum; an older one is forgotten. */
  open({ round, attempt }: { readonly round: number; readonly attempt: number }): void {
    const aggregator = parseAggregator(this.#around.spec.engine.aggregator);
    this.#sum = { round, attempt, sum: createGathering(this.layoutOf(round), aggregator) };
  }

  /**
   * What the updates come to; the sum is over then. Under client-level privacy they are whole numbers, clipped, noised and
   * of weight 1, and `noise` is the coordinator's.
   */
  takeMean(plan: RoundPlan, noise: () => Rng): Aggregate {
    const { sum } = this.#sum!;
    this.#sum = undefined;
    if (!isClientLevel(plan.work.privacy)) return { mean: sum.mean(), withinBound: undefined };
    const { sums, weights } = sum.sums();
    const integers = Int32Array.from(sums, Math.round);
    const { mean, withinBound } = privateMean(plan, { integers, weights }, noise());
    const layout = contributionLayout(phaseOfRound(plan.work.phases, plan.round));
    return { mean: heldOnly(layout, mean, weights), withinBound };
  }

  /** A client came back with updates that it keeps: tells it which of them it may forget. */
  settle(client: string, pending: readonly PendingUpdate[]): void {
    const receipts = pending.flatMap((update) => {
      const over = this.#around.history.receiptFor(this.#around.run, client, update);
      if (over !== undefined) return over;
      const wanted = isWanted(this.#around.state(), { client, ...update, updateSha256: update.sha256 });
      return wanted ? [] : this.#dropped(client, update, 'round-aborted');
    });
    this.#around.sendReceipts(receipts);
  }

  #dropped(client: string, { round, attempt, sha256 }: Omit<PendingUpdate, 'run'>, reason: DropReason): Receipt {
    return dropReceipt({ run: this.#around.run }, { client, round, attempt, updateSha256: sha256 }, reason).receipt;
  }

  layoutOf(round: number): SummedLayout {
    const phase = phaseOfRound(this.#around.spec.work.phases, round);
    const layout = this.#layouts.get(phase) ?? vectorLayout(this.#around.spec.work, round);
    this.#layouts.set(phase, layout);
    return layout;
  }

  /** The answer to an upload that its header alone decides, before a byte of it is read; undefined: read it. */
  async answerHeader(client: string, header: UpdateHeader): Promise<UploadReply | undefined> {
    if (this.#around.spec.work.secure) return this.#answerMaskedHeader(client, header);
    const settled = this.#settled(client, header);
    if (settled !== undefined) return settled;
    const { round, attempt, sha256: updateSha256 } = header;
    const { privacy } = this.#around.spec.work;
    const detail = faultOfHeader(header, this.layoutOf(round), isClientLevel(privacy) ? 1 : Number.POSITIVE_INFINITY);
    if (detail === undefined) return undefined;
    return this.#ask(client, { kind: 'invalid', client, round, attempt, updateSha256, detail });
  }

  /** A complete upload whose hash is right; resolves when it is in the sum or turned down. */
  async offer(client: string, header: UpdateHeader, bytes: Uint8Array): Promise<UploadReply> {
    if (this.#around.spec.work.secure) {
      this.#around.secure()?.receive(client, bytes);
      return { outcome: 'accepted', detail: '' };
    }
    const values = valuesIn(bytes);
    const settled = this.#settled(client, header); // while the bytes came, the round may have gone on
    if (settled !== undefined) return settled;
    const { round, attempt, sha256: updateSha256, metrics, weights } = header;
    if (this.#sum?.round !== round || this.#sum.attempt !== attempt) return this.#turnDown(client, header);
    const update = this.#sum.sum.prepare(values, { weight: multipliersOf(this.layoutOf(round), weights) });
    if ('reason' in update) {
      const { detail } = update;
      return this.#ask(client, { kind: 'invalid', client, round, attempt, updateSha256, detail });
    }
    const event = { kind: 'arrived', client, round, attempt, updateSha256, metrics } as const;
    return this.#ask(client, event, update);
  }

  /** A masked vector: whether the aggregation that it is for still goes on, and its size is right. */
  #answerMaskedHeader(client: string, { round, attempt, sizeBytes }: UpdateHeader): UploadReply | undefined {
    const { stage } = this.#around.state();
    const isNow = round === this.#around.state().round && attempt === this.#around.state().attempt;
    const cohort = stage.kind === 'training' || stage.kind === 'evaluating' ? stage.cohort : undefined;
    const member = isNow && cohort !== undefined ? memberOf(cohort, client) : undefined;
    const expected = this.#around.secure()?.maskedBytes;
    if (member?.status !== 'invited') {
      return { outcome: 'rejected', detail: rejection(this.#around.state(), { round, attempt }, member) };
    }
    if (sizeBytes === expected) return undefined;
    return { outcome: 'rejected', detail: `sizeBytes: expected ${expected}, got ${sizeBytes}` };
  }

  /** The answer to an update whose fate is known; undefined: it is wanted. */
  #settled(client: string, header: UpdateHeader): UploadReply | undefined {
    const accepted: UploadReply = { outcome: 'accepted', detail: '' };
    const over = this.#around.history.receiptFor(this.#around.run, client, header);
    if (over?.outcome === 'committed') {
      this.#around.sendReceipts([over]);
      return accepted;
    }
    const { round, attempt, sha256 } = header;
    const member = currentMember(this.#around.state(), { client, round, attempt });
    if (member?.status === 'arrived' && member.updateSha256 === sha256) return accepted;
    return member?.status === 'invited' ? undefined : this.#turnDown(client, header);
  }

  #turnDown(client: string, header: UpdateHeader): UploadReply {
    const { round, attempt } = header;
    const member = currentMember(this.#around.state(), { client, round, attempt });
    this.#around.sendReceipts([
      this.#dropped(client, header, member?.status === 'dropped' ? member.reason : 'deadline'),
    ]);
    return { outcome: 'rejected', detail: rejection(this.#around.state(), header, member) };
  }

  #ask(
    client: string,
    event: Untimed<Extract<RoundEvent, { kind: 'arrived' | 'invalid' }>>,
    update?: Prepared,
  ): Promise<UploadReply> {
    const key = `${client}/${event.updateSha256}`;
    return new Promise((resolve) => {
      this.#offers.set(key, [...(this.#offers.get(key) ?? []), { update, resolve }]);
      this.#around.post(event);
    });
  }

  /** Carries out what the engine decided about an offer. */
  answer({ client, updateSha256, outcome, detail }: UploadAnswer): void {
    const key = `${client}/${updateSha256}`;
    const [offer, ...rest] = this.#offers.get(key) ?? [];
    if (offer === undefined) throw new FlError('internal', `answer to an upload that was not offered: ${key}`);
    if (rest.length > 0) this.#offers.set(key, rest);
    else this.#offers.delete(key);
    if (outcome === 'add' && offer.update !== undefined) this.#sum!.sum.addPrepared(offer.update);
    offer.resolve({ outcome: outcome === 'rejected' ? 'rejected' : 'accepted', detail });
  }
}

function faultOfHeader({ sizeBytes, weights }: UpdateHeader, layout: Layout, weightMax: number): string | undefined {
  const last = layout.at(-1);
  const expected = last === undefined ? 0 : 4 * (last.offset + last.size);
  if (sizeBytes !== expected) return `sizeBytes: expected ${expected}, got ${sizeBytes}`;
  if (weights.length !== layout.length) return `weights: expected ${layout.length}, got ${weights.length}`;
  const bad = weights.find((weight) => !(weight >= 0 && Number.isFinite(weight)));
  if (bad !== undefined) return `weights: expected finite numbers >= 0, got ${bad}`;
  const heavy = weights.find((weight) => weight > weightMax);
  return heavy === undefined ? undefined : `weights: expected at most ${weightMax} with this privacy, got ${heavy}`;
}
