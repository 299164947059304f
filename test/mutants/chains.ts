/** Mutants of what is agreed on and remembered: encodings, figures with noise, ledgers and chains, the way of a client in. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const CHAINS = [
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
    ['shared/ledger/against', 'cli/commands/verify'],
    [
      ['a head is signed', "'head' in line ? isHeadSignedBy(line, key) :", "'head' in line ? true :"],
      ['a line is signed', ": isSignedBy('ledger', line, fromHex(key)),", ': true,'],
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
      ['a ledger is of this coordinator', 'if (coordinatorKeys.includes(entry.coordinatorKey)) return;', 'return;'],
      [
        'a last line that is not signed is written again',
        "if (isLast && !keys.some((key) => isSignedBy('ledger', line, fromHex(key)))) return [];",
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
        'where no ledger tells, no update is called dropped',
        "throw new FlError('not-found', `${LEDGER_FILE}: expected the ledger of a run, got no file`);",
        '',
        ['server/run/finished'],
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
        'const written = writing.then(() => writeFileDurably(path, Buffer.from(text), files));',
        'const written = writeFileDurably(path, Buffer.from(text), files);',
        ['client/store/followed'],
      ],
      [
        'a write that failed stops no other',
        'writing = written.catch(() => undefined); // whoever asked for it is told\n    return written;',
        'writing = written;\n    return written;',
        ['client/store/followed'],
      ],
    ],
  ),
];
