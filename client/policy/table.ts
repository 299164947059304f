/**
 * The keys of a site's policy, each said once: what it may be, what holds where the file says nothing, what it is for, and
 * what it asks of a plan. From this table follow `policy.yaml` (file.ts), the help of `starling client policy`, the table
 * of docs/policy.md, and what a client declines (client/round/policy.ts).
 */
import { z } from 'zod';
import { HEX_32_BYTES } from '../../shared/hex.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { leastSumOf } from '../../shared/run/secagg-groups.js';
import { DEFAULT_POLICY } from '../../shared/secagg/index.js';

/** What a key asks of a plan, and what the plan answers; `next` is what either side can do about it. */
export interface Asked {
  readonly ok: boolean;
  readonly expected: string;
  readonly got: string;
  readonly next: string;
}

/** One row of the table. */
export interface PolicyKey<Schema extends z.ZodType = z.ZodType> {
  readonly schema: Schema;
  /** What holds without the key; absent: `without` says it in words. */
  readonly default?: z.output<Schema>;
  readonly without?: string;
  /** What `policy init` writes, behind a comment sign, for a key that has no default. */
  readonly example?: z.output<Schema>;
  readonly help: string;
  /** Undefined: the key has nothing to say of this plan. A key without it is held against more than the plan. */
  ask?(limit: z.output<Schema>, plan: RoundPlan): Asked | undefined;
}

const count = z.int().min(1);
const positive = z.number().positive();
const fromZero = z.number().min(0);
const firstModelWord = z.union([z.enum(['workload', 'ledger']), z.string().regex(HEX_32_BYTES)]);

