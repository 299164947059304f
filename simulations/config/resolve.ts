/**
 * The configuration of a run: the keys of CONFIG.yaml, which are the options of `starling simulate` too, and how they,
 * a workload's scale and the defaults make one complete specification. Unknown keys are errors.
 */
import { z } from 'zod';
import { parseScheme } from '../../client/data/partition.js';
import { initialModel } from '../../client/training/task.js';
import type { Scale, Workload } from '../../client/workload.js';
import { parseStrategy } from '../../server/strategies/index.js';
import { checkAggregator } from '../../server/updates/check-aggregator.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Hyper, HyperValue, RunSpec, SecureSpec, TrainingSpec } from '../../shared/run/plan.js';
import { checkPrivacySpec } from '../../shared/run/privacy-cost.js';
import { checkRunSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { type Params, packTensors } from '../../shared/tensors/params.js';
import { checkYaml } from '../../shared/yaml.js';
import { privacyOf } from './privacy.js';

const count = z.int().min(1);
const hyperValue = z.union([z.number(), z.string(), z.boolean()]);

export const configSchema = z.strictObject({
  workload: z.string(),
  scale: z.enum(['smoke', 'demo', 'full']).default('demo'),
  clients: count.optional(),
  cohort: count.optional(),
  rounds: count.optional(),
  'local-epochs': count.optional(),
  'local-steps': count.optional(),
  'batch-size': count.optional(),
  'client-lr': z.number().positive().optional(),
  'server-lr': z.number().positive().optional(),
  momentum: z.number().min(0).lt(1).optional(),
  'weight-decay': z.number().min(0).optional(),
  'gradient-clip-norm': z.number().min(0).optional(),
  'lr-schedule': z.enum(['constant', 'cosine']).optional(),
  strategy: z.string().optional(),
  partition: z.string().optional(),
  hyper: z.record(z.string(), hyperValue).default({}),
  'over-selection': z.number().min(0).optional(),
  'min-clients': count.optional(),
  'min-survivors': count.optional(),
  'deadline-ms': count.optional(),
  'max-attempts': count.optional(),
  'evaluate-every': z.int().min(0).optional(),
  'evaluate-clients': z.int().min(0).optional(),
  'secure-aggregation': z.boolean().optional(),
  'secure-groups': z.int().min(3).optional(),
  aggregator: z.string().optional(),
  'value-range': z.number().positive().default(1),
  'weight-cap': count.default(1024),
  'adversary-fraction': z.number().min(0).lt(1).optional(),
  'drop-fraction': z.number().min(0).lt(1).optional(),
  dropout: z.number().min(0).max(1).default(0),
  privacy: z.enum(['none', 'central', 'distributed', 'local', 'example']).default('none'),
  'noise-multiplier': z.number().positive().optional(),
  'clipping-bound': z.union([z.number().positive(), z.literal('adaptive')]).optional(),
  delta: z.number().gt(0).lt(1).optional(),
  'epsilon-budget': z.number().positive().optional(),
  'sampling-rate': z.number().gt(0).max(1).optional(),
  noise: z.enum(['independent', 'tree']).optional(),
  separation: count.optional(),
  seed: z.int().default(1),
  workers: count.optional(),
  transport: z.enum(['memory', 'grpc']).default('memory'),
  backend: z.string().optional(),
  baselines: z.enum(['none', 'all']).default('none'),
  out: z.string().optional(),
});

export type Config = z.infer<typeof configSchema>;

/** @throws FlError invalid-argument naming the key, what was expected and what came. */
export function checkConfig(value: unknown, source: string): Config {
  return checkYaml(configSchema, value, source);
}

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

/** Fills what the user left open from the workload's scale, and makes the initial model. */
export function resolve(config: Config, workload: Workload): Resolved {
  const { manifest } = workload;
  const scale = manifest.scales[config.scale];
  const clients = config.clients ?? scale.clients;
  const cohort = config.cohort ?? Math.min(scale.cohort, clients);
  if (cohort > clients) throw invalidArgument('cohort', `at most clients (${clients})`, cohort);
  const rounds = config.rounds ?? scale.rounds;
  const partition = config.partition ?? scale.partition;
  parseScheme(partition); // now, and not on every client
  const hyper = hyperOf(scale.hyper, config.hyper, manifest.name);
  const { shared } = initialModel(workload, { hyper, seed: config.seed });
  const model = packTensors(shared);
  const tensors = model.layout.map(({ name, shape }) => ({ name, shape }));
  const phases = manifest.phases?.(hyper, tensors) ?? [{ name: 'train', channels: [updateChannel(tensors)] }];
  const strategy = strategyOf(config, scale);
  const secure = config['secure-aggregation'] ?? false;
  if (!secure && config['secure-groups'] !== undefined) {
    throw invalidArgument('secure-groups', 'secure-aggregation to be on', 'off');
  }
  const minSurvivors = config['min-survivors'] ?? Math.max(secure ? 2 : 1, Math.ceil(cohort / 2));
  const cohortMax = Math.ceil(cohort * (1 + (config['over-selection'] ?? 0)));
  const privacy = privacyOf(config, workload, { clients, cohort, cohortMax });
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
      ...(secure && { secure: secureOf(config, workload, hyper, { cohort, minSurvivors }) }),
      ...(privacy && { privacy }),
    },
    engine: {
      rounds,
      cohort,
      minClients: config['min-clients'] ?? cohort,
      minSurvivors,
      secure,
      overSelection: config['over-selection'] ?? 0,
      deadlineMs: config['deadline-ms'] ?? 600_000,
      maxAttempts: config['max-attempts'] ?? 5,
      evaluateEvery: config['evaluate-every'] ?? 1,
      evaluateClients: config['evaluate-clients'] ?? 0,
      strategy,
      ...(config.aggregator !== undefined && { aggregator: config.aggregator }),
      seed: config.seed,
    },
  };
  checkRunSpec(spec);
  checkAggregator(spec);
  checkPrivacySpec(spec);
  return { spec, model, clients };
}

