/**
 * The settings of a run, each said once: its key, what it may be and what it is for. From this table follow the keys of
 * CONFIG.yaml, the options of `starling simulate`, what a workload may set for a comparison, and those fields of a
 * specification that hold a setting as it was given (under its name in camelCase).
 *
 * In the groups of such fields a schema is the field's; a configuration may leave each of them out.
 */
import { z } from 'zod';
import type { Infer } from '../schema.js';
import { tensorNames } from '../tensors/start-model.js';
import { stopWhenSetting } from './stop-when.js';

/** One row of the table. */
export interface Setting<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  readonly help: string;
  /** What the command line's help calls the value; a switch has none. */
  readonly value?: string;
}

type Settings = Readonly<Record<string, Setting>>;

/** What training can run on, by the name that a user gives; best first (client/backends). */
export const BACKENDS = ['tfjs-node-gpu', 'tfjs-node', 'webgpu', 'wasm', 'cpu'] as const;

/** Of clients, examples, rounds: at least one, and no more than anyone means. */
export const count = z.int().min(1).max(1_000_000);
/** Of enrolled clients: each once. */
export const clientNames = z
  .array(z.string().regex(/^[a-z0-9-]{1,63}$/, 'expected names of clients'))
  .min(1)
  .max(10_000)
  .refine((names) => new Set(names).size === names.length, 'expected each name once');
/** A workload's own settings, by name. */
export const hyper = z.record(z.string(), z.union([z.number(), z.string(), z.boolean()]));
/** Of learning, or of noise: above 0. */
export const rate = z.number().positive();
/** Of training examples; with more, two stretches of them could hold out the same one (client/data/hold-out.ts). */
export const validationFraction = z.number().gt(0).max(0.5);
const countFromZero = z.int().min(0);
const fraction = z.number().min(0).lt(1);
const duration = z.int().min(1);
const WEEK_MS = 7 * 24 * 3_600_000;

/** Fields of a run's training. */
export const TRAINING_SETTINGS = {
  'batch-size': { schema: count, value: 'N', help: 'examples per step' },
  'client-lr': { schema: rate, value: 'X', help: 'learning rate of local SGD' },
  momentum: { schema: fraction, value: 'X', help: 'of local SGD' },
  'weight-decay': { schema: z.number().min(0), value: 'X', help: 'of local SGD' },
  /** Largest L2 norm of one step's gradient; 0 switches it off. */
  'gradient-clip-norm': {
    schema: z.number().min(0),
    value: 'X',
    help: 'largest norm of one local gradient; no privacy mechanism',
  },
  /** Learning rate over rounds: constant, or cosine from `client-lr` to 0 over the run. */
  'lr-schedule': { schema: z.enum(['constant', 'cosine']), value: 'NAME', help: 'constant or cosine, over rounds' },
  /** Absent, and not 0, when there is none: a specification without it is what it was. */
  'lr-warmup-rounds': {
    schema: count.optional(),
    value: 'N',
    help: 'rounds in which the learning rate rises, in equal steps, to client-lr',
  },
} satisfies Settings;

/** Fields of what the round engine is told. */
export const ENGINE_SETTINGS = {
  /** Absent: mean. */
  aggregator: {
    schema: z.string().optional(),
    value: 'NAME',
    help: 'mean, median or trimmed-mean[:fraction]; of updates, or of groups',
  },
  /** The round ends when `cohort` updates are in. */
  'over-selection': {
    schema: z.number().min(0).max(10),
    value: 'X',
    help: 'extra fraction of the cohort that is invited',
  },
  'min-clients': { schema: count, value: 'N', help: 'clients that must be there before a cohort is drawn' },
  'min-survivors': { schema: count, value: 'N', help: 'fewest updates that make a round' },
  'deadline-ms': { schema: duration.max(WEEK_MS), value: 'N', help: 'time a round may take' },
  /** Absent: a minute. */
  'offline-wait-ms': {
    schema: duration.max(WEEK_MS).optional(),
    value: 'N',
    help: 'time for clients that are away, once all others have answered and are enough (default: 60000)',
  },
  'max-attempts': {
    schema: z.int().min(1).max(1000),
    value: 'N',
    help: 'failed attempts at one round before the run fails',
  },
  /** The last round is always evaluated. */
  'evaluate-every': {
    schema: countFromZero,
    value: 'N',
    help: 'evaluate after every n-th round; 0: after the last only',
  },
  'evaluate-clients': { schema: countFromZero, value: 'N', help: 'clients that evaluate; 0: all' },
} satisfies Settings;

