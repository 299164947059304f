/**
 * What a run is asked to do: the part that every client is told, and the part that only the coordinator uses. A
 * specification is checked where it enters the coordinator: it may come from a version that is older, newer or somebody
 * else's.
 *
 * On the wire and on disk the second part repeats the rounds, the seed and whether sums are secure, for the round engine
 * is told nothing of the first. In memory a run says them once; {@link storedSpec} and {@link readSpec} are the way there
 * and back.
 */
import { z } from 'zod';
import { invalidArgument } from '../errors.js';
import { HEX_32_BYTES } from '../hex.js';
import { checkAgainst, type Infer } from '../schema.js';
import { phaseSpec, UPDATE_CHANNEL } from '../tensors/channels.js';
import { parseCodec } from '../tensors/codecs/index.js';
import { layoutOf, tensorSpec } from '../tensors/params.js';
import { figuresSpec } from './figures.js';
import {
  clientNames,
  count,
  ENGINE_SETTINGS,
  fieldsOf,
  hyper,
  PRIVACY_SETTINGS,
  rate,
  SECURE_SETTINGS,
  TRAINING_SETTINGS,
  validationFraction,
} from './settings.js';
import { stopWhenSpec } from './stop-when.js';

const trainingSpec = z.strictObject({
  /** Exactly one of the two is set. */
  localEpochs: count.optional(),
  localSteps: count.optional(),
  ...fieldsOf(TRAINING_SETTINGS),
  /** FedProx (Li et al. 2020): weight mu of (mu/2)·|local − global|²; 0 switches it off. */
  proximalMu: z.number().min(0),
});

const maskedMetric = z.strictObject({
  name: z.string().min(1).max(128),
  /** Length of its vector of sums. */
  size: z.int().min(1).max(65_536),
  /** Largest magnitude that one example adds to one sum; what is larger is clamped. */
  max: z.number().positive(),
});

const secureSpec = z.strictObject({
  ...fieldsOf(SECURE_SETTINGS),
  /** Fewest clients in a sum; a client signs no smaller survivor set. */
  survivorsMin: z.int().min(2),
  /** Time for each exchange of keys, shares and signatures. */
  phaseDeadlineMs: z.int().min(1),
  /** Least clients in one sum, when a cohort trains in groups; absent: one sum over all. */
  groupSize: z.int().min(3).optional(),
  trainMetrics: z.array(maskedMetric).max(64),
  testMetrics: z.array(maskedMetric).max(64),
});

const privacySpec = z.strictObject({
  /** Who adds noise: the coordinator to the sum; all clients together inside the masked sum; each to its own update or steps. */
  mode: z.enum(['central', 'distributed', 'local', 'example']),
  /** L2 norm that one unit is clipped to: a client's update, or an example's gradient. Under `adaptive`, in round 1. */
  clippingBound: z.number().positive(),
  ...fieldsOf(PRIVACY_SETTINGS),
  /** Client-level modes: most clients in a sum, which is what the integers are sized for. */
  cohortMax: count.optional(),
  /** Client-level modes: the bound follows the median norm of updates (Andrew et al. 2021). */
  adaptive: z.boolean().optional(),
  /**
   * `central` only: noise that is correlated over rounds (DP-FTRL, Kairouz et al. 2021), which pays where a client takes part
   * seldom. Two rounds of one client are at least `separation` apart.
   */
  tree: z.strictObject({ separation: count }).optional(),
  /**
   * `example` only: test figures are noised and charged, each client's by itself. Absent: they are exact, and no ε counts
   * them. `evaluations` are the most that the run makes.
   */
  tests: z
    .strictObject({ noiseMultiplier: rate, evaluations: count, metrics: z.array(maskedMetric).min(1).max(64) })
    .optional(),
});

/** Of {@link WorkSpec}. */
export const workSpec = z.strictObject({
  workload: z.string().min(1).max(200),
  /** Of its code, as whoever started the run has it (client/workloads/code.ts); absent: any code of that name. */
  workloadSha256: z.string().regex(HEX_32_BYTES).optional(),
  scale: z.string().min(1).max(20),
  hyper,
  training: trainingSpec,
  /**
   * Of the training examples, held out to choose a model by, unless the site decides otherwise; absent: none, or a split of
   * the workload's own.
   */
  validationFraction: validationFraction.optional(),
  /** How a data set that many clients share is divided between them: iid, dirichlet:A, shards:K, natural. */
  partition: z.string(),
  seed: z.int(),
  rounds: count,
  phases: z.array(phaseSpec).min(1),
  /** The shared tensors of the model, in manifest order. */
  model: z.array(tensorSpec).min(1),
  /** SHA-256 of the parameters that round 1 starts from; absent: those that the workload makes from `seed`. */
  initialModel: z.string().regex(HEX_32_BYTES).optional(),
  /** Absent: the coordinator sees each update. */
  secure: secureSpec.optional(),
  /** Absent: no noise is added. */
  privacy: privacySpec.optional(),
  /** How updates are encoded on their way up (shared/tensors/codecs); absent: float32 as they are. */
  compression: z.string().max(64).optional(),
});

const ownEngineSpec = z.strictObject({
  cohort: count,
  ...fieldsOf(ENGINE_SETTINGS),
  strategy: z.string(),
  /** The labs that the run may use; to any other it is not known. Absent: all that are enrolled. */
  clients: clientNames.optional(),
  /** Secure aggregation without privacy: the value range of a round is what the last one would have needed, if it clamped. */
  adaptiveRange: z.boolean().optional(),
  /** How figures are made of test metrics; absent: their means are all there is. */
  figures: figuresSpec.optional(),
  /** Absent: the run goes to its last round, and no model but the last is kept. */
  stopWhen: stopWhenSpec.optional(),
});

