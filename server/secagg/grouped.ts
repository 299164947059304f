/**
 * Secure aggregation of a cohort: over all of it, or group by group, in which case the coordinator learns the sum of each
 * group and takes a robust mean over the groups. To the round engine both are one aggregation that ends in one vector.
 *
 * A group that fails takes its members with it, and nobody else: the round goes on with the groups that are left, as long as
 * there are survivors enough in all, and groups enough for the order statistic.
 */

import { FlError } from '../../shared/errors.js';
import { type SumMetrics, sumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { groupPlansOf } from '../../shared/run/secagg-groups.js';
import { contributionLayout, phaseOfRound, type SummedLayout } from '../../shared/tensors/channels.js';
import { type Aggregate, type Aggregator, aggregate, parseAggregator } from '../updates/aggregator.js';
import {
  type Exactness,
  SecureAggregation,
  type SecureAggregationOptions,
  type SecureListener,
  type SecureOutcome,
} from './aggregation.js';

/** The end of an aggregation in one or several sums. */
interface GroupedOutcome extends Aggregate {
  readonly survivors: readonly string[];
  readonly pooled: SumMetrics;
  readonly exactness: Exactness;
  /** Of each sum, in the order of groups. */
  readonly proofs: readonly SecureOutcome['proof'][];
}

/** `dropped` may come again for a client that has been dropped. */
interface GroupedListener extends Omit<SecureListener, 'done'> {
  done(outcome: GroupedOutcome): void;
}

/** What it needs: as one aggregation does, and what is asked of all groups together. */
interface GroupedOptions extends Omit<SecureAggregationOptions, 'listener'> {
  readonly listener: GroupedListener;
  readonly aggregator: Aggregator;
  /** Fewest survivors over all groups. */
  readonly minSurvivors: number;
}

interface Group {
  readonly members: readonly string[];
  readonly aggregation: SecureAggregation;
  end: { readonly outcome: SecureOutcome } | { readonly failure: string } | undefined;
}

/** One aggregation over the groups of a cohort; over one sum, a single group. */
export class GroupedAggregation {
  readonly #options: GroupedOptions;
  readonly #aggregator: Aggregator;
  readonly #layout: SummedLayout;
  readonly #groups: readonly Group[];
  readonly #groupOf = new Map<string, Group>();

  /** Waits for advertisements from now on. @throws FlError invalid-argument: a plan under which no sum is correct */
  constructor(plan: RoundPlan, options: GroupedOptions) {
    this.#options = options;
    this.#aggregator = plan.kind === 'train' ? options.aggregator : parseAggregator('mean');
    this.#layout = plan.kind === 'train' ? contributionLayout(phaseOfRound(plan.work.phases, plan.round)) : [];
    this.#groups = groupPlansOf(plan).map((own, index) => this.#open(own, index));
    for (const group of this.#groups) for (const member of group.members) this.#groupOf.set(member, group);
  }

  /** Of the frame that carries a masked vector. */
  get maskedBytes(): number {
    return this.#groups[0].aggregation.setup.maskedBytes; // the same in all: 32 bits an element
  }

  /** A frame as it came; a wrong one costs its sender its place and nobody else anything. */
  receive(client: string, frame: Uint8Array): void {
    this.#groupOf.get(client)?.aggregation.receive(client, frame);
  }

  /** The client takes no further part. */
  left(client: string): void {
    this.#groupOf.get(client)?.aggregation.left(client);
  }

  /** A client is back: says again to it what may have been lost. */
  resume(client: string): void {
    this.#groupOf.get(client)?.aggregation.resume(client);
  }

  /** Forgets everything; the listener hears no more. */
  cancel(): void {
    for (const { aggregation } of this.#groups) aggregation.cancel();
  }

  #open(plan: RoundPlan, index: number): Group {
    const { clock, rng, noise, deadlineMs, unmask, listener } = this.#options;
    const end = (how: NonNullable<Group['end']>) => this.#ended(index, how);
    const aggregation = new SecureAggregation(plan, {
      clock,
      deadlineMs,
      unmask,
      rng: rng.split(`group/${index}`),
      noise: noise.split(`group/${index}`),
      listener: {
        send: listener.send,
        dropped: listener.dropped,
        done: (outcome) => end({ outcome }),
        failed: (failure) => end({ failure }),
      },
    });
    return { members: Object.keys(plan.secure?.enrolled ?? {}), aggregation, end: undefined };
  }

  #ended(index: number, how: NonNullable<Group['end']>): void {
    const group = this.#groups[index];
    group.end = how;
    if (this.#groups.every(({ end }) => end !== undefined)) return this.#finish();
    if (!('failure' in how)) return;
    for (const client of group.members) {
      this.#options.listener.dropped(client, 'round-aborted', `its group failed: ${how.failure}`);
    }
  }

  /** Every group has a sum or never will. */
  #finish(): void {
    const { listener, minSurvivors } = this.#options;
    const outcomes = this.#groups.flatMap(({ end }) => (end !== undefined && 'outcome' in end ? [end.outcome] : []));
    const failures = this.#groups.flatMap(({ end }) => (end !== undefined && 'failure' in end ? [end.failure] : []));
    const survivors = outcomes.flatMap((outcome) => outcome.survivors).sort();
    if (survivors.length < minSurvivors) {
      const causes = failures.slice(0, 3).join('; ');
      return listener.failed(causes || `${survivors.length} of at least ${minSurvivors} survivors`);
    }
    try {
      const pooled = sumMetrics(Object.fromEntries(outcomes.map((outcome, i) => [String(i), outcome.pooled])));
      const proofs = outcomes.map(({ proof }) => proof);
      const mean = aggregate(this.#aggregator, outcomes, this.#layout);
      const signs = outcomes.flatMap((outcome) => outcome.withinBound ?? []);
      const withinBound = signs.length === 0 ? undefined : signs.reduce((sum, group) => sum + group, 0);
      const exactness = outcomes.map((outcome) => outcome.exactness).reduce(addExactness);
      listener.done({ survivors, mean, withinBound, pooled, exactness, proofs });
    } catch (error) {
      listener.failed(`secure aggregation: ${FlError.from(error).message}`);
    }
  }
}

/** Groups declare the same metrics. */
function addExactness(left: Exactness, right: Exactness): Exactness {
  const errors = Object.entries(left.errors).map(([name, error]) => [name, error + (right.errors[name] ?? 0)] as const);
  return { errors: Object.fromEntries(errors), tooLarge: left.tooLarge + right.tooLarge };
}