/** Fields of a run's secure aggregation. */
export const SECURE_SETTINGS = {
  'value-range': { schema: rate, value: 'X', help: 'with it: elements of an update beyond +-X are clamped' },
  'weight-cap': { schema: count, value: 'N', help: 'with it: examples of a client beyond N do not count' },
  /** What the graph of neighbours is computed for, with the one below. */
  'adversary-fraction': { schema: fraction, value: 'P', help: 'with it: fraction of a cohort that may collude' },
  'drop-fraction': { schema: fraction, value: 'P', help: 'with it: fraction of a cohort that may drop out' },
} satisfies Settings;

/** Fields of a run's privacy. */
export const PRIVACY_SETTINGS = {
  /** Deviation of all noise that protects a unit / its clipping bound. */
  'noise-multiplier': { schema: rate, value: 'Z', help: 'with it: deviation of the noise / clipping bound' },
  delta: { schema: z.number().gt(0).lt(1), value: 'D', help: 'with it: of (epsilon, delta)' },
  /** The run ends before the round after which a unit's epsilon would lie above this. */
  'epsilon-budget': {
    schema: rate.optional(),
    value: 'E',
    help: 'with it: the run ends before the round that would cross it',
  },
  /** `example` only: Poisson sampling, at a rate that is equal on all clients. */
  'sampling-rate': {
    schema: z.number().gt(0).max(1).optional(),
    value: 'Q',
    help: 'with example: chance of an example to be in a step',
  },
} satisfies Settings;

/** All of them, in the order of the help. */
export const SETTINGS = {
  workload: { schema: z.string(), value: 'NAME', help: 'a built-in workload or a file whose default export is one' },
  scale: {
    schema: z.enum(['smoke', 'demo', 'full']).default('demo'),
    value: 'NAME',
    help: 'smoke, demo or full (default: demo)',
  },
  'initial-model': {
    schema: z.string().optional(),
    value: 'FILE',
    help: "a safetensors file of the workload's model to start from; default: the workload's own start",
  },
  'initial-model-names': {
    schema: z.union([z.string(), tensorNames]).optional(),
    value: 'FILE',
    help: 'with it: YAML, by our name of a tensor the name in the file, or {from: NAME, transpose: [1, 0]}',
  },
  /** A number in a simulation; names in a run of labs, which no other lab then sees anything of. */
  clients: {
    schema: z.union([count, clientNames], 'expected a number of virtual clients, or names of labs').optional(),
    value: 'N',
    help: 'virtual clients; in the file of a run of labs a list of their names: no other lab sees anything of it',
  },
  cohort: { schema: count.optional(), value: 'N', help: 'clients per round' },
  rounds: { schema: count.optional(), value: 'N', help: 'rounds' },
  'local-epochs': { schema: count.optional(), value: 'N', help: 'epochs of local training per round' },
  'local-steps': {
    schema: count.optional(),
    value: 'N',
    help: 'steps of local training per round, instead of epochs',
  },
  ...optional(TRAINING_SETTINGS),
  partition: { schema: z.string().optional(), value: 'SPEC', help: 'iid, dirichlet:A, shards:K or natural' },
  'validation-fraction': {
    schema: validationFraction.optional(),
    value: 'X',
    help: 'of the training examples, held out to choose a model by; which ones, and whether others, a site decides',
  },
  strategy: {
    schema: z.string().optional(),
    value: 'SPEC',
    help: 'fedavg, fedprox, fedavgm, fedadam, fedyogi, fedadagrad, as NAME[:key=value,...]',
  },
  'server-lr': { schema: rate.optional(), value: 'X', help: 'learning rate of the strategy' },
  ...optional(ENGINE_SETTINGS),
  'stop-when': {
    schema: stopWhenSetting.optional(),
    value: 'SPEC',
    help: 'METRIC[:patience=N,min-delta=X,better=higher]: keeps the best model, and ends the run after N evaluations without a better one; by validation figures, where there are any',
  },
  'secure-aggregation': {
    schema: z.boolean().optional(),
    help: 'the coordinator learns sums over the survivors only',
  },
  'secure-groups': {
    schema: z.int().min(3).optional(),
    value: 'G',
    help: 'with it: one sum for each random group of at least G clients',
  },
  ...optional(SECURE_SETTINGS),
  privacy: {
    schema: z.enum(['none', 'central', 'distributed', 'local', 'example']).default('none'),
    value: 'MODE',
    help: 'none, central, distributed, local (one client) or example (one example)',
  },
  'clipping-bound': {
    schema: z.union([rate, z.literal('adaptive')]).optional(),
    value: 'C',
    help: 'with it: norm of an update, or of the gradient of an example; or adaptive',
  },
  ...optional(PRIVACY_SETTINGS),
  noise: {
    schema: z.enum(['independent', 'tree']).optional(),
    value: 'NAME',
    help: 'with central: independent in each round, or a tree over all of them (DP-FTRL)',
  },
  separation: {
    schema: count.optional(),
    value: 'N',
    help: 'with a tree: rounds from one to the next of the same client, at least',
  },
  compression: {
    schema: z.string().optional(),
    value: 'NAME',
    help: 'of updates on their way up: none, f16, bf16, int8 or top-k:FRACTION',
  },
  dropout: {
    schema: z.number().min(0).max(1).default(0),
    value: 'P',
    help: 'probability that a client drops out of a round',
  },
  'test-noise-multiplier': {
    schema: rate.optional(),
    value: 'Z',
    help: 'with example: test figures are noised and charged, too: deviation / what one test example changes',
  },
  'secret-noise': {
    schema: z.boolean().optional(),
    help: 'with privacy: noise from the system, not from the seed, which run.json prints; equal seeds then give other models',
  },
  seed: { schema: z.int().default(1), value: 'N', help: 'of everything that is drawn' },
  workers: { schema: count.optional(), value: 'N', help: 'threads that train' },
  transport: { schema: z.enum(['memory', 'grpc']).default('memory'), value: 'NAME', help: 'memory or grpc' },
  backend: {
    schema: z.enum(BACKENDS).optional(),
    value: 'NAME',
    help: 'tfjs-node-gpu, tfjs-node, webgpu, wasm or cpu',
  },
  baselines: {
    schema: z.enum(['none', 'all', 'tuned']).default('none'),
    value: 'NAME',
    help: 'none or all: also floors, each client (at most 10) alone, all data in one place, the run with privacy, and what it is compared with; tuned: all, and alone and in one place choose a learning rate and a round on validation examples',
  },
  'evaluate-on': {
    schema: z.string().optional(),
    value: 'DIR',
    help: "of a simulation: each round's model is judged here on the test split of this folder, too, which belongs to no client",
  },
  out: { schema: z.string().optional(), value: 'DIR', help: 'the run directory (default: starling-runs/…)' },
  hyper: {
    schema: hyper.default({}),
    value: 'KEY=VALUE',
    help: "one of the workload's own settings; repeatable",
  },
} satisfies Settings;

