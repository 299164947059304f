/** Mutants of what both sides must agree on, and of secure aggregation's core: transcripts, graph, frames, proofs, the server's machine. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

/** Both sides would change alike: only what is written down notices. */
const BOUND = ['shared/secagg/derive'];
const SERVER = ['shared/secagg/server'];
const GRAPH = ['shared/secagg/graph'];

export const CORE = [
  ...mutantsOf('shared/secagg/derive', BOUND, [
    [
      'a tag is of a name',
      '.text(LABEL.memberTag).text(id).raw(enrolledKey)',
      '.text(LABEL.memberTag).raw(enrolledKey)',
    ],
    [
      'an advertisement is of one aggregation',
      '.text(LABEL.advertisement).raw(aggregationId).text(id)',
      '.text(LABEL.advertisement).text(id)',
    ],
    ['an advertisement is of a name', '.raw(aggregationId).text(id);', '.raw(aggregationId);'],
    ['an advertisement is of both keys', 'raw(sharePublicKey).raw(maskPublicKey).done()', 'raw(sharePublicKey).done()'],
    ['a roster has its threshold', '.u32(degree).u32(threshold);', '.u32(degree);'],
    ['a roster is of one aggregation', 'text(LABEL.rosterRoot).raw(aggregationId);', 'text(LABEL.rosterRoot);'],
    ['survivors are among those who shared', 'writer.raw(included).raw(survivors)', 'writer.raw(survivors)'],
    [
      'survivors are of one roster',
      'text(LABEL.survivorRoot).raw(aggregationId).raw(rosterRoot)',
      'text(LABEL.survivorRoot).raw(aggregationId)',
    ],
    [
      'a signature is of one aggregation',
      'text(LABEL.consistency).raw(aggregationId).raw(rosterRoot)',
      'text(LABEL.consistency).raw(rosterRoot)',
    ],
    [
      'a share is sealed for one',
      '.raw(transcript.rosterRoot).u32(from).u32(to)',
      '.raw(transcript.rosterRoot).u32(from)',
    ],
    [
      'a share is sealed by one',
      '.raw(transcript.rosterRoot).u32(from).u32(to)',
      '.raw(transcript.rosterRoot).u32(to)',
    ],
    ['a mask is of one pair', '.u32(Math.min(a, b)).u32(Math.max(a, b))', '.u32(Math.min(a, b))'],
    [
      'a mask is of one aggregation',
      '{ ikm: secret, salt: aggregationId, info, sizeBytes',
      '{ ikm: secret, salt: rosterRoot, info, sizeBytes',
    ],
    [
      'a self mask is of one member',
      'text(LABEL.selfMask).raw(rosterRoot).u32(index)',
      'text(LABEL.selfMask).raw(rosterRoot)',
    ],
    [
      'a commitment is of one member',
      'raw(aggregationId).raw(rosterRoot).u32(index);\n  return',
      'raw(aggregationId).raw(rosterRoot);\n  return',
    ],
  ]),
  ...mutantsOf('shared/secagg/params', BOUND, [
    ['an aggregation is of one round', '.text(context.taskId).u64(context.round)', '.text(context.taskId)'],
    ['an aggregation is of one model', '.raw(context.modelHash)', ''],
    ['an aggregation is of one plan', '.raw(context.planHash)', ''],
    ['its parameters have the drop-outs', '.f64(params.dropFraction)', ''],
    ['its parameters have the colluders', '.f64(params.adversaryFraction)', ''],
    ['its parameters have the tail of the noise', '.u64(ring.noiseTailMax)', ''],
    ['a sum is over two at least', 'whole(survivorsMin, 2, cohortMin)', 'whole(survivorsMin, 1, cohortMin)', BOUND],
    ['a cohort has three at least', 'whole(cohortMin, 3, cohortMax)', 'whole(cohortMin, 2, cohortMax)', BOUND],
  ]),
  ...mutantsOf('shared/secagg/graph', GRAPH, [
    ['colluders count in a majority', 'Math.floor((degree + corrupt) / 2) + 1', 'Math.floor(degree / 2) + 1'],
    ['a majority is more than half', 'Math.floor((degree + corrupt) / 2) + 1', 'Math.floor((degree + corrupt) / 2)'],
    ['drop-outs leave a threshold', 'threshold <= degree - dropped', 'threshold <= degree'],
    [
      'a fraction of ten is whole',
      'const corrupt = Math.floor((adversaryFraction + TINY) * cohort);\n  const dropped',
      'const corrupt = Math.floor(adversaryFraction * cohort);\n  const dropped',
    ],
    ['a lying server spends drop-outs twice', "(adversary === 'lying' ? 2 : 1) * dropFraction", 'dropFraction'],
    [
      'the honest are connected',
      'if (logDisconnected(cohort, bad, degree) >= -(SECURITY_BITS + 1) * Math.LN2) continue;',
      '',
    ],
    ['drop-outs beside colluders are bad', 'const bad = corrupt + Math', 'const bad = Math'],
    [
      'neighbours stand on both sides',
      'ring[(at - step + cohort) % cohort]',
      'ring[(at + step + degree / 2) % cohort]',
    ],
    ['the order has no bias', 'while (word >= limit) word = u32();', ''],
    [
      'the order is of one roster',
      'suite.hkdf({ ikm: rosterRoot, salt: aggregationId, info',
      'suite.hkdf({ ikm: aggregationId, salt: aggregationId, info',
    ],
  ]),
  ...mutantsOf(
    'shared/secagg/frames',
    ['shared/secagg/frames'],
    [
      [
        'a roster is within its limits',
        'if (count > LIMIT.cohort || degree > LIMIT.neighbours || ownIndex >= count) {',
        'if (count > LIMIT.cohort) {',
        ['shared/secagg/frames'],
      ],
      [
        'nothing is behind an advertisement',
        'const advertisement = readAdvertisement(reader);\n  reader.end();',
        'const advertisement = readAdvertisement(reader);',
        ['shared/secagg/frames'],
      ],
      [
        'nothing is behind a refusal',
        'const culprit = reader.u32();\n  reader.end();',
        'const culprit = reader.u32();',
        ['shared/secagg/frames'],
      ],
      [
        'a set has one bit a client',
        'if (body.length !== setBytes(cohort)) throw',
        'if (false as boolean) throw',
        ['shared/secagg/frames'],
      ],
      [
        'a signature has 64 bytes',
        'if (body.length !== SIGNATURE_BYTES) throw',
        'if (false as boolean) throw',
        ['shared/secagg/frames'],
      ],
      ['nobody is nobody', 'culprit === NOBODY ? undefined : culprit', 'culprit', ['shared/secagg/frames']],
    ],
  ),
  ...mutantsOf('shared/secagg/proof', SERVER, [
    ['a client signs once', 'signers.add(id);', 'signers.add(`${id}${signers.size}`);'],
    [
      'a proof is over its signatures',
      'new Writer().raw(coreBytes(body)).u32(body.signatures.length);',
      'new Writer().raw(coreBytes(body)).u32(0);\n  return writer.done();',
      ['shared/chain/stored', ...SERVER],
    ],
    ['as many as are demanded', 'signers.size < trust.signaturesMin', 'signers.size <= trust.signaturesMin'],
    [
      'only what the coordinator signed convicts it',
      'const genuine = proofs.filter((proof) =>\n    suite.verify({\n      publicKey: coordinatorKey,\n      message: sumProofBytes(proof),\n      signature: proof.coordinatorSignature,\n    }),\n  );',
      'const genuine = proofs;',
    ],
    ['two aggregations contradict nothing', 'sameAggregation && key(', 'key('],
    [
      'more signatures of one sum contradict nothing',
      'key(coreBytes(a)) !== key(coreBytes(b))',
      'key(sumProofBytes(a)) !== key(sumProofBytes(b))',
    ],
    [
      'a proof says how many survived',
      '.u32(body.survivorCount).raw(body.sumHash)',
      '.raw(body.sumHash)',
      ['shared/chain/stored', ...SERVER],
    ],
  ]),
  ...mutantsOf(
    'shared/secagg/ring',
    ['shared/secagg/quantize'],
    [
      ['a ring has a sign', '2 ** (bits - 1));', '2 ** bits);'],
      ['half of a ring is too much', 'clients * valueMax + noiseTailMax < 2', 'clients * valueMax + noiseTailMax <= 2'],
      ['noise needs room', 'clients * valueMax + noiseTailMax < 2', 'clients * valueMax < 2'],
      ['padding is zero', 'if (held !== 0) throw', 'if (false as boolean) throw'],
      [
        'a packed vector has its length',
        'if (bytes.length !== packedBytes(elements, bits)) {',
        'if (false as boolean) {',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/secagg/shamir',
    ['shared/secagg/shamir'],
    [
      ['no point twice', 'new Set(points).size !== points.length ||', ''],
      ['a secret has its length', 'if (secret.length !== SECRET_BYTES)', 'if (false as boolean)'],
      ['a threshold is at most the holders', 'threshold <= holders &&', ''],
      [
        'every coefficient is drawn',
        'rng.bytes((threshold - 1) * SECRET_BYTES)',
        'rng.bytes(Math.max(0, threshold - 2) * SECRET_BYTES)',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/secagg/server/advertise',
    [...SERVER, 'shared/secagg/excluded'],
    [
      ['no key is two members’', 'for (const key of keys) seen.add(key);', ''],
      ['a member’s two keys differ', '|| equalBytes(sharePublicKey, maskPublicKey)', ''],
      [
        'whose keys are reused is out',
        'const { kept, reused } = withoutReusedKeys(state.advertisements);',
        'const { kept, reused } = { kept: state.advertisements, reused: [] as readonly Advertisement[] };',
      ],
      ['a full cohort takes no more', "if (advertisements.length >= params.cohortMax) return 'cohort-full';", ''],
      [
        'who advertises for another is no one',
        'publicKey === undefined || advertisement.id !== from',
        'publicKey === undefined',
      ],
      ['a cohort has its least', "if (cohort < params.cohortMin) return aborted(state, 'cohort-too-small');", ''],
    ],
  ),
  ...mutantsOf(
    'shared/secagg/server/machine',
    [...SERVER, 'shared/secagg/excluded'],
    [
      [
        'who is excluded after its vector ends the sum',
        "if (index !== undefined && state.uploaded[index]) return aborted(state, 'member-excluded');",
        '',
      ],
      [
        'a frame of another aggregation is none',
        'if (!equalBytes(frame.aggregationId, state.aggregationId)) return [state, []];',
        '',
      ],
      ['who is gone is not heard', 'if (state.gone[index]) return false;', ''],
      ['a vector counts once', '&& !state.uploaded[index];', ';'],
      [
        'only sharers send vectors',
        'return bitmapHas(state.included, index) && !state.uploaded[index];',
        'return !state.uploaded[index];',
      ],
      [
        'only survivors sign',
        'bitmapHas(state.survivors, index) && state.signatures[index] === null',
        'state.signatures[index] === null',
      ],
      ['who refuses is not in the roster', "drop.reason !== 'refused' || id !== drop.id", 'id === id'],
      [
        'who is late is dropped by name',
        'return close(context, [state, lateDrops(state)]);',
        'return close(context, [state, []]);',
      ],
      [
        'a machine that has ended stays so',
        "if (state.phase === 'done' || state.phase === 'aborted') return [state, []];",
        "if (state.phase === 'done') return [state, []];\n  if (state.phase === 'aborted') return [state, [{ kind: 'aborted', reason: state.reason }]];",
      ],
    ],
  ),
  ...mutantsOf(
    'shared/secagg/server/share',
    [...SERVER, 'shared/secagg/excluded'],
    [
      ['who left after sharing is not in', 'shares[index] !== null && !gone[index]', 'shares[index] !== null'],
      ['sharers have their least', 'sharers.length < context.params.survivorsMin', 'sharers.length < 1'],
      ['shares have their length', 'if (body.length !== expected) throw', 'if (false as boolean) throw'],
    ],
  ),
];