/** All keys, in the order in which they are asked. */
export const POLICY_KEYS = {
  workloads: row({
    schema: z.array(z.string()),
    without: 'all that are installed here',
    example: ['cnn'],
    help: 'names of workloads that may train here',
    ask: (allowed, { work }) => oneOf(allowed, work.workload, 'the workload'),
  }),
  'workload-code': row({
    schema: z.enum(['same', 'any']),
    default: 'same' as 'same' | 'any',
    help: "same: a run's workload must be the very code that is here, by the hash of its bundle (of a built-in one, by its version); any: the name is enough",
  }),
  'require-privacy': row({
    schema: z.array(z.enum(['central', 'distributed', 'local', 'example'])).min(1),
    without: 'any kind, and none',
    example: ['example', 'distributed'],
    help: 'which kinds of differential privacy are good enough',
    ask: (modes, { work }) => oneOf(modes, work.privacy?.mode ?? 'none', 'privacy'),
  }),
  'min-noise-multiplier': row({
    schema: positive,
    without: 'no least noise',
    example: 0.8,
    help: 'least noise of differential privacy, as a multiple of the clipping bound',
    ask: atLeast('noise-multiplier', ({ work }) => work.privacy?.noiseMultiplier ?? 0),
  }),
  'require-test-noise': row({
    schema: positive,
    without: 'exact test figures are given',
    example: 10,
    help: 'least noise of test figures, as a multiple of what one test example changes; exact ones are declined',
    ask: atLeast('test-noise-multiplier', ({ work }) => work.privacy?.tests?.noiseMultiplier ?? 0),
  }),
  'require-secure-aggregation': row({
    schema: z.boolean(),
    default: true,
    help: "whether a plan without secure aggregation, which shows this site's update to the coordinator, is declined",
    ask: (required, { work }) =>
      required ? has(work.secure !== undefined, 'secure aggregation', 'secure-aggregation') : undefined,
  }),
  'max-epsilon': row({
    schema: positive,
    without: 'no limit',
    example: 10,
    help: 'most that one example here may ever be charged, over all runs and coordinators; needs runs with privacy',
  }),
  delta: row({
    schema: z.number().gt(0).lt(1),
    without: "1e-5, or as this client's account was begun",
    example: 1e-5,
    help: 'of max-epsilon',
  }),
  'min-cohort': row({
    schema: count,
    default: DEFAULT_POLICY.cohortMin,
    help: 'fewest clients that are summed: the cohort, or the group of it, and what its roster may shrink to',
    ask: askCohort,
  }),
  'min-survivors': row({
    schema: z.int().min(2),
    default: DEFAULT_POLICY.survivorsMin,
    help: 'fewest clients in a secure sum that is opened',
    ask: atLeast('min-survivors', ({ work }) => work.secure?.survivorsMin),
  }),
  'min-difference': row({
    schema: count,
    without: "the sum's own least survivors",
    example: 3,
    help: 'fewest labs by which two secure sums of one base model may differ; the same labs are always allowed',
  }),
  'adversary-fraction': row({
    schema: z.number().min(0).lt(1),
    default: DEFAULT_POLICY.adversaryFraction,
    help: 'fraction of a cohort that may collude with the coordinator and still learn nothing',
    ask: atLeast('adversary-fraction', ({ work }) => work.secure?.adversaryFraction),
  }),
  enrolment: row({
    schema: z.string(),
    without: "the coordinator's word",
    example: 'enrolment.json',
    help: "a file beside this one: the site's own list of who is enrolled, as `starling token enrolled` prints it",
  }),
  'first-model': row({
    schema: z.union([firstModelWord, z.array(firstModelWord).min(1)]),
    default: 'workload' as string | string[],
    help: "where the model of a run's first round comes from: workload (its own start, made again here and compared), ledger (a model of the file that `ledger` names), or SHA-256 hashes; one of these or a list",
  }),
  ledger: row({
    schema: z.string(),
    without: 'none',
    example: 'ledger.jsonl',
    help: 'a file beside this one: the ledger of a run whose models a run here may begin with',
  }),
  'data-roles': row({
    schema: z.enum(['pinned', 'plan']),
    default: 'pinned' as const,
    help: 'pinned: what trains in a run with privacy is never tested, in any run, as its settings (hyper) stay what they were; plan: they may change',
  }),
  'validation-fraction': row({
    schema: z.number().min(0).max(0.5),
    without: 'as each run asks',
    example: 0.1,
    help: 'part of the training examples here that no run trains on, and models are chosen by, whatever a run asks (but of a workload with a validation split of its own, that one); as `data-roles` says, it stays what it was',
  }),
  hyper: row({
    schema: z.array(z.string()),
    without: "all of the workload's",
    example: ['filters', 'train-examples', 'test-examples'],
    help: "which of a workload's own settings (hyper) a plan may hold",
    ask: askHyper,
  }),
  ...limits(
    'local-epochs',
    [1, 100],
    count,
    'epochs of local training per round',
    ({ training }) => training.localEpochs,
  ),
  ...limits(
    'local-steps',
    [1, 10_000],
    count,
    'steps of local training per round',
    ({ training }) => training.localSteps,
  ),
  'local-work': row({
    schema: z.enum(['all', 'fewer']),
    default: 'all' as 'all' | 'fewer',
    help: 'all: a plan that asks for more than max-local-epochs or max-local-steps is declined; fewer: as much is done as they allow, max-local-steps of epochs, too, and the update is lengthened accordingly (not under fedprox)',
  }),
  ...limits('batch-size', [1, 4096], count, 'examples per step', ({ training }) => training.batchSize),
  ...limits('client-lr', [0, 10], fromZero, 'learning rate of local training', ({ training }) => training.clientLr),
  'max-weight-decay': row({
    schema: fromZero,
    default: 1,
    help: 'largest weight decay of local training',
    ask: atMost('weight-decay', ({ work }) => work.training.weightDecay),
  }),
  'max-gradient-clip-norm': row({
    schema: positive,
    without: 'no limit, and no clipping needed',
    example: 10,
    help: 'largest norm that the gradient of a local step may keep; a plan that does not clip is declined',
    ask: atMost(
      'gradient-clip-norm',
      ({ work: { training } }) => training.gradientClipNorm || Number.POSITIVE_INFINITY,
    ),
  }),
  'max-value-range': row({
    schema: positive,
    default: 1000,
    help: 'largest value range of secure aggregation: beyond it elements of an update are clamped, below it small ones are lost',
    ask: atMost('value-range', ({ work }) => work.secure?.valueRange),
  }),
  'max-weight-cap': row({
    schema: count,
    default: 100_000,
    help: 'most examples that may count for one client under secure aggregation',
    ask: atMost('weight-cap', ({ work }) => work.secure?.weightCap),
  }),
  'max-rounds': row({
    schema: count,
    default: 10_000,
    help: 'most rounds of a run, by what it announces and by the number of the round that a plan is for',
    ask: atMost('rounds', ({ work, round }) => Math.max(work.rounds, round)),
  }),
  'max-runs-per-month': row({
    schema: count,
    default: 100,
    help: 'most runs that are begun here in a month (UTC), of all coordinators together',
  }),
  'max-model-bytes': row({
    schema: count,
    default: 2 ** 30,
    help: 'largest model file',
    ask: atMost("bytes of the run's model", ({ modelSizeBytes }) => modelSizeBytes),
  }),
} satisfies Record<string, PolicyKey>;

