/** How a configuration, a workload's scale and the defaults make one complete specification. */
import { parseScheme } from '../../client/data/partition.js';
import { checkExamplePrivacy } from '../../client/training/dp-sgd.js';
import { initialModel } from '../../client/training/task.js';
import type { Scale, Workload } from '../../client/workload.js';
import { parseStrategy } from '../../server/strategies/index.js';
import { checkAggregator } from '../../server/updates/check-aggregator.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { exactMetrics } from '../../shared/run/exact-metrics.js';
import { lossyMetrics } from '../../shared/run/lossy.js';
import { validationName } from '../../shared/run/metrics.js';
import { checkPrivacySpec } from '../../shared/run/privacy-cost.js';
import { checkSecureSpec } from '../../shared/run/secagg-params.js';
import {
  type Config,
  configSchema,
  ENGINE_SETTINGS,
  givenOf,
  SECURE_SETTINGS,
  TRAINING_SETTINGS,
} from '../../shared/run/settings.js';
import {
  checkRunSpec,
  type Hyper,
  type HyperValue,
  type MaskedMetric,
  type RunSpec,
  type SecureSpec,
  type TrainingSpec,
} from '../../shared/run/spec.js';
import { zeroedMetrics } from '../../shared/run/zeroed.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { type Params, packTensors } from '../../shared/tensors/params.js';
import { type StartFile, startModel } from '../../shared/tensors/start-model.js';
import { checkYaml } from '../../shared/yaml.js';
import { figuresOfWorkload } from './figures.js';
import { inKeys } from './in-keys.js';
import { privacyOf } from './privacy.js';
import { stopWhenOf } from './stop-when.js';

/** @throws FlError invalid-argument naming the key, what was expected and what came. */
export function checkConfig(value: unknown, source: string): Config {
  return checkYaml(configSchema, value, source);
}

/** A run that can be started. */
export interface Resolved {
  readonly spec: RunSpec;
  readonly model: Params;
  /** Virtual clients of a simulation, or of a demo on one machine. */
  readonly clients: number;
}

const TRAINING_DEFAULTS = {
  momentum: 0,
  weightDecay: 0,
  gradientClipNorm: 0,
  lrSchedule: 'constant',
  proximalMu: 0,
} as const;
const ENGINE_DEFAULTS = {
  overSelection: 0,
  deadlineMs: 600_000,
  maxAttempts: 5,
  evaluateEvery: 1,
  evaluateClients: 0,
} as const;
/** The bound is felt where a client that is older than exact metrics takes part. */
const TRAIN_LOSS: MaskedMetric = { name: 'loss', size: 1, max: 16 };
/** What small cohorts of known labs need: who may collude and drop out decides the graph. */
const SECURE_DEFAULTS = { valueRange: 1, weightCap: 1024, adversaryFraction: 0.05, dropFraction: 0.05 } as const;

/** @throws FlError invalid-argument: a key of secure aggregation without it */
function isSecure(config: Config): boolean {
  const secure = config['secure-aggregation'] ?? false;
  if (secure || config['secure-groups'] === undefined) return secure;
  throw invalidArgument('secure-groups', 'secure-aggregation to be on', 'off');
}

/**
 * Fills what the user left open from the workload's scale, and makes the initial model.
 * @param about.leastSurvivors fewest that make a round unless the user says; of a secure one two anyway
 * @param about.initialModel the file that the configuration names (initial-model.ts)
 */