/** Who may collude and drop out decides the graph; both default to what small cohorts of known labs need. */
function secureOf(
  config: Config,
  { manifest }: Workload,
  hyper: Hyper,
  { cohort, minSurvivors }: { cohort: number; minSurvivors: number },
): SecureSpec {
  if (cohort < 3) throw invalidArgument('cohort', 'at least 3 with secure-aggregation', cohort);
  const testMetrics = manifest.maskedMetrics?.(hyper);
  if (testMetrics === undefined) {
    throw new FlError(
      'invalid-argument',
      `secure-aggregation: workload ${manifest.name} does not declare maskedMetrics`,
    );
  }
  const groupSize = config['secure-groups'];
  const clientLevel = config.privacy !== 'none' && config.privacy !== 'example';
  // A group may lose as large a part of itself as the cohort.
  const survivorsMin =
    groupSize === undefined ? minSurvivors : Math.max(2, Math.ceil((groupSize * minSurvivors) / cohort));
  return {
    // as a whole, a client weighs 1; with examples behind it, as many as it has
    ...{ valueRange: config['value-range'], weightCap: clientLevel ? 1 : config['weight-cap'], survivorsMin },
    ...(groupSize !== undefined && { groupSize }),
    adversaryFraction: config['adversary-fraction'] ?? 0.05,
    dropFraction: config['drop-fraction'] ?? 0.05,
    phaseDeadlineMs: Math.min(60_000, config['deadline-ms'] ?? 60_000),
    trainMetrics: config.privacy === 'none' ? [{ name: 'loss', size: 1, max: 16 }] : [],
    testMetrics: [...testMetrics],
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
  const given = {
    batchSize: config['batch-size'],
    clientLr: config['client-lr'],
    momentum: config.momentum,
    weightDecay: config['weight-decay'],
    gradientClipNorm: config['gradient-clip-norm'],
    lrSchedule: config['lr-schedule'],
  };
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { localEpochs, localSteps, ...rest } = scale.training;
  return { ...TRAINING_DEFAULTS, ...rest, ...durationOf(config, { localEpochs, localSteps }), ...defined };
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