/** What CONFIG.yaml may hold; other keys are errors. */
export const configSchema = z.strictObject(schemasOf(SETTINGS));

/** A configuration, with defaults for what belongs to no workload's scale. */
export interface Config extends Infer<typeof configSchema> {}

type Camel<Key> = Key extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : Key & string;
type Schemas<Group extends Settings> = { -readonly [Key in keyof Group]: Group[Key]['schema'] };
type Fields<Group extends Settings> = { -readonly [Key in keyof Group as Camel<Key>]: Group[Key]['schema'] };

/** The fields that a group is in a specification. */
export function fieldsOf<Group extends Settings>(group: Group): Fields<Group> {
  const entries = Object.entries(group).map(([key, { schema }]) => [camelCase(key), schema] as const);
  return Object.fromEntries(entries) as Fields<Group>;
}

/** What a configuration says of a group, by the names of a specification; what it leaves open is absent. */
export function givenOf<Group extends Settings>(
  config: { readonly [Key in keyof Group]?: z.infer<Group[Key]['schema']> },
  group: Group,
): Partial<z.infer<z.ZodObject<Fields<Group>>>> {
  const entries = Object.keys(group).map((key) => [camelCase(key), config[key]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as ReturnType<typeof givenOf<Group>>;
}

/** The field of a specification that a key becomes. */
export function camelCase(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

type Optional<Group extends Settings> = {
  readonly [Key in keyof Group]: Setting<z.ZodOptional<Group[Key]['schema']>>;
};

function optional<Group extends Settings>(group: Group): Optional<Group> {
  const entries = Object.entries(group).map(([key, row]) => [key, { ...row, schema: row.schema.optional() }] as const);
  return Object.fromEntries(entries) as Optional<Group>;
}

function schemasOf<Group extends Settings>(group: Group): Schemas<Group> {
  return Object.fromEntries(Object.entries(group).map(([key, { schema }]) => [key, schema])) as Schemas<Group>;
}
