/** Mutants of the coordinator: the round engine, and the way of updates into its sums. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

const ENGINE = ['server/round/step', 'server/round/evaluation', 'server/round/privacy', 'server/round/adaptive'];
const SUM = ['server/updates/exact-sum'];
const INTAKE = ['server/updates/intake'];

export const SERVER = [
  ...mutantsOf('server/round/training', ENGINE, [
    [
      'a round fails only below its least survivors',
      'if (arrived < spec.minSurvivors)',
      'if (arrived <= spec.minSurvivors)',
    ],
    [
      'a cohort is drawn once clients enough are here',
      'here.length < spec.minClients ||',
      'here.length <= spec.minClients ||',
    ],
    ['only the rested are drawn', "draw(state, 'train', rested,", "draw(state, 'train', here,"],
    ['more are invited than needed', 'spec.cohort * (1 + spec.overSelection)', 'spec.cohort'],
    ['a cohort is charged', 'charge(spending, round, names) }', 'spending }'],
    ['the budget ends the run', 'if (refusal !== undefined) return end', 'if (false as boolean) return end'],
    ['a full cohort closes the round', 'arrived >= spec.cohort;', 'arrived > spec.cohort;'],
    ['attempts are counted from the first', 'attempt - state.firstAttempt + 1', 'attempt'],
    [
      'an attempt that would fail alike is not repeated',
      'failed > 0 && trainable(state)',
      'failed > 99 && trainable(state)',
      ['server/round/alike'],
    ],
    [
      'who has no training example is not drawn again',
      'rested = spending === undefined ? able :',
      'rested = spending === undefined ? here :',
      ['secure/no-examples'],
    ],
    ['attempts are limited', 'if (times < spec.maxAttempts)', 'if (times <= spec.maxAttempts)'],
    [
      'the model is on disk before it counts',
      'if (stored === undefined) return state;',
      "if (stored === undefined) return { ...state, stage: { kind: 'waiting' } };",
    ],
    ['a stored model is that of the attempt', '&& stored.attempt === attempt;', ';'],
    ['bad metrics cost a place', 'if (fault !== undefined) return refuse(fault);', ''],
    [
      'the bound is adapted by the survivors',
      'survivors: survivors.length, withinBound }',
      'survivors: cohort.names.length, withinBound }',
    ],
    ['the adapted bound is the next round’s', '...(after && { spending: after.spending }),', ''],
    [
      'a central run records no hash of what has no noise',
      'spending?.isCentral ? survivors.map(unhashed) : survivors',
      'survivors',
    ],
    ['the next bound is in the journal', '...after?.recorded,', '...(after && { privacy: after.recorded.privacy }),'],
    ['a void round is told to those whose update it held', 'voidArrivals(state, cohort, turn);', ''],
  ]),
  ...mutantsOf(
    'server/round/restore',
    ['server/round/restore', 'server/round/privacy', 'server/round/adaptive'],
    [
      ['the adapted bound outlives a crash', 'adapted(state.spending, nextClippingBound)', 'state.spending'],
      ['charges outlive a crash', 'charge(state.spending, round, cohort)', 'state.spending'],
      ['an aborted attempt is not tried again', 'attempt: record.attempt + 1', 'attempt: record.attempt'],
      ['a secure round starts over with new keys', 'found.spec.secure ? withNewKeys(found, turn) : found', 'found'],
      ['a checkpoint holds what was charged', '{ ...first.spending, ...account }', 'first.spending'],
      ['a checkpoint holds where the round stands', '{ ...first, ...state, ...(', '{ ...first, ...('],
    ],
  ),
  ...mutantsOf(
    'server/run/run-journal',
    ['server/run/run-journal'],
    [
      [
        'what a journal held is durable before it forgets it',
        'await writeSegment(directory, { number: segments, records: moved, files });\n        await journal.close();\n        await writeFileDurably(path, bytes, files);',
        'await journal.close();\n        await writeFileDurably(path, bytes, files);\n        await writeSegment(directory, { number: segments, records: moved, files });',
      ],
      ['each file of history has a number of its own', '(before?.segments ?? 0) + 1', '1'],
      ['what is in no file of history stays', 'before === undefined ? 1 : 2', '2'],
    ],
  ),
  ...mutantsOf(
    'server/run/ledger',
    ['server/run/run-journal'],
    [['the ledger before a checkpoint is what it was', 'if (lineSha256(text) !== expected)', 'if (false as boolean)']],
  ),
  ...mutantsOf(
    'server/run/queue',
    ['server/run/queue'],
    [['after a job that failed nothing is said', 'if (this.#failure !== undefined) throw this.#failure;', '']],
  ),
  ...mutantsOf(
    'server/run/finished',
    ['server/run/finished'],
    [
      ['a finished run whose file was changed is looked at', 'isSame && row.run', 'row.run'],
      ['a late update hears what became of it', "if (outcome === 'committed')", "if (outcome === 'dropped')"],
    ],
  ),
  ...mutantsOf(
    'server/round/fate',
    ['server/round/fate', ...INTAKE],
    [
      [
        'an update of another attempt is stale',
        'if (update.round !== round || update.attempt !== attempt) return undefined;',
        'if (update.round !== round) return undefined;',
      ],
      ['another update of the same client is a duplicate', '&& member.updateSha256 === update.updateSha256)', ')'],
      ['what is in a model is accepted', "if (over?.outcome === 'committed')", "if (over?.outcome === 'dropped')"],
      ['a client hears why it was dropped', "member?.status === 'dropped' ? member.reason : 'deadline'", "'deadline'"],
    ],
  ),
  ...mutantsOf('server/round/evaluation', ENGINE, [
    ['the last round is evaluated', 'round === rounds ||', ''],
    ['every n-th round is evaluated', 'round % evaluateEvery === 0', 'round % evaluateEvery === 1'],
    ['an evaluation asks so many', 'spec.evaluateClients || online.length', 'online.length'],
    ['an answer counts once', "work?.kind !== 'evaluating' || !isAsked(state, client)", "work?.kind !== 'evaluating'"],
  ]),
  ...mutantsOf('server/round/check-metrics', ENGINE, [
    ['counts are not negative', 'count >= 0 &&', ''],
    ['lengths agree', 'expected !== sum.length)', 'expected < sum.length)'],
    ['sums are finite', '!Number.isFinite(value)', 'Number.isNaN(value)'],
  ]),
  ...mutantsOf('server/round/secagg-events', ENGINE, [
    [
      'a secure sum has its least survivors',
      'survivors.length < state.spec.minSurvivors',
      'survivors.length < state.spec.minSurvivors - 1',
    ],
  ]),
  ...mutantsOf('server/updates/intake', INTAKE, [
    [
      'no weight is above 1 where a client is protected',
      'isClientLevel(spec.work.privacy) ? 1 :',
      'isClientLevel(spec.work.privacy) ? 2 :',
    ],
    [
      'an update is asked about again before it is added',
      "if (fate.kind !== 'wanted') return this.#answerKnown(fate);\n    const { round, attempt, metrics, weights } = header;",
      'const { round, attempt, metrics, weights } = header;',
    ],
    [
      'what is not durable yet is not said',
      'return this.#deps.inTurn(() => {',
      'return Promise.resolve().then(() => {',
      ['server/run/shell'],
    ],
    ['what was rejected is not added', "if (outcome === 'add' && offer.update", 'if (offer.update'],
    ['a sum is of its attempt', '|| this.#sum.attempt !== attempt)', ')'],
    ['sizes are those of the encoding', 'if (sizeBytes !== expected) return', 'if (sizeBytes > expected) return'],
    ['weights are finite', 'weight >= 0 && Number.isFinite(weight)', 'weight >= 0'],
    [
      'the coordinator noises a central sum',
      'if (!isClientLevel(plan.work.privacy)) return',
      'if (true as boolean) return',
      ['secure/private-run'],
    ],
  ]),
  ...mutantsOf('server/updates/exact-sum', SUM, [
    [
      'the last values of an odd length are added',
      'for (let i = wholeFours; i < to; i++) fine[i] +=',
      'for (let i = wholeFours; i < to - 1; i++) fine[i] +=',
    ],
    ['the third of four is added', 'fine[i + 2] += c;', 'fine[i + 2] += b;'],
    ['the fourth of four is split', 'fine[i + 3] += s - d +', 'fine[i + 3] += s +'],
    ['NaN at the first of eight is found', 'maxOfFour(bits[i], bits[i + 1]', 'maxOfFour(0, bits[i + 1]'],
    ['NaN at the eighth is found', 'bits[i + 6], bits[i + 7])', 'bits[i + 6], 0)'],
    [
      'NaN beyond the last eight is found',
      'let i = wholeEights; i < bits.length',
      'let i = wholeEights + 1; i < bits.length',
    ],
    ['a negative value has its magnitude', 'Math.max(largest, bits[i] & MAGNITUDE)', 'Math.max(largest, bits[i])'],
    ['weights that are no integers count', 'Math.round(w / WEIGHT_STEP) * WEIGHT_STEP', 'Math.round(w)'],
    ['an update of no weight is refused', 'if (!weights.some((w) => w > 0))', 'if (false as boolean)'],
    ['a weight has a limit', 'w >= 0 && w <= MAX_WEIGHT)', 'w >= 0)'],
    ['the fine lane carries before it is full', '+ more > FINE_BOUND)', '+ more > 1e12)'],
    ['a carry leaves the rest', 'fine[i] -= h;', 'fine[i] = 0;'],
    ['a merge counts weights', 'sum + other.weightSums[tensor])', 'sum)'],
    ['a tensor that nobody holds is 0', 'if (weightSum === 0) return;', ''],
  ]),
  ...mutantsOf(
    'server/updates/aggregator',
    ['server/updates/aggregator', 'server/updates/running-sum'],
    [
      ['groups are weighed', 'divided ? part.weights[tensor] : 1', '1'],
      ['an order statistic keeps its own copy', 'Float32Array.from(values), weights', 'values, weights'],
      ['sums are both lanes', 'value + coarse[i])', 'value)'],
    ],
  ),
];
