/** What a plan asks for, done: the model, this client's share and its private tensors go to the trainer, and come back. */

import { FlError } from '../../shared/errors.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { zeroedPart } from '../../shared/run/zeroed.js';
import { type Contribution, contributionLayout, phaseOfRound } from '../../shared/tensors/channels.js';
import { sizeOf } from '../../shared/tensors/params.js';
import type { PrivacyAccount } from '../store/privacy-account.js';
import type { ClientStore } from '../store/updates.js';
import type { TaskOptions, TaskRunner } from '../training/task.js';
import { checkModel } from './plausible.js';
import { noiseKeyOf, privatize } from './privatize.js';

/** What differential privacy needs of a site. */
export interface PrivacySite {
  /** At least 16 bytes, the same after a restart: what noise is drawn from. */
  readonly noiseSecret: Uint8Array;
  /** What this site's examples were charged; absent: nobody counts here. */
  readonly account?: Pick<PrivacyAccount, 'charge'>;
}

/**
 * Both reject with FlError when the model cannot be had or is none that training makes, the trainer fails or the signal
 * fires (aborted). In a protected run numbers that are not finite are zeros, of which the site's own log says why.
 */
export interface Tasks {
  /**
   * Trains; what it gives may leave as it is. Private tensors are on disk when it resolves, and under differential
   * privacy the site's account is charged, before anything that depends on them.
   */
  train(plan: RoundPlan, options: TaskOptions): Promise<Contribution>;
  evaluate(plan: RoundPlan, options: TaskOptions): Promise<SumMetrics>;
}

/** @param modelOf fetches a plan's model, verified */
export function tasksOf(
  about: {
    readonly store: ClientStore;
    readonly trainer: TaskRunner;
    readonly client: string;
    readonly privacy?: PrivacySite;
    readonly slice?: { readonly index: number; readonly count: number };
    readonly notice?: (message: string, fields: object) => void;
  },
  modelOf: (plan: RoundPlan, signal?: AbortSignal) => Promise<Float32Array>,
): Tasks {
  const { store, trainer, client, slice, privacy, notice } = about;

  async function taskFor(plan: RoundPlan, beforeRound: number, options: TaskOptions) {
    const { work, round, modelSha256 } = plan;
    const privateTensors = await store.privateTensorsBefore(plan.run, beforeRound);
    const model = await modelOf(plan, options.signal);
    checkModel(model);
    return {
      work,
      round,
      client,
      model,
      modelSha256,
      slice,
      privateTensors,
    };
  }

  /** What is told outwards is a part of a sum, or nothing. */
  function zeroedOf({ run, kind, round, work }: RoundPlan, cause: string | undefined): SumMetrics {
    if (cause !== undefined) notice?.('zeros are sent', { run, kind, round, cause });
    return zeroedPart(work, cause !== undefined);
  }

  return {
    async train(plan, options) {
      const secret = plan.work.privacy && secretOf(privacy);
      const task = {
        kind: 'train' as const,
        ...(await taskFor(plan, plan.round, options)),
        noiseKey: secret && noiseKeyOf(plan, secret),
      };
      const { contribution: trained, privateTensors, zeroed } = await trainer.run(task, options);
      checkSize(plan, trained.values);
      const contribution = { ...trained, metrics: { ...trained.metrics, ...zeroedOf(plan, zeroed) } };
      if (privateTensors !== undefined) await store.keepPrivateTensors(plan.run, plan.round, privateTensors);
      if (secret === undefined) return contribution;
      await privacy?.account?.charge(plan);
      return privatize(plan, contribution, secret);
    },
    async evaluate(plan, options) {
      const task = { kind: 'evaluate' as const, ...(await taskFor(plan, plan.round + 1, options)) };
      const { metrics, zeroed } = await trainer.run(task, options);
      return { ...metrics, ...zeroedOf(plan, zeroed) };
    },
  };
}

function secretOf(privacy: PrivacySite | undefined): Uint8Array {
  if (privacy !== undefined) return privacy.noiseSecret;
  throw new FlError('failed-precondition', 'privacy: expected a secret for noise at this client, got none');
}

function checkSize(plan: RoundPlan, values: Float32Array): void {
  const size = sizeOf(contributionLayout(phaseOfRound(plan.work.phases, plan.round)));
  if (values.length === size) return;
  throw new FlError('internal', `contribution: expected ${size} numbers, got ${values.length}`);
}
