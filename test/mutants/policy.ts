/** Mutants of a site’s rules and of what it remembers, and of joining. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const POLICY = [
  ...mutantsOf(
    'client/policy/table',
    ['client/policy/cases', 'client/round/policy', 'client/policy/file', 'client/policy/site'],
    [
      ['the least itself is allowed', 'ok: got >= limit', 'ok: got > limit'],
      ['the most itself is allowed', 'ok: got <= limit', 'ok: got < limit'],
      ['a round beyond the rounds announced counts', 'Math.max(work.rounds, round)', 'work.rounds'],
      [
        'a plan that does not clip is declined',
        'training.gradientClipNorm || Number.POSITIVE_INFINITY',
        'training.gradientClipNorm',
      ],
      [
        'what a roster may shrink to counts',
        'return asked(Math.min(cohort, Math.max(3, secure.survivorsMin))',
        'return asked(cohort',
      ],
      [
        'exact test figures have no noise',
        'work.privacy?.tests?.noiseMultiplier ?? 0)',
        'work.privacy?.tests?.noiseMultiplier)',
      ],
      [
        'no privacy is no noise',
        "'noise-multiplier', ({ work }) => work.privacy?.noiseMultiplier ?? 0)",
        "'noise-multiplier', ({ work }) => work.privacy?.noiseMultiplier)",
      ],
      ['a list is held against', 'ok: allowed.includes(got)', 'ok: true'],
      ['settings that are not listed are declined', 'ok: others.length === 0', 'ok: true'],
      [
        'a site asks for secure aggregation',
        'schema: z.boolean(),\n    default: true,',
        'schema: z.boolean(),\n    default: false,',
      ],
      [
        'a first model is the workload’s',
        "default: 'workload' as string | string[]",
        'default: undefined as unknown as string | string[]',
      ],
      ['roles are pinned', "default: 'pinned' as const", "default: 'plan' as const"],
      ['a sum of one is none', 'schema: z.int().min(2),', 'schema: z.int().min(1),'],
      [
        'least noise is the run’s',
        "ask: atLeast('min-survivors', ({ work }) => work.secure?.survivorsMin)",
        "ask: atMost('min-survivors', ({ work }) => work.secure?.survivorsMin)",
      ],
      ['a larger adversary may be assumed', "ask: atLeast('adversary-fraction'", "ask: atMost('adversary-fraction'"],
      ['the cohort is that of the smallest sum', 'const cohort = leastSumOf(plan);', 'const cohort = plan.cohort;'],
    ],
  ),
  ...mutantsOf(
    'client/policy/memory',
    ['client/policy/cases', 'client/policy/site'],
    [
      [
        'a run that changes its work is another',
        'other.run === run.run && other.workSha256 === run.workSha256',
        'other.run === run.run',
      ],
      ['this run counts', 'month === run.month).length + 1', 'month === run.month).length'],
      ['the most itself is allowed', 'ok: got <= most', 'ok: got < most'],
      ['runs of other months do not count', '({ month }) => month === run.month', '() => true'],
      ['privacy on this side of a change', '(isPrivate || run.isPrivate)', 'isPrivate'],
      ['privacy on the other side of a change', '(isPrivate || run.isPrivate)', 'run.isPrivate'],
      [
        'of a workload that does not say which: all',
        'roleKeys === undefined || roleKeys.includes(key)',
        '!!roleKeys?.includes(key)',
      ],
      ['the seed may decide roles', "{ ...hyper, 'run-seed': seed }", '{ ...hyper }'],
      ['roles are of one workload', 'workload === run.workload && (', '('],
    ],
  ),
  ...mutantsOf(
    'client/policy/first-model',
    ['client/policy/cases', 'client/policy/site'],
    [
      ['the first round is asked', 'round !== 1) return undefined', 'round !== 0) return undefined'],
      ['a model of a round is known', '[entry.modelAfter]', '[]'],
      ['the model that a ledger began with is known', '[entry.modelSha256] :', '[] :'],
      ['another model is declined', 'if (hashes.includes(modelSha256)) return', 'if (hashes.length > 0) return'],
    ],
  ),
  ...mutantsOf(
    'client/policy/site',
    ['client/policy/cases', 'client/policy/site'],
    [
      [
        'a run is remembered before its first task',
        'if (!hasBegun) await begun.add(run);',
        'if (!hasBegun) void begun.add(run);',
      ],
      ['a run is remembered once', 'if (!hasBegun) await', 'await'],
      ['a run that was begun is not asked again', 'return isBegun(run, begun) ? [] : askMemory', 'return askMemory'],
      ['an account is asked before a run is remembered', 'if (reason !== undefined) return reason;', ''],
      ['a workload that may not run is not loaded', 'if (answers.some(({ ok }) => !ok)) return answers;', ''],
      ['a plan without a price is declined', 'if (unpriced !== undefined) return unpriced;', ''],
    ],
  ),
  ...mutantsOf(
    'client/policy/file',
    ['client/policy/cases', 'client/policy/file', 'client/policy/site'],
    [
      ['a misspelt rule is an error', 'const schema = z.strictObject(', 'const schema = z.object('],
      ['defaults hold where a file is silent', '{ ...POLICY_DEFAULTS, ...checkYaml', '{ ...checkYaml'],
      [
        'a ledger has a file',
        "if ([policy['first-model']].flat().includes('ledger') && policy.ledger === undefined) {",
        'if (false as boolean) {',
      ],
    ],
  ),
  ...mutantsOf(
    'client/round/policy',
    ['client/policy/cases', 'client/round/policy'],
    [
      ['a budget may be reached', 'if (got <= limit) return undefined;', 'if (got < limit) return undefined;'],
      [
        'what cannot be priced is declined',
        'return `policy: max-epsilon: ${FlError.from(error).message}`;',
        'return undefined;',
      ],
      [
        'the cohort of a site is its own',
        "policy['min-cohort'] ?? DEFAULT_POLICY.cohortMin",
        'DEFAULT_POLICY.cohortMin',
      ],
      [
        'the survivors of a site are its own',
        "policy['min-survivors'] ?? DEFAULT_POLICY.survivorsMin",
        'DEFAULT_POLICY.survivorsMin',
      ],
      [
        'the adversary of a site is its own',
        "policy['adversary-fraction'] ?? DEFAULT_POLICY.adversaryFraction",
        'DEFAULT_POLICY.adversaryFraction',
      ],
      ['a budget is the whole run’s', 'account.epsilonAfterRun(plan)', 'account.epsilon'],
    ],
  ),
  ...mutantsOf(
    'client/round/differencing',
    ['client/round/differencing', 'client/policy/cases'],
    [
      ['the least difference is allowed', 'labs < minDifference ?', 'labs <= minDifference ?'],
      ['both sums must be noised', 'if (earlier.isNoised && next.isNoised)', 'if (earlier.isNoised || next.isNoised)'],
      [
        'the least noise is noise',
        'privacy.noiseMultiplier >= LEAST_NOISE_MULTIPLIER',
        'privacy.noiseMultiplier > LEAST_NOISE_MULTIPLIER',
      ],
      ['the coordinator’s noise is none', "|| privacy.mode === 'central') return false", ') return false'],
      ['the same labs are always allowed', 'if (labs === 0) return undefined;', ''],
      [
        'either may have the other’s key',
        '!before.has(next.own) && !next.members',
        '!before.has(next.own) || !next.members',
      ],
      ['kinds are apart', 'earlier.kind !== next.kind || ', ''],
    ],
  ),
  ...mutantsOf(
    'client/join',
    ['client/join-another', 'client/join'],
    [
      [
        'whoever answers an enrolment is the token’s',
        'if (toHex(reply.coordinatorKey) !== coordinatorKey) throw',
        'if (false as boolean) throw',
      ],
      [
        'a secret goes to the token’s coordinator only',
        'toHex(await checkCoordinator(service, fingerprint));',
        'toHex((await service.identify({ address: service.dialled, nonce: new Uint8Array(32) })).coordinatorKey);',
      ],
      ['a coordinator shows that it has the key', '|| !isSigned) throw', ') throw'],
      [
        'a coordinator is the one with the fingerprint',
        'if (!isKnown || led !== toHex(coordinatorKey) || !isSigned)',
        'if (!isSigned)',
      ],
      [
        'a key is on the disk before anybody hears of it',
        'await writeSecret(path, seed, { files });',
        'void writeSecret(path, seed, { files });',
      ],
      [
        'another client of the name is kept',
        'if ((await entriesOf(directory)).some(({ name }) => name === IDENTITY_FILE)) {',
        'if (false as boolean) {',
      ],
      [
        'a key that nobody took goes',
        "if (code === 'permission-denied' || code === 'already-exists') await",
        'if (false as boolean) await',
      ],
      ['whoever was killed is the same', 'if (stored !== undefined) return stored;', ''],
      ['several clients need a name', 'if (known.length > 1) throw', 'if (false as boolean) throw'],
    ],
  ),
  ...mutantsOf(
    'client/policy/memory',
    ['client/policy/site'],
    [
      ['what is held out is a role', '...(validation === undefined && heldOutBy(policy, work))', ''],
      [
        "the site's own fraction goes first",
        "policy['validation-fraction'] ?? validationFraction",
        'validationFraction',
      ],
    ],
  ),
  ...mutantsOf(
    'simulations/config/stop-when',
    ['simulations/validation'],
    [
      ['validation examples choose', "hasValidation ? 'validation' : 'test'", "split ?? 'test'"],
      ['no choice by examples that are not there', "split === 'validation' && !hasValidation", 'false'],
    ],
  ),
  ...mutantsOf(
    'simulations/config/in-keys',
    ['simulations/config/in-keys'],
    [
      ['a fault is told in keys', 'KEYS.get(word) ?? word', 'word'],
      ['what was typed stays as it is', '/"(?:[^"\\\\]|\\\\.)*"|[A-Za-z]+/g', '/[A-Za-z]+/g'],
    ],
  ),
  ...mutantsOf(
    'simulations/config/shares',
    ['simulations/config/given'],
    [['too few that can train are refused', 'if (training < least)', 'if (training < 0)']],
  ),
  ...mutantsOf(
    'server/round/evaluation',
    ['simulations/told'],
    [['of how many is told', 'if (cohort.names.length >= here) return {};', 'if (here >= 0) return {};']],
  ),
];
