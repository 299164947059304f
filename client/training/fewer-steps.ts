/**
 * A site that takes fewer steps than a round asks for, within what it allows, instead of none.
 *
 * A mean of updates of unlike length finds the minimum of another objective: who takes fewer steps pulls less (Wang, Liu,
 * Liang, Joshi, Poor 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization",
 * arXiv:2007.07481, theorem 1). So the update is brought to the length that was asked for before it leaves, by FedNova's
 * a(asked) / a(taken), with its weight as it is (equation 6 and section 4: the normalised direction times the effective
 * steps; a is the sum of the weights that gradients have in an update). This is done at the site, so that a masked sum is
 * all that anybody sees of it. FedProx takes partial work as it comes (Li et al. 2020, arXiv:1812.06127, section 3.2 and
 * algorithm 2): its proximal term is what keeps unlike work together, so there nothing is lengthened.
 */
import { dpSteps } from '../../shared/run/privacy-steps.js';
import type { PrivacySpec, TrainingSpec } from '../../shared/run/spec.js';
import { countSteps } from './local-sgd.js';

/** The most that a site does in one round. */
export interface MostSteps {
  /** Of a plan that asks for epochs. */
  readonly localEpochs?: number;
  readonly localSteps?: number;
}

/** What is done of a round's work. */
export interface FewerSteps {
  readonly training: TrainingSpec;
  readonly taken: number;
  readonly asked: number;
  /** What the update is multiplied by. */
  readonly scale: number;
}

/** Undefined: what is asked for is allowed, and done. @param examples training examples of this client */
export function fewerSteps(
  { training, privacy }: { readonly training: TrainingSpec; readonly privacy?: PrivacySpec },
  examples: number,
  most: MostSteps = {},
): FewerSteps | undefined {
  const rate = privacy?.mode === 'example' ? privacy.samplingRate : undefined;
  const stepsOf = (of: TrainingSpec) => (rate === undefined ? countSteps(of, examples) : dpSteps(of, rate));
  const { localEpochs, localSteps: _, ...rest } = training;
  const asked = stepsOf(training);
  const inEpochs =
    localEpochs === undefined
      ? asked
      : stepsOf({ ...rest, localEpochs: Math.min(localEpochs, most.localEpochs ?? localEpochs) });
  const taken = Math.min(asked, inEpochs, most.localSteps ?? asked);
  if (taken >= asked) return undefined;
  const scale = training.proximalMu > 0 ? 1 : gradientsIn(asked, training) / gradientsIn(taken, training);
  return { training: { ...rest, localSteps: taken }, taken, asked, scale };
}

/** FedNova's a of so many steps with momentum: 1 for each gradient, and what later steps carry on of it. */
function gradientsIn(steps: number, { momentum }: Pick<TrainingSpec, 'momentum'>): number {
  return (steps - (momentum * (1 - momentum ** steps)) / (1 - momentum)) / (1 - momentum);
}