const engineSpec = ownEngineSpec.extend({
  rounds: count,
  seed: z.int(),
  /** Whether rounds go through secure aggregation; then `work.secure` says how. */
  secure: z.boolean().optional(),
});

const runSpec = z.strictObject({ work: workSpec, engine: ownEngineSpec });
const storedRunSpec = z.strictObject({ work: workSpec, engine: engineSpec });

/** Local training on one client, all of it engine-side (a workload only gives the loss). */
export interface TrainingSpec extends Infer<typeof trainingSpec> {}

/** A workload's own settings, by name. */
export type Hyper = Infer<typeof hyper>;

/** One of them. */
export type HyperValue = Hyper[string];

/** A metric that travels inside the masked vector: its sums, then its count. */
export interface MaskedMetric extends Infer<typeof maskedMetric> {}

/** Secure aggregation of a run: the coordinator learns sums over the survivors of a round and nothing of one client. */
export interface SecureSpec extends Infer<typeof secureSpec> {}

/**
 * Differential privacy of a run: whose noise, and on what. Under `central`, `distributed` and `local` the unit is a client
 * (its whole update is clipped and noised); under `example` it is one example of a client (DP-SGD, Abadi et al. 2016).
 */
export interface PrivacySpec extends Infer<typeof privacySpec> {}

/** The part of a run that every client is told, so that all train the same thing. */
export interface WorkSpec extends Infer<typeof workSpec> {}

/** All that the round engine is told of a run. */
export interface EngineSpec extends Infer<typeof engineSpec> {}

/** All of a run. */
export interface RunSpec extends Infer<typeof runSpec> {}

/** A run as it is sent and stored; its canonical JSON is what the ledger begins with. */
export interface StoredRunSpec extends Infer<typeof storedRunSpec> {}

/** Whether nothing of a single client or example may leave but what the run's protection lets out: also when a client fails. */
export function isProtected({ secure, privacy }: Pick<WorkSpec, 'secure' | 'privacy'>): boolean {
  return secure !== undefined || privacy !== undefined;
}

/** What is sent, stored and hashed for a run. */
export function storedSpec({ work, engine }: RunSpec): StoredRunSpec {
  const { rounds, seed, secure } = work;
  return { work, engine: { ...engine, rounds, seed, secure: secure !== undefined } };
}

/** The run of what an earlier process has stored. @throws FlError invalid-argument: its two parts contradict each other */
export function specOf({ work, engine: { rounds, seed, secure = false, ...engine } }: StoredRunSpec): RunSpec {
  const same = (key: string, expected: unknown, got: unknown) => {
    if (expected !== got) throw invalidArgument(`engine.${key}`, `${expected}, as in work`, got);
  };
  same('rounds', work.rounds, rounds);
  same('seed', work.seed, seed);
  same('secure', work.secure !== undefined, secure);
  return { work, engine };
}

/** The run of what came from elsewhere. @throws FlError invalid-argument naming the first field that is wrong */
export function readSpec(stored: unknown): RunSpec {
  checkAgainst(storedRunSpec, stored, 'run spec');
  const spec = specOf(stored);
  checkRunSpec(spec);
  return spec;
}

/** @throws FlError invalid-argument naming the first field that is wrong. */
export function checkRunSpec(spec: unknown): asserts spec is RunSpec {
  checkAgainst(runSpec, spec, 'run spec');
  const { work, engine } = spec;
  const { cohort, minSurvivors, minClients, evaluateClients } = engine;
  const { survivorsMin = 0, groupSize = 0 }: Partial<SecureSpec> = work.secure ?? {};
  const { clients } = engine;
  if (clients !== undefined && clients.length < minClients) {
    throw invalidArgument('minClients', `at most as many as the run names (${clients.length})`, minClients);
  }
  if (minSurvivors > cohort) throw invalidArgument('minSurvivors', `at most the cohort (${cohort})`, minSurvivors);
  if (minClients < minSurvivors)
    throw invalidArgument('minClients', `at least minSurvivors (${minSurvivors})`, minClients);
  if (evaluateClients > 0 && evaluateClients < survivorsMin) {
    const expected = `0 (all) or at least survivorsMin (${survivorsMin}), as they are in a secure sum too`;
    throw invalidArgument('evaluateClients', expected, evaluateClients);
  }
  if (groupSize > cohort) throw invalidArgument('groupSize', `at most the cohort (${cohort})`, groupSize);
  layoutOf(work.model);
  checkCompression(work);
}

/** What an encoding loses must be lost of a plain update, and of nothing that has to stay exact. */
function checkCompression({ compression, secure, privacy, phases }: WorkSpec): void {
  if (compression === undefined) return;
  parseCodec(compression);
  const refuse = (why: string) => {
    throw invalidArgument('compression', why, compression);
  };
  if (secure !== undefined) {
    refuse(
      'none with secure-aggregation, whose masked numbers look like random bits and cannot be shortened; fewer rounds with more local-epochs send less',
    );
  }
  if (privacy !== undefined && privacy.mode !== 'example') {
    refuse(`none with privacy ${privacy.mode}, whose updates are whole numbers that must arrive as they were noised`);
  }
  const channels = phases.flatMap((phase) => phase.channels.map(({ name }) => name));
  const other = channels.find((name) => name !== UPDATE_CHANNEL);
  if (other !== undefined) refuse(`none with a workload that sends more than updates (${other})`);
}
