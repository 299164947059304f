/** Mutants of what both sides compute alike: run, privacy, secure aggregation. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

const CLIENT_LEVEL = ['shared/run/client-level-privacy', 'shared/run/channels-with-privacy', 'shared/run/privacy-cost'];
const LATTICE = ['shared/privacy/lattice'];
const COST = ['shared/run/privacy-cost', 'shared/run/sampler-error', 'server/round/privacy'];
const SECAGG = ['shared/secagg/attacks', 'shared/secagg/server'];

const RUN = [
  ...mutantsOf('shared/run/client-level-privacy', CLIENT_LEVEL, [
    [
      'colluders are left out of the noise of honest shares',
      'colludingFraction: secure!.adversaryFraction',
      'colludingFraction: 0',
    ],
    ['shares are sized for the least survivors', 'Math.min(secure!.survivorsMin, cohortMax)', 'cohortMax'],
    ['K channels have the norm sqrt(K)', 'Math.hypot(Math.sqrt(channels),', 'Math.hypot(1,'],
    ['the sign of the adaptive bound counts in the sensitivity', 'signUnit(privacy, channels)),', '0),'],
    ['a channel is divided by its own bound', 'clipped[i - from] / bound', 'clipped[i - from] / parts[0].bound'],
    [
      'only the update channel says whether it was within the bound',
      'if (channel === UPDATE_CHANNEL) within',
      'within',
    ],
    ['clipping is what makes an update lie beyond the bound', 'within = !wasClipped', 'within = wasClipped'],
    [
      'the bound of the round is what clips',
      'clippingBound ?? work.privacy!.clippingBound',
      'work.privacy!.clippingBound',
    ],
    ['a tree round adds what the prefix grows by', '+ now[i] - before[i]', '+ now[i]'],
    [
      'central noise is added',
      "lattice.place === 'central' ? withCentralNoise",
      "lattice.place === 'local' ? withCentralNoise",
    ],
    ['integers leave room for the noise', "place === 'central' ? 0 : 12 *", "place !== 'central' ? 0 : 12 *"],
    ['adaptive clipping needs a cohort', 'if (!(2 * bitNoiseStdDev > noiseMultiplier))', 'if (false as boolean)'],
    [
      'a lattice is remembered by all that it depends on',
      'canonicalJson(options), () => latticeOf',
      'String(noiseMultiplier), () => latticeOf',
    ],
    ['a table is remembered by its variance', '`${lattice.noise} ${lattice.shareVariance}`', '`${lattice.noise}`'],
    ['a clip scope is kept', "scope: own?.per ?? 'all'", "scope: 'all'"],
  ]),
  ...mutantsOf('shared/run/privacy-cost', COST, [
    [
      'a memo of epsilon has its delta',
      '{ spends, samplerError, delta, accountant }',
      '{ spends, samplerError, accountant }',
    ],
    [
      'a memo of epsilon has its sampler error',
      '{ spends, samplerError, delta, accountant }',
      '{ spends, delta, accountant }',
    ],
    [
      'a memo of epsilon has its accountant',
      '{ spends, samplerError, delta, accountant }',
      '{ spends, samplerError, delta }',
    ],
    [
      'a memo of epsilon has its spends',
      '{ spends, samplerError, delta, accountant }',
      '{ samplerError, delta, accountant }',
    ],
    [
      'what reaches the budget exactly is allowed',
      'epsilonAfter(cost, rounds) <= cost',
      'epsilonAfter(cost, rounds) < cost',
    ],
    ['the sampler error of a tree is that of all its nodes', '2 * tree.rounds)', 'rounds)'],
    [
      'a cohort is never larger than the integers are sized for',
      'if (privacy.cohortMax! < cohortMax)',
      'if (false as boolean)',
    ],
    ['over-selection counts in the cohort', 'engine.cohort * (1 + engine.overSelection)', 'engine.cohort'],
    ['a tree has central noise', "if (privacy.mode !== 'central')", 'if (false as boolean)'],
    ['a tree has a fixed bound', 'if (privacy.adaptive) throw', 'if (false as boolean) throw'],
    ['a tree has one phase', 'if (phases.length > 1)', 'if (phases.length > 2)'],
    ['noise is made for a sum', "(engine.aggregator ?? 'mean') !== 'mean'", 'false as boolean'],
    [
      'each phase has its clipping bounds',
      'work.phases.forEach((_, at) => void boundsOf({ work, round: firstRoundOf(work, at) }));',
      '',
    ],
    ['one round fits the budget', 'if (isWithinBudget(cost, 1)) return;', 'return;'],
    ['noise is checked before anything is priced', 'checkNoise(privacy.noiseMultiplier);', ''],
    ['steps are priced within bounds', 'if (!(steps * work.rounds <= MOST_STEPS))', 'if (false as boolean)'],
    ['phases are priced within bounds', 'if (work.phases.length > MOST_PHASES)', 'if (false as boolean)'],
    ['the report states the largest epsilon', 'Math.max(most, round.epsilon ?? 0)', 'round.epsilon ?? 0'],
  ]),
  ...mutantsOf(
    'shared/run/spending',
    ['server/round/adaptive', 'server/round/privacy', 'server/round/restore'],
    [
      ['a repeated round is charged once', 'if (of(lastRound, client) === round) continue;', ''],
      [
        'a client rests for the separation',
        'round - last >= cost.tree.separation',
        'round - last > cost.tree.separation',
      ],
      ['the client that was charged most often is stated', 'Math.max(most, rounds), 0)', 'Math.min(most, rounds), 0)'],
      [
        'the adaptive bound counts the survivors',
        'adaptedBound(clippingBound, withinBound, survivors)',
        'adaptedBound(clippingBound, withinBound, cohort.length)',
      ],
      ['the adapted bound is kept', 'adapted(spending, nextClippingBound), recorded', 'spending, recorded'],
      [
        'clients charged elsewhere are those of this round',
        'lastRound[client] === round && !here',
        'lastRound[client] === round || !here',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/run/spec',
    ['shared/run/spec'],
    [
      ['survivors fit the cohort', 'if (minSurvivors > cohort)', 'if (minSurvivors > cohort + 1)'],
      ['a round waits for its survivors', 'if (minClients < minSurvivors)', 'if (false as boolean)'],
      [
        'evaluations keep to the secure minimum',
        'evaluateClients < survivorsMin)',
        'evaluateClients < survivorsMin - 1)',
      ],
      ['groups fit the cohort', 'if (groupSize > cohort)', 'if (false as boolean)'],
      ['masked numbers are not compressed', 'if (secure !== undefined) {', 'if (false as boolean) {'],
      ['other channels are not compressed', 'if (other !== undefined) refuse', 'if (false as boolean) refuse'],
      ['the parts of a stored run agree', 'if (expected !== got)', 'if (false as boolean)'],
    ],
  ),
  ...mutantsOf(
    'shared/run/settings',
    ['shared/run/spec'],
    [
      [
        'a noise multiplier of 0 is refused',
        "'noise-multiplier': { schema: rate,",
        "'noise-multiplier': { schema: z.number().min(0),",
      ],
      ['delta is above 0', 'delta: { schema: z.number().gt(0)', 'delta: { schema: z.number().min(0)'],
      ['the sampling rate is above 0', 'z.number().gt(0).max(1).optional()', 'z.number().min(0).max(1).optional()'],
    ],
  ),
];

const PRIVACY = [
  ...mutantsOf('shared/privacy/mechanisms/lattice', LATTICE, [
    ['certain shares are the honest ones', 'leastSurvivors * (1 - colludingFraction) + 1e-9', 'leastSurvivors + 1e-9'],
    ['certain shares are whole', 'Math.floor(leastSurvivors', 'Math.ceil(leastSurvivors'],
    [
      'a local message hides among twice the norm',
      "place === 'local' ? 2 * integerNorm",
      "place === 'local' ? integerNorm",
    ],
    [
      'noise is sized for the rounded norm',
      '(noiseMultiplier * integerNorm) ** 2',
      '(noiseMultiplier * scaledNorm) ** 2',
    ],
    ['a noise multiplier of 0 is refused', 'if (!(noiseMultiplier > 0))', 'if (!(noiseMultiplier >= 0))'],
    [
      'someone honest is left',
      'leastSurvivors * (1 - colludingFraction) >= 1)',
      'leastSurvivors * (1 - colludingFraction) >= 0)',
    ],
    [
      'the coordinator alone noises a central sum',
      "lattice.place !== 'central') random.share",
      "lattice.place === 'central') random.share",
    ],
    ['sum and noise fit the ring', 'if (reach >= 2 ** (ringBits - 1))', 'if (false as boolean)'],
  ]),
  ...mutantsOf(
    'shared/privacy/mechanisms/adaptive-clip',
    ['shared/privacy/mechanisms', ...CLIENT_LEVEL],
    [
      ['the bound follows the quantile', 'Math.exp(-state.learningRate', 'Math.exp(state.learningRate'],
      ['signs are counted in halves', '(2 * survivors)', 'survivors'],
      ['survivors are at least one', 'if (!(survivors >= 1))', 'if (false as boolean)'],
    ],
  ),
  ...mutantsOf(
    'shared/privacy/mechanisms/clip',
    ['shared/privacy/mechanisms'],
    [
      ['parts share the bound', 'bound / Math.sqrt(lengths.length)', 'bound'],
      ['one clipped part is a clipped vector', 'start + length), share) || wasClipped', 'start + length), share)'],
      ['NaN is refused', 'if (!Number.isFinite(normL2))', 'if (false as boolean)'],
      ['rounding never lengthens', 'current > bound; margin *= 2', 'current > bound * 1.001; margin *= 2'],
      ['each part moves on', 'start += length;', 'start += 1;'],
    ],
  ),
  ...mutantsOf(
    'shared/privacy/mechanisms/poisson',
    ['shared/privacy/poisson'],
    [
      ['an example is in with the rate and never above', 'rng.u32() < threshold', 'rng.u32() <= threshold + 2 ** 26'],
      ['every example has its chance', 'let i = 0; i < population', 'let i = 1; i < population'],
    ],
  ),
  ...mutantsOf('shared/privacy/mechanisms/ftrl', LATTICE, [
    [
      'a client is in one node per level and participation',
      'squared += most * Math.min(most,',
      'squared += Math.min(most,',
    ],
    ['separation thins a node', '2 ** level / separation', '2 ** level / (2 * separation)'],
    ['nodes have noise of their own', '`tree/${level}/${covered / span}`', '`tree/${level}`'],
  ]),
];

const SECURE = [
  ...mutantsOf('shared/secagg/client/mask', SECAGG, [
    ['masks cancel', 'own < index ? (1 as const) : (-1 as const)', '(1 as const)'],
    [
      'another vector is never masked',
      "if (state.phase === 'survivors') check(context, 'vector-changed'",
      "if (false as boolean) check(context, 'vector-changed'",
    ],
    [
      'a set of sharers is large enough',
      'sharers.length >= params.survivorsMin',
      'sharers.length >= params.survivorsMin - 1',
    ],
  ]),
  ...mutantsOf('shared/secagg/client/consistency', SECAGG, [
    [
      'no sum is signed over too few',
      'indices.length >= params.survivorsMin',
      'indices.length >= params.survivorsMin - 1',
    ],
    [
      'survivors have shared',
      'indices.every((index) => bitmapHas(included, index))',
      'indices.some((index) => bitmapHas(included, index))',
    ],
    [
      'a neighbourhood holds the threshold',
      'living.length >= roster.threshold',
      'living.length >= roster.threshold - 1',
    ],
  ]),
  ...mutantsOf('shared/secagg/client/unmask', SECAGG, [
    [
      'seed or key, never the other',
      '? share.subarray(0, KEY_BYTES) : share.subarray(KEY_BYTES)',
      '? share.subarray(KEY_BYTES) : share.subarray(0, KEY_BYTES)',
    ],
    [
      'enough neighbours signed one set',
      "check(context, 'survivors-disputed', valid >= roster.threshold)",
      "check(context, 'survivors-disputed', valid >= roster.threshold - 1)",
    ],
  ]),
  ...mutantsOf('shared/secagg/client/advertise', SECAGG, [
    ['an aggregation is not replayed', "check(context, 'replayed-aggregation', !context.isUsed(aggregationId));", ''],
    [
      'the site’s least survivors hold',
      'params.survivorsMin >= policy.survivorsMin',
      'params.survivorsMin >= policy.survivorsMin - 1',
    ],
  ]),
  ...mutantsOf('shared/secagg/server/mask', SECAGG, [
    [
      'too few vectors are no sum',
      'survivors.length < context.params.survivorsMin',
      'survivors.length < context.params.survivorsMin - 1',
    ],
    ['a vector is counted once', 'uploaded: state.uploaded.with(index, true)', 'uploaded: state.uploaded'],
  ]),
  ...mutantsOf('shared/secagg/server/unmask', SECAGG, [
    [
      'too few shares are no secret',
      'held[index].length < roster.threshold',
      'held[index].length < roster.threshold - 1',
    ],
    [
      'masks of the dropped are taken back',
      'v < index ? (-1 as const) : (1 as const)',
      'v < index ? (1 as const) : (-1 as const)',
    ],
    ['a share that does not fit is blamed', 'if (tries > 0) blame', 'if (tries > 1000) blame'],
  ]),
  ...mutantsOf('shared/secagg/server/consistency', SECAGG, [
    ['signatures are verified', "if (!suite.verify({ publicKey, message, signature })) return 'bad-signature';", ''],
    [
      'too few signers are asked for nothing',
      'signers.length < state.roster.threshold',
      'signers.length < state.roster.threshold - 1',
    ],
  ]),
  ...mutantsOf(
    'shared/secagg/quantize',
    ['shared/secagg/quantize'],
    [
      ['a weight is capped', 'Math.min(weight, spec.weightCap)', 'weight'],
      ['a part’s own weight is capped', 'Math.min(own, spec.weightCap)', 'own'],
      ['weights are whole', 'if (!Number.isInteger(weight) || weight < 1)', 'if (weight < 1)'],
      [
        'a metric is cut at its bound',
        'Math.min(1, Math.max(-1, metric / spec.metricBounds[i]))',
        'metric / spec.metricBounds[i]',
      ],
      [
        'parts go on where the last ended',
        'for (const end = at + size; at < end; at++)',
        'for (const end = size; at < end; at++)',
      ],
      ['a whole number is no other', 'if (Number.isInteger(metric) && Math.abs(metric) <= max) return', 'return'],
    ],
  ),
  ...mutantsOf(
    'shared/run/exact-metrics',
    ['shared/run/exact-metrics'],
    [
      ['digits count only when all have written them', ' || sums[0] !== about.clients', ''],
      ['a number that does not fit is told', 'if (cut) tooLarge = 1;', ''],
    ],
  ),
  ...mutantsOf(
    'shared/run/lossy',
    ['shared/run/lossy'],
    [
      ['no count leaves under privacy', 'privacy !== undefined || loss === undefined', 'loss === undefined'],
      ['no client gets a range that it cannot read', 'pooled[BEYOND]?.count !== clients || ', ''],
    ],
  ),
];

export const SHARED = [...RUN, ...PRIVACY, ...SECURE];
