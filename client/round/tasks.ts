/** What a plan asks for, done: the model, this client's share and its private tensors go to the trainer, and come back. */

import { FlError } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { clippedWords } from '../../shared/run/lossy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { zeroedPart } from '../../shared/run/zeroed.js';
import { type Contribution, contributionLayout, phaseOfRound } from '../../shared/tensors/channels.js';
import { sizeOf } from '../../shared/tensors/params.js';
import type { ClientStore } from '../store/updates.js';
import type { SiteRules, TaskOptions, TaskRunner } from '../training/task.js';
import { checkModel } from './plausible.js';
import { type PrivacySite, privatize, releaseOnce } from './privatize.js';

/**
 * Both reject with FlError when the model cannot be had or is none that training makes, the trainer fails or the signal
 * fires (aborted). In a protected run numbers that are not finite are zeros, of which the site's own log says why.
 */
export interface Tasks {
  /**
   * Trains; what it gives may leave as it is. Private tensors are on disk when it resolves, and under differential privacy
   * the release is, and its charge. A release that is kept is given again, and nothing is trained.
   */
  train(plan: RoundPlan, options: TaskOptions): Promise<Contribution>;
  /** Where test figures are noised, they are a release like that of a round. */
  evaluate(plan: RoundPlan, options: TaskOptions): Promise<SumMetrics>;
}

/** Of a release that is figures alone. */
const NOTHING = { values: new Float32Array(0), weights: [] };

/** @param modelOf fetches a plan's model, verified */
export function tasksOf(
  about: {
    readonly store: ClientStore;
    readonly trainer: TaskRunner;
    readonly client: string;
    readonly privacy?: PrivacySite;
    readonly slice?: { readonly index: number; readonly count: number };
    readonly site?: SiteRules;
    readonly notice?: (message: string, fields: object) => void;
  },
  modelOf: (plan: RoundPlan, signal?: AbortSignal) => Promise<Float32Array>,
): Tasks {
  const { store, trainer, client, slice, site, privacy, notice } = about;

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
      site,
      privateTensors,
    };
  }

  /** What is told outwards is a part of a sum, or nothing. */
  function zeroedOf({ run, kind, round, work }: RoundPlan, cause: string | undefined): SumMetrics {
    if (cause !== undefined) notice?.('zeros are sent', { run, kind, round, cause });
    return zeroedPart(work, cause !== undefined);
  }

  /** @param noise what example-level privacy draws from */
  async function train(plan: RoundPlan, options: TaskOptions, noise?: Rng): Promise<Contribution> {
    const noiseKey = plan.work.privacy?.mode === 'example' ? noise?.bytes(32) : undefined;
    const task = { kind: 'train' as const, ...(await taskFor(plan, plan.round, options)), noiseKey };
    const { contribution, privateTensors, zeroed, fewer } = await trainer.run(task, options);
    if (fewer !== undefined) notice?.('fewer steps', { run: plan.run, round: plan.round, ...fewer });
    checkSize(plan, contribution.values);
    if (privateTensors !== undefined) await store.keepPrivateTensors(plan.run, plan.round, privateTensors);
    return { ...contribution, metrics: { ...contribution.metrics, ...zeroedOf(plan, zeroed) } };
  }

  /** @param noise what the noise of test figures is drawn from */
  async function evaluate(plan: RoundPlan, options: TaskOptions, noise?: Rng): Promise<SumMetrics> {
    const noiseKey = noise?.bytes(32);
    const task = { kind: 'evaluate' as const, ...(await taskFor(plan, plan.round + 1, options)), noiseKey };
    const { metrics, zeroed } = await trainer.run(task, options);
    return { ...metrics, ...zeroedOf(plan, zeroed) };
  }

  return {
    async train(plan, options) {
      if (plan.work.privacy === undefined) return train(plan, options);
      const draw = async (noise: Rng) => {
        const contribution = await train(plan, options, noise);
        const words = clippedWords(plan, contribution.values);
        if (words !== undefined) notice?.('lossy', { run: plan.run, kind: plan.kind, round: plan.round, cause: words });
        return privatize(plan, contribution, noise);
      };
      return releaseOnce(plan, siteOf(privacy), draw);
    },
    async evaluate(plan, options) {
      if (plan.work.privacy?.tests === undefined) return evaluate(plan, options);
      const draw = async (noise: Rng) => ({ ...NOTHING, metrics: await evaluate(plan, options, noise) });
      return (await releaseOnce(plan, siteOf(privacy), draw)).metrics;
    },
  };
}

function siteOf(privacy: PrivacySite | undefined): PrivacySite {
  if (privacy !== undefined) return privacy;
  throw new FlError('failed-precondition', 'privacy: expected a source of noise at this client, got none');
}

function checkSize(plan: RoundPlan, values: Float32Array): void {
  const size = sizeOf(contributionLayout(phaseOfRound(plan.work.phases, plan.round)));
  if (values.length === size) return;
  throw new FlError('internal', `contribution: expected ${size} numbers, got ${values.length}`);
}