export function resolve(
  config: Config,
  workload: Workload,
  about: { readonly leastSurvivors?: number; readonly initialModel?: StartFile } = {},
): Resolved {
  const { manifest } = workload;
  const scale = manifest.scales[config.scale];
  const named = typeof config.clients === 'number' ? undefined : config.clients;
  const clients = named?.length ?? (config.clients as number | undefined) ?? scale.clients;
  const cohort = config.cohort ?? Math.min(scale.cohort, clients);
  if (cohort > clients) throw invalidArgument('cohort', `at most clients (${clients})`, cohort);
  const rounds = config.rounds ?? scale.rounds;
  const partition = config.partition ?? scale.partition;
  parseScheme(partition); // now, and not on every client
  const hyper = hyperOf(scale.hyper, config.hyper, manifest.name);
  const own = packTensors(initialModel(workload, { hyper, seed: config.seed }).shared);
  const model = about.initialModel === undefined ? own : startModel(about.initialModel, own.layout);
  const tensors = model.layout.map(({ name, shape }) => ({ name, shape }));
  const phases = manifest.phases?.(hyper, tensors) ?? [{ name: 'train', channels: [updateChannel(tensors)] }];
  const strategy = strategyOf(config, scale);
  const secure = isSecure(config);
  const least = Math.max(secure ? 2 : 1, Math.min(about.leastSurvivors ?? 1, cohort));
  const minSurvivors = config['min-survivors'] ?? Math.max(least, Math.ceil(cohort / 2));
  const cohortMax = Math.ceil(cohort * (1 + (config['over-selection'] ?? 0)));
  const privacy = privacyOf(
    config,
    workload,
    { clients, cohort, cohortMax },
    { rounds, hyper, evaluateEvery: config['evaluate-every'] ?? ENGINE_DEFAULTS.evaluateEvery },
  );
  const validation = validationOf(config, workload);
  // whoever says a range means it; under privacy nobody knows what it clamps
  const adapts = secure && privacy === undefined && config['value-range'] === undefined;
  const { compression = 'none' } = config; // without it a specification is what it was
  const figures = figuresOfWorkload(workload, hyper).spec;
  const spec: RunSpec = {
    work: {
      workload: manifest.name,
      scale: config.scale,
      hyper,
      training: { ...trainingOf(config, scale), ...parseStrategy(strategy).clientTerm },
      partition,
      seed: config.seed,
      rounds,
      phases,
      model: tensors,
      ...validation.ofWork,
      ...(about.initialModel && { initialModel: sha256Of(model) }),
      ...(secure && { secure: secureOf(config, workload, hyper, { cohort, minSurvivors, ...validation }) }),
      ...(privacy && { privacy }),
      ...(compression !== 'none' && { compression }),
    },
    engine: {
      cohort,
      strategy,
      ...ENGINE_DEFAULTS,
      minClients: cohort,
      minSurvivors,
      ...givenOf(config, ENGINE_SETTINGS),
      ...(named && { clients: named }),
      ...(adapts && { adaptiveRange: true }),
      figures,
      ...stopWhenOf(config, workload, { hyper, figures, ...validation }),
    },
  };
  inKeys(() => checkSpec(spec));
  if (privacy?.mode === 'example') checkExamplePrivacy(workload);
  return { spec, model, clients };
}

/** @throws FlError invalid-argument naming fields */
function checkSpec(spec: RunSpec): void {
  checkRunSpec(spec);
  checkSecureSpec(spec);
  checkAggregator(spec);
  checkPrivacySpec(spec);
}

interface Validation {
  /** Whether labs are asked for validation figures, which are of examples that do not train. */
  readonly hasValidation: boolean;
  readonly ofWork?: { readonly validationFraction: number };
}

/** @throws FlError invalid-argument: of two validation splits one would be idle, or figures would leave without noise */
function validationOf(config: Config, { manifest, validation }: Workload): Validation {
  const fraction = config['validation-fraction'];
  const isNoised = config['test-noise-multiplier'] !== undefined;
  checkTuning(config, validation !== undefined);
  if (fraction === undefined) return { hasValidation: validation !== undefined && !isNoised };
  const field = 'validation-fraction';
  if (validation !== undefined) {
    throw invalidArgument(field, `none, for ${manifest.name} has a validation split of its own`, fraction);
  }
  if (isNoised) {
    throw invalidArgument(field, 'none with test-noise-multiplier, which noises test figures and no others', fraction);
  }
  return { hasValidation: true, ofWork: { validationFraction: fraction } };
}

/** @throws FlError invalid-argument: rates would be chosen on nothing */
function checkTuning(config: Config, hasSplit: boolean): void {
  if (config.baselines !== 'tuned' || hasSplit || config['validation-fraction'] !== undefined) return;
  throw invalidArgument(
    'baselines',
    'validation-fraction beside tuned, for rates are chosen on validation examples',
    'none',
  );
}

