/** Mutants of the coordinator’s side of secure aggregation and of the way of updates in. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const SECAGG_SHELL = [
  ...mutantsOf(
    'server/secagg/aggregation',
    ['server/secagg/aggregation', 'server/secagg/current', 'secure/shell'],
    [
      [
        'a sum’s weight is one that its clients can have',
        'sum >= least && sum <= count * quantize.weightCap',
        'sum >= least',
      ],
      ['a sum’s weight is at least that of its clients', 'sum >= least && sum <= count', 'sum <= count'],
      ['so are the weights of single tensors', '|| !ownWeights.every((own) => isPossible(own, 0))', ''],
      [
        'a cancelled aggregation says nothing of its sum',
        'if (this.#cancelled) return;\n    const { values',
        'const { values',
      ],
      ['clients have the round’s time to train', "phase === 'mask' ? this", "phase === 'share' ? this"],
      [
        'a frame is said again to who is back',
        "output.kind === 'send' && output.to === client",
        "output.kind === 'send'",
      ],
      ['a frame gives a phase no more time', 'if (moved) this.#setDeadline();', 'this.#setDeadline();'],
      [
        'masks that cannot be taken off are a failure',
        'if (!this.#cancelled) this.#listener.failed(`secure aggregation: ${FlError',
        'if (false as boolean) this.#listener.failed(`secure aggregation: ${FlError',
      ],
      ['only training is noised by the coordinator', "this.task.kind === 'train' && isClientLevel(", 'isClientLevel('],
      ['survivors are sorted', 'survivors: [...output.survivorIds].sort()', 'survivors: output.survivorIds'],
      ['a cohort too small for any sum fails', 'if (fault === undefined) return;', 'return;'],
      ['nothing times out after the end', "if (phase === 'done' || phase === 'aborted') return;", ''],
    ],
  ),
  ...mutantsOf(
    'server/secagg/current',
    ['server/secagg/rounds-and-groups', 'server/secagg/current', 'secure/shell'],
    [
      [
        'an evaluation has no least survivors of a round',
        "kind === 'train' ? engine.minSurvivors : 0",
        'engine.minSurvivors',
      ],
      ['a sum is taken once', 'this.#sum = undefined;\n    return sum;', 'return sum;'],
      ['an evaluation leaves the sum of the round alone', "if (kind === 'train') {", 'if (true as boolean) {'],
      ['one aggregation ends the one before', 'this.cancel();\n    const { clock', 'const { clock'],
    ],
  ),
  ...mutantsOf(
    'server/secagg/grouped',
    ['server/secagg/rounds-and-groups', 'server/secagg/grouped'],
    [
      ['the least survivors suffice', 'if (survivors.length < minSurvivors)', 'if (survivors.length <= minSurvivors)'],
      ['each group has noise of its own', 'noise: noise.split(`group/${index}`)', 'noise'],
      [
        'figures of an evaluation are added up',
        "plan.kind === 'train' ? options.aggregator : parseAggregator('mean')",
        'options.aggregator',
      ],
      ['a failed group’s members are told', "if (!('failure' in how)) return;", 'return;'],
      ['signs of all groups are added up', '(sum, group) => sum + group, 0', '(_, group) => group, 0'],
    ],
  ),
  ...mutantsOf(
    'server/updates/receive',
    ['server/updates/receive'],
    [
      [
        'a header is signed by its client',
        'if (!verifySignature(this.#deps.publicKeyOf(client)',
        'if (false && !verifySignature(this.#deps.publicKeyOf(client)',
      ],
      ['bytes have the hash that was signed', 'if (got !== header.sha256)', 'if (false as boolean)'],
      ['what a header decides is not read', 'if (early !== undefined) return early;', ''],
      ['bytes of an upload are counted', 'run.traffic.up += chunk.length;', ''],
      ['bytes of a frame are counted', 'run.traffic.up += bytes.length;', ''],
    ],
  ),
  ...mutantsOf(
    'server/updates/upload-buffers',
    ['server/updates/upload-buffers'],
    [
      [
        'an offset is not beyond what is here',
        'if (offset > slot.offset) throw',
        'if (offset > slot.offset + 1) throw',
      ],
      ['no more than declared', 'if (slot.offset + chunk.length > slot.bytes.length) {', 'if (false as boolean) {'],
      ['no less than declared', 'if (slot.offset < slot.bytes.length) {', 'if (false as boolean) {'],
      ['an older stream writes nothing', 'requireWriter(slot, writer);\n        if', 'if'],
      ['one upload keeps to the cap', 'if (sizeBytes > this.#capBytes) {', 'if (false as boolean) {'],
      ['what is being written is kept', 'if (slot.writer !== undefined) continue;', ''],
      ['what is forgotten is free', 'this.#heldBytes -= slot.bytes.length;\n    this.#admit();', 'this.#admit();'],
      [
        'whoever waited and was first gives its room back',
        'this.#heldBytes -= sizeBytes;\n        return first;',
        'return first;',
      ],
      ['a cut upload may be dropped', 'if (slot.writer === writer) slot.writer = undefined;', ''],
      [
        'a place is that of one update',
        'return `${run}/${round}/${attempt}/${sha256}`',
        'return `${run}/${round}/${attempt}`',
      ],
    ],
  ),
  ...mutantsOf(
    'server/updates/order-statistics',
    ['server/updates/check-aggregator', 'server/updates/aggregator'],
    [
      ['one at least is cut off', 'Math.max(1, Math.ceil(trimmed * count - 1e-9))', 'Math.floor(trimmed * count)'],
      ['a tenth of thirty is three', 'count - 1e-9)', 'count + 1e-9)'],
      ['three are enough', 'if (length >= LEAST_VALUES)', 'if (length > LEAST_VALUES)'],
      ['half is too much', 'trimmed < 0.5)', 'trimmed <= 0.5)'],
      ['a median cuts all but the middle', '(count - 1) / 2)', '(count - 2) / 2)'],
    ],
  ),
  ...mutantsOf(
    'server/updates/check-aggregator',
    ['server/updates/check-aggregator', 'server/secagg/grouped'],
    [
      ['over-selected updates take memory', 'Math.ceil(values * (1 + engine.overSelection))', 'values'],
      ['kept vectors have a limit', 'if (keptBytes <= MAX_KEPT_BYTES) return;', 'return;'],
      ['no sum of an order statistic', 'if (summed !== undefined) {', 'if (false as boolean) {'],
      ['no order statistic of tensors that some hold', 'if (perTensor !== undefined) {', 'if (false as boolean) {'],
      [
        'groups enough',
        'groupSize !== undefined && values < LEAST_VALUES',
        'groupSize !== undefined && values < LEAST_VALUES - 1',
      ],
      ['survivors enough', 'engine.minSurvivors < LEAST_VALUES)', 'engine.minSurvivors < LEAST_VALUES - 1)'],
      [
        'no order statistic of what is masked',
        'if (work.secure !== undefined && groupSize === undefined) {',
        'if (false as boolean) {',
      ],
    ],
  ),
];