type Rows = typeof POLICY_KEYS;
/** The name of a key. */
export type PolicyKeyName = keyof Rows;
/** A site's rules. {@link POLICY_DEFAULTS} are what a site has that says nothing; here, what is absent is not asked. */
export type Policy = { readonly [Key in PolicyKeyName]?: z.output<Rows[Key]['schema']> };

/** Without a file, and where a file is silent. */
export const POLICY_DEFAULTS: Policy = Object.fromEntries(
  Object.entries<PolicyKey>(POLICY_KEYS).flatMap(([key, { default: value }]) =>
    value === undefined ? [] : [[key, value]],
  ),
);

/** The rows with their names. */
export function policyRows(): [PolicyKeyName, PolicyKey][] {
  return Object.entries(POLICY_KEYS) as [PolicyKeyName, PolicyKey][];
}

function row<Schema extends z.ZodType>(about: PolicyKey<Schema>): PolicyKey<Schema> {
  return about;
}

/** The least and the most of a quantity of training, as two keys. */
function limits<Name extends string, Schema extends z.ZodType<number>>(
  name: Name,
  [least, most]: readonly [z.output<Schema>, z.output<Schema>],
  schema: Schema,
  what: string,
  got: (work: RoundPlan['work']) => number | undefined,
): { [Key in `min-${Name}` | `max-${Name}`]: PolicyKey<Schema> } {
  const quantity: Quantity = ({ work }) => got(work);
  const rows: Record<string, PolicyKey<Schema>> = {
    [`min-${name}`]: { schema, default: least, help: `least ${what}`, ask: atLeast(name, quantity) },
    [`max-${name}`]: { schema, default: most, help: `most ${what}`, ask: atMost(name, quantity) },
  };
  return rows as ReturnType<typeof limits<Name, Schema>>;
}

type Quantity = (plan: RoundPlan) => number | undefined;

/** `setting` is what the run calls it. */
function atLeast(setting: string, quantity: Quantity): (limit: number, plan: RoundPlan) => Asked | undefined {
  return (limit, plan) => {
    const got = quantity(plan);
    if (got === undefined) return undefined;
    const next = `raise ${setting} in the run, or lower this key in the site's policy`;
    return { ok: got >= limit, expected: `at least ${limit}`, got: `${got}`, next };
  };
}

function atMost(setting: string, quantity: Quantity): (limit: number, plan: RoundPlan) => Asked | undefined {
  return (limit, plan) => {
    const got = quantity(plan);
    if (got === undefined) return undefined;
    const next = `lower ${setting} in the run, or raise this key in the site's policy`;
    return { ok: got <= limit, expected: `at most ${limit}`, got: Number.isFinite(got) ? `${got}` : 'none', next };
  };
}

function oneOf(allowed: readonly string[], got: string, what: string): Asked {
  const next = `change ${what} of the run, or add it to this key in the site's policy`;
  return { ok: allowed.includes(got), expected: `one of ${allowed.join(', ')}`, got, next };
}

function has(there: boolean, what: string, setting: string): Asked {
  const next = `set ${setting}: true in the run, or set this key to false in the site's policy`;
  return { ok: there, expected: what, got: there ? what : 'none', next };
}

/** What the machine of secure aggregation calls cohortMin is what a roster may shrink to before its keys are exchanged. */
function askCohort(limit: number, plan: RoundPlan): Asked {
  const cohort = leastSumOf(plan);
  const asked = (got: number, setting: string) => atLeast(setting, () => got)(limit, plan)!;
  const { secure } = plan.work;
  if (cohort < limit || secure === undefined) return asked(cohort, 'the cohort (with groups secure-groups)');
  return asked(Math.min(cohort, Math.max(3, secure.survivorsMin)), 'min-survivors');
}

function askHyper(allowed: readonly string[], { work }: RoundPlan): Asked {
  const others = Object.keys(work.hyper).filter((key) => !allowed.includes(key));
  const next = "leave these settings out of the run's hyper, or add them to this key in the site's policy";
  const expected = `none but ${allowed.join(', ') || 'none'}`;
  return { ok: others.length === 0, expected, got: others.join(', ') || 'none other', next };
}