function secureOf(
  config: Config,
  { manifest }: Workload,
  hyper: Hyper,
  { cohort, minSurvivors, hasValidation }: { cohort: number; minSurvivors: number; hasValidation: boolean },
): SecureSpec {
  if (cohort < 3) throw invalidArgument('cohort', 'at least 3 with secure-aggregation', cohort);
  const groupSize = config['secure-groups'];
  if (groupSize === undefined && minSurvivors < 2) {
    throw invalidArgument('min-survivors', 'at least 2 with secure-aggregation: a sum of one is no sum', minSurvivors);
  }
  const ofTests = manifest.maskedMetrics?.(hyper);
  if (ofTests === undefined) {
    const line = `maskedMetrics: () => [{ name: 'METRIC', size: 1, max: MOST_OF_ONE_EXAMPLE }]`;
    throw new FlError(
      'invalid-argument',
      `secure-aggregation: expected ${manifest.name} to say in its manifest how large each metric can be, got nothing; ` +
        `add "${line}" (docs/workloads.md), or set secure-aggregation: false`,
    );
  }
  const ofValidation = ofTests.map((metric) => ({ ...metric, name: validationName(metric.name) }));
  const testMetrics = hasValidation ? [...ofTests, ...ofValidation] : ofTests;
  const clientLevel = config.privacy !== 'none' && config.privacy !== 'example';
  // A group may lose as large a part of itself as the cohort.
  const survivorsMin =
    groupSize === undefined ? minSurvivors : Math.max(2, Math.ceil((groupSize * minSurvivors) / cohort));
  const secure = {
    ...SECURE_DEFAULTS,
    ...givenOf(config, SECURE_SETTINGS),
    ...(clientLevel && { weightCap: 1 }), // as a whole, a client weighs 1; with examples behind it, as many as it has
  };
  const zeroed = zeroedMetrics(secure.weightCap);
  const isPrivate = config.privacy !== 'none';
  return {
    ...secure,
    survivorsMin,
    ...(groupSize !== undefined && { groupSize }),
    phaseDeadlineMs: Math.min(60_000, config['deadline-ms'] ?? 60_000),
    trainMetrics: isPrivate
      ? []
      : [TRAIN_LOSS, zeroed.train, ...exactMetrics('train', [TRAIN_LOSS]), ...lossyMetrics()],
    testMetrics: isPrivate ? [...testMetrics] : [...testMetrics, zeroed.test, ...exactMetrics('test', testMetrics)],
  };
}

function hyperOf(defaults: Hyper, given: Hyper, workload: string): Hyper {
  for (const [key, value] of Object.entries(given)) {
    const known: HyperValue | undefined = defaults[key];
    if (known === undefined) {
      throw invalidArgument(
        `hyper.${key}`,
        `a key of ${workload}: ${Object.keys(defaults).join(', ')}`,
        'an unknown key',
      );
    }
    if (typeof known !== typeof value) throw invalidArgument(`hyper.${key}`, `a ${typeof known}`, value);
  }
  return { ...defaults, ...given };
}

function trainingOf(config: Config, scale: Scale): TrainingSpec {
  const { localEpochs, localSteps, ...rest } = scale.training;
  const duration = durationOf(config, { localEpochs, localSteps });
  return { ...TRAINING_DEFAULTS, ...rest, ...duration, ...givenOf(config, TRAINING_SETTINGS) };
}

/** Exactly one of epochs and steps: what the user said, else what the scale says, else one epoch. */
function durationOf(
  config: Config,
  scale: Pick<TrainingSpec, 'localEpochs' | 'localSteps'>,
): Pick<TrainingSpec, 'localEpochs' | 'localSteps'> {
  const epochs = config['local-epochs'];
  const steps = config['local-steps'];
  if (epochs !== undefined && steps !== undefined) {
    throw invalidArgument('local-epochs and local-steps', 'one of the two', 'both');
  }
  if (epochs !== undefined) return { localEpochs: epochs };
  if (steps !== undefined) return { localSteps: steps };
  if (scale.localSteps !== undefined) return { localSteps: scale.localSteps };
  return { localEpochs: scale.localEpochs ?? 1 };
}

function strategyOf(config: Config, scale: Scale): string {
  const strategy = config.strategy ?? scale.strategy ?? 'fedavg';
  const lr = config['server-lr'];
  if (lr === undefined) return strategy;
  return `${strategy}${strategy.includes(':') ? ',' : ':'}lr=${lr}`;
}
