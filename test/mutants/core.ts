/** Mutants of what both sides must agree on, and of what a client remembers: transcripts, graph, proofs, chains, figures. */
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
  ...mutantsOf(
    'shared/run/secagg-params',
    ['shared/run/secagg-params', 'shared/chain/stored'],
    [
      [
        'an aggregation is of one attempt',
        'canonicalJson({ kind, attempt, work, nonce',
        'canonicalJson({ kind, work, nonce',
      ],
      [
        'an aggregation is of one kind of task',
        'canonicalJson({ kind, attempt, work, nonce',
        'canonicalJson({ attempt, work, nonce',
      ],
      [
        'an aggregation is of one work',
        'canonicalJson({ kind, attempt, work, nonce',
        'canonicalJson({ kind, attempt, nonce',
      ],
      ['no roster is smaller than three', 'Math.max(3, survivorsMin)', 'survivorsMin'],
      ['a judgement weighs nothing', "kind === 'train' ? secure.weightCap : 1;", 'secure.weightCap;'],
      ['a count is scaled with its sums', 'const scale = Math.min(1, countCap / metric.count);', 'const scale = 1;'],
    ],
  ),
  ...mutantsOf(
    'shared/run/secagg-groups',
    ['shared/run/secagg-params', 'server/secagg/grouped'],
    [
      ['each group has a nonce of its own', 'sha256Hex(`${nonce}/${group}`)', 'sha256Hex(`${nonce}`)'],
      ['plans are divided once each', 'known.set(plan, plans);', 'known.set(plan.work as never, plans);'],
      [
        'who is in which group is not the nonce’s choice',
        'hash({ run, round, attempt, modelSha256, work })',
        'hash({ run, round, attempt, modelSha256, work, nonce })',
      ],
      [
        'groups are drawn anew in each attempt',
        'hash({ run, round, attempt, modelSha256, work })',
        'hash({ run, round, modelSha256, work })',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/run/test-noise',
    ['shared/run/test-noise'],
    [
      ['noise is what it costs', 'rho: 1 / (2 * noiseMultiplier ** 2)', 'rho: 1 / (4 * noiseMultiplier ** 2)'],
      ['each metric is sum and count', 'Math.sqrt(2 * metrics.length)', 'Math.sqrt(metrics.length)'],
      ['an example counts once', 'const once = count > 1 ? 1 / count : 1;', 'const once = 1;'],
      ['an example is within its bound', 'STEPS / Math.max(1, length) : 0', 'STEPS : 0'],
      ['a count is one at most', 'Math.trunc(Math.min(1, count) * STEPS)', 'Math.trunc(count * STEPS)'],
      ['a count that is none is none', 'count > 0 && Number.isFinite(count) ?', 'count > 0 ?'],
      ['another length is no figure', 'metric?.sum.length === size ? metric :', 'metric !== undefined ? metric :'],
    ],
  ),
  ...mutantsOf(
    'shared/ledger/secure',
    ['cli/commands/verify'],
    [
      ['no client is in a roster twice', 'if (keys.size !== proof.roster.length) throw', 'if (false as boolean) throw'],
      ['only survivors sign', 'if (stranger !== undefined) throw', 'if (false as boolean) throw'],
      ['survivors are what was signed', 'if (root !== proof.survivorRoot) throw', 'if (false as boolean) throw'],
      ['as many signed as the graph demands', 'signaturesMin: spec ? thresholdOf(proof, spec) : 1', 'signaturesMin: 1'],
      ['a proof is of this specification', 'if (paramsHash !== proof.paramsHash) throw', 'if (false as boolean) throw'],
      ['a proof is of this round', 'if (id !== proof.aggregationId) throw', 'if (false as boolean) throw'],
      ['survivors had shared', '|| !bitmapHas(included, index)', ''],
      [
        'a roster is in its order',
        'if (tags.some((tag, i) => i > 0 && compareBytes(tags[i - 1], tag) >= 0)) {',
        'if (false as boolean) {',
      ],
      [
        'a central sum is withheld',
        "plan.work.privacy?.mode === 'central' ? WITHHELD :",
        '',
        ['secure/central-noise', 'secure/private-run'],
      ],
      [
        'the adapted bound is in the proof',
        'work.privacy?.adaptive && entry.privacy ?',
        '(false as boolean) && entry.privacy ?',
        ['secure/private-run', 'cli/commands/verify'],
      ],
    ],
  ),
  ...mutantsOf(
    'shared/ledger/privacy',
    ['secure/private-run', 'cli/commands/verify'],
    [
      [
        'a private run has an account',
        'if (spec !== undefined && (stated === null) !== (cost === undefined)) {',
        'if (false as boolean) {',
      ],
      [
        'an account is in the terms of the specification',
        "same('privacy', { ...terms, samplerError: isLike ? samplerError : least }, said);",
        '',
      ],
      ['who was charged elsewhere was charged', '[...cohort, ...stated.chargedElsewhere]', 'cohort'],
      ['the most rounds are counted', "same('privacy.mostRounds', mostRounds, stated.mostRounds);", ''],
      ['epsilon is computed again', 'if (Math.abs(epsilon - stated.epsilon) <= 1e-9 * epsilon) return;', 'return;'],
      [
        'a bound that is fixed is fixed',
        "if (!adaptive) same('privacy.clippingBound', clippingBound, stated.clippingBound);",
        '',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/ledger/against',
    ['cli/commands/verify', 'server/shown'],
    [
      [
        'a head is signed',
        'isHeadSignedBy(line, coordinatorKey) ? { ...line.head, text } : undefined',
        '({ ...line.head, text })',
      ],
      ['a line is signed', "if (!isSignedBy('ledger', line, fromHex(coordinatorKey))) return undefined;", ''],
      ['another run contradicts nothing', 'if (statement.run !== run) return [];', ''],
      [
        'a round that is not here is a contradiction',
        "if (own === undefined) return [{ round, theirs: text, what: 'signed, and not in this ledger' }];",
        'if (own === undefined) return [];',
      ],
      ['the same line contradicts nothing', 'if (own.lineSha256 === statement.lineSha256) return [];', ''],
    ],
  ),
  ...mutantsOf(
    'shared/chain/chain',
    ['client/store/site-log', 'cli/commands/verify'],
    [
      [
        'a line follows the one before',
        'if (previous === undefined || previous === line.entry.previous) return;',
        'return;',
      ],
      [
        'a line is signed',
        'if (!keys.some((one) => isSignedBy(kind, line, one))) throw',
        'if (false as boolean) throw',
      ],
      ['a last line is whole', "if (!text.endsWith('\\n')) throw", 'if (false as boolean) throw'],
    ],
  ),
  ...mutantsOf(
    'server/run/ledger',
    ['server/run/ledger', 'server/run/run-journal'],
    [
      [
        'a line follows the one before',
        "if (entry.previous !== previous) throw wrong(index, 'does not follow",
        "if (false as boolean) throw wrong(index, 'does not follow",
      ],
      ['a line is of the journal’s model', '|| entry.modelAfter !== record.modelSha256) {', ') {'],
      [
        'a ledger has no round more than the journal',
        "if (record === undefined) throw wrong(index, 'the journal has no such round');",
        'if (record === undefined) continue;',
      ],
      ['a ledger is of this coordinator', 'if (entry.coordinatorKey === coordinatorKey) return;', 'return;'],
      [
        'a last line that is not signed is written again',
        "if (isLast && !isSignedBy('ledger', line, fromHex(keyIn(line, coordinatorKey)))) return [];",
        '',
      ],
      ['a line that is damaged is named', 'if (isLast) return [];\n      throw', 'return [];\n      throw'],
      ['lines are in order', 'if (round !== tip.round + 1)', 'if (false as boolean)'],
      [
        'a line is on the disk before its hash is told',
        'await file.append(Buffer.from(`${text}\\n`));',
        'void file.append(Buffer.from(`${text}\\n`));',
        ['server/run/ledger', 'server/run/shell'],
      ],
      [
        'a ledger is of its run',
        "if (entry.kind !== 'opened' || entry.run !== run) throw wrong(0",
        "if (entry.kind !== 'opened') throw wrong(0",
      ],
    ],
  ),
  ...mutantsOf(
    'server/run/committed',
    ['server/run/committed', 'server/run/finished'],
    [
      ['another attempt is in no model', 'committed.attempt === attempt && (known', '(known'],
      ['another update is in no model', "(known === updateSha256 || known === '')", '(known !== undefined)'],
      [
        'a round that is known is at hand',
        'round <= this.#rounds && !this.#atHand.has(round)',
        'round <= this.#rounds',
      ],
      ['sixteen rounds are at hand', 'this.#atHand.delete(round - AT_HAND);', 'this.#atHand.delete(round - 1);'],
      [
        'a checkpoint knows how many there were',
        "if (record.kind === 'checkpoint') this.#rounds = record.ledger.round;",
        '',
      ],
    ],
  ),
  ...mutantsOf(
    'server/run/rewind',
    ['e2e/simulate-resume', 'simulations/resume'],
    [
      [
        'a ledger is cut before its journal',
        'await cutLedger(join(directory, LEDGER_FILE), roundsIn(whole) + 1, files); // what it lacks is written again\n  await writeFileDurably(path, encodeJournal(whole)!, files); // its records were in a journal',
        'await writeFileDurably(path, encodeJournal(whole)!, files);\n  await cutLedger(join(directory, LEDGER_FILE), roundsIn(whole) + 1, files);',
      ],
      ['a ledger keeps its whole rounds', 'roundsIn(whole) + 1, files)', 'roundsIn(whole), files)'],
      ['a round that was cut short is made again', 'isCutShort ? lastEnd(last - 1) : last', 'last'],
    ],
  ),
  ...mutantsOf(
    'client/round/connection',
    ['client/round/connection'],
    [
      [
        'a welcome comes after a challenge',
        "if (!isCoordinator) return breakOff('welcome: expected a challenge first');",
        '',
      ],
      [
        'work comes after a welcome',
        'if (this.#session === undefined) return breakOff(`${frame.kind}: expected a welcome first`);',
        '',
      ],
      [
        'nobody is told to go for good by a stranger',
        'if (frame.retry || !isCoordinator) return;',
        'if (frame.retry) return;',
      ],
      ['a challenge is the coordinator’s', 'if (!isChallenge(login, signature)) {', 'if (false as boolean) {'],
      ['one challenge for a stream', "if (isAnswered) return breakOff('challenge: expected one for each stream');", ''],
      ['a stream has a nonce of its own', 'rng.split(`hello/${this.#opened++}`)', 'rng.split(`hello/${this.#opened}`)'],
      [
        'a session ends with its stream',
        'this.#greeting = undefined;\n    this.#session = undefined;\n    this.#deps.disconnected();',
        'this.#greeting = undefined;\n    this.#deps.disconnected();',
      ],
      ['failures are forgotten once it is in', 'this.#failures = 0;\n', ''],
      [
        'who is closed does not come back',
        '#ended(reason: string): void {\n    if (this.#closed) return;',
        '#ended(reason: string): void {',
      ],
      [
        'a wait has an end',
        'Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures)',
        'FIRST_BACKOFF_MS * 2 ** failures',
      ],
      ['waits end with it', 'for (const cancel of this.#waits) cancel();', ''],
      [
        'a proof is over the certificate that was shown',
        'isAnswered: false, channel: service.channel };',
        'isAnswered: false };',
        ['server/handshake', 'secure/door'],
      ],
    ],
  ),
  ...mutantsOf(
    'client/store/followed',
    ['client/store/followed'],
    [
      ['only what is later is followed', 'if (last !== undefined && !isLater(signed.task, last.task)) return;', ''],
      ['a judgement comes after the training of its round', "if (a.kind !== b.kind) return a.kind === 'evaluate';", ''],
      [
        'a task is durable when it resolves',
        'await save([...lastTasks.values()]);',
        'void save([...lastTasks.values()]);',
        ['client/store/followed', 'client/round/durable-before-said'],
      ],
      ['the last head is shown', 'if (round > (lastHeads.get(run)?.head.round ?? 0))', 'if (!lastHeads.has(run))'],
      ['so many runs are shown', 'if (map.size > MAX_SHOWN_RUNS)', 'if (map.size > MAX_SHOWN_RUNS + 1)'],
      [
        'the run that was heard of longest ago goes',
        'map.delete(run);\n  map.set(run, value);',
        'map.set(run, value);',
      ],
      ['heads outlive a restart', 'heads.forEach(head);', ''],
      [
        'writes are one after the other',
        'const written = writing.then(() => writeFileDurably(path, Buffer.from(text)));',
        'const written = writeFileDurably(path, Buffer.from(text));',
        ['client/store/followed', 'client/store/failing-disk'],
      ],
      [
        'a write that failed stops no other',
        'writing = written.catch(() => undefined); // whoever asked for it is told\n    return written;',
        'writing = written;\n    return written;',
        ['client/store/followed', 'client/store/failing-disk'],
      ],
    ],
  ),
];
