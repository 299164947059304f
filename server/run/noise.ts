/**
 * The coordinator's noise on the sums of a run under central privacy. It is drawn from a secret of the run alone, 32 fresh
 * bytes in `noise.key` (mode 0600) until the run is completed: whoever comes for the coordinator's keys later cannot take
 * the noise off its models. A run that failed or was stopped may be resumed, and keeps it.
 */
import { join } from 'node:path';
import { type Files, systemFiles } from '../../shared/disk/files.js';
import { readSecret, writeSecret } from '../../shared/disk/secrets.js';
import { FlError } from '../../shared/errors.js';
import { type Rng, rngFromEntropy, rngFromKey } from '../../shared/rng.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { WorkSpec } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';

/** In a run's directory. */
export const NOISE_FILE = 'noise.key';

/** Noise by plan. */
export interface RunNoise {
  /** Equal after a crash, fresh for each attempt; a tree's spans the run. */
  noiseOf(plan: RoundPlan): Rng;
  /** No noise is drawn any more: the secret is gone when it resolves. */
  erase(): Promise<void>;
}

/** Makes the secret of a new run, durably; none where no noise is the coordinator's. */
export async function createNoise(directory: string, work: WorkSpec, files: Files): Promise<void> {
  if (work.privacy?.mode !== 'central') return;
  await writeSecret(join(directory, NOISE_FILE), rngFromEntropy().bytes(32), { files });
}

/** Of a run that an earlier process left; `isOver`: completed, so that a crash may have come before the erasure. */
export async function openNoise(directory: string, identity: Identity, isOver: boolean): Promise<RunNoise> {
  const secret = await readSecret(join(directory, NOISE_FILE));
  if (secret === undefined) return seededNoise(identity); // version 0.1 began it, or a simulation
  const noise = secretNoise(directory, secret);
  if (isOver) await noise.erase();
  return noise;
}

/**
 * Noise that follows from the coordinator's key: of a simulation, and of runs that version 0.1 began, whose tree must go on
 * as it grew. A signature that is shown to nobody is as secret as the key that it takes to make it.
 */
export function seededNoise(identity: Identity | undefined): RunNoise {
  return {
    noiseOf(plan) {
      if (identity === undefined) return rngFromEntropy(); // asked for with every plan, used by none
      return rngFromKey(identity.sign(signedBytes('noise', labelOf(plan))), 'coordinator noise');
    },
    erase: async () => undefined,
  };
}

function secretNoise(directory: string, secret: Uint8Array): RunNoise {
  let isErased = false;
  return {
    noiseOf(plan) {
      if (isErased) throw new FlError('failed-precondition', `run ${plan.run}: its noise is over`);
      return rngFromKey(secret, `coordinator noise/${canonicalJson(labelOf(plan))}`);
    },
    async erase() {
      isErased = true;
      secret.fill(0);
      if (!(await systemFiles.list(directory)).includes(NOISE_FILE)) return;
      await systemFiles.remove(join(directory, NOISE_FILE));
      await systemFiles.syncDirectory(directory);
    },
  };
}

function labelOf({ run, kind, round, attempt, modelSha256, work }: RoundPlan) {
  return work.privacy?.tree === undefined ? { run, kind, round, attempt, modelSha256 } : { run, kind };
}
