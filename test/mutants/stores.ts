/** Mutants of the stores of a client. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of the source
import { mutantsOf } from './mutant.js';

export const STORES = [
  ...mutantsOf(
    'client/store/openings',
    ['client/store/failing-disk', 'client/store/openings'],
    [
      [
        'the second of two takes its line back',
        'if (found !== undefined) await append(path, canonicalJson({ takenBack: claim.claim }));',
        '',
      ],
      ['noised and exact openings are apart', '&& known.isNoised === next.isNoised', ''],
      ['openings are by membership', 'known.own === next.own && ', ''],
      [
        'one after the other',
        'admit: (next, minDifference) => inTurn(() => admit(next, minDifference))',
        'admit: (next, minDifference) => admit(next, minDifference)',
      ],
      ['a line that was taken back counts no more', 'claim !== added.takenBack', 'claim !== place'],
      [
        'a failed disk does not stop the next',
        'last = done.catch(() => undefined); // whoever asked for it is told\n    return done;',
        'last = done;\n    return done;',
      ],
      [
        'an opening is refused early',
        'if (early !== undefined || known.has(next)) return early;',
        'if (known.has(next)) return early;',
      ],
    ],
  ),
  ...mutantsOf(
    'shared/chain/rolling',
    ['client/store/failing-disk', 'client/store/site-log'],
    [
      ['so many full files are kept', 'older.length + 1 - keptFiles', 'older.length - keptFiles'],
      [
        'the chain goes on from what is on the disk',
        'await file.append(line);\n    sizeBytes += line.length;\n    previous = lineSha256(text);',
        'previous = lineSha256(text);\n    sizeBytes += line.length;\n    await file.append(line);',
      ],
      ['a chain is checked', 'whose, previous }', 'whose, previous: undefined }'],
      [
        'a chain runs on from file to file',
        'for (const bytes of [content, before &&',
        'for (const bytes of [content, false as never &&',
      ],
      ['files are ordered by number', 'numbers.sort((a, b) => a - b)', 'numbers.sort()'],
      ['a first line fits any file', 'if (sizeBytes > 0 && sizeBytes', 'if (sizeBytes'],
      ['a full file is exactly full', 'sizeBytes + line.length > fileBytes', 'sizeBytes + line.length >= fileBytes'],
      ['lines are one after the other', 'const added = last.then(() => write(event));', 'const added = write(event);'],
      [
        'a line that failed does not stop the next',
        'last = added.catch(() => undefined); // whoever asked for it is told\n      return added;',
        'last = added;\n      return added;',
      ],
      ['a line is durable when it resolves', 'await file.append(line);', 'void file.append(line);'],
    ],
  ),
  ...mutantsOf(
    'client/store/begun-runs',
    ['client/store/failing-disk', 'client/policy/site'],
    [
      ['a run is durable when it is begun', 'await lines.append(Buffer', 'void lines.append(Buffer'],
      [
        'a run is known when it is durable',
        'await lines.append(Buffer.from(`${canonicalJson(run)}\\n`));\n      all.push(run);',
        'all.push(run);\n      await lines.append(Buffer.from(`${canonicalJson(run)}\\n`));',
      ],
      ['lines are checked', 'checkAgainst(begunRun, value, path);', ''],
    ],
  ),
  ...mutantsOf(
    'client/store/ledger-heads',
    ['client/store/ledger-heads'],
    [
      ['an old file does not replace the new one', '&& !names.includes(LEDGER_HEADS_FILE)', ''],
      ['an old file gets the new name', 'if (names.includes(OLD_FILE) &&', 'if (names.includes(LEDGER_HEADS_FILE) &&'],
    ],
  ),
  ...mutantsOf(
    'client/store/secagg',
    ['client/store/failing-disk', 'client/store/secagg'],
    [
      ['a vector of the round itself is bound', 'round > last.round ||', 'round >= last.round ||'],
      [
        'the state is there before the id is used',
        'await save.current();\n      if (isNew) await save.used(id);',
        'if (isNew) await save.used(id);\n      await save.current();',
      ],
      ['a crash between two files is mended', 'kept.used.add(current.id); // a crash', '// a crash'],
      ['an older aggregation says nothing more', 'if (!isNew && kept.current?.id !== id) return;', ''],
      [
        'training and evaluation are apart',
        'const last = kept.masked.get(`${run}/${kind}`)',
        'const last = kept.masked.get(`${run}/train`)',
      ],
      [
        'a save that failed does not stop the next',
        'writing = written.catch(() => undefined); // whoever asked for it is told\n    return written;',
        'writing = written;\n    return written;',
      ],
    ],
  ),
  ...mutantsOf(
    'client/store/privacy-account',
    ['client/store/failing-disk', 'client/store/privacy-account', 'client/round/durable-before-said'],
    [
      [
        'a charge that failed does not stop the next',
        'last = charged.catch(() => undefined); // whoever asked is told',
        'last = charged;',
      ],
      ['what is charged costs a run nothing more', '(isCharged(plan) ? 1 : 0) }', '0 }'],
      ['a charge has its sampler error', 'samplerError: exampleSamplerErrorOf(plan),', 'samplerError: 0,'],
      ['an evaluation’s round is trained', "kind === 'train' ? round : round + 1)", 'round)'],
      ['each round ahead has its sampler error', 'more[kind] * exampleSamplerErrorOf', 'exampleSamplerErrorOf'],
      ['what was spent counts', '[...spendsOf(charges), ...ahead', '[...ahead'],
      [
        'what was charged has its sampler error',
        'samplerErrorOf(charges));\n    return Math.max(',
        '0);\n    return Math.max(',
      ],
      ['evaluations ahead are charged', "kind === 'train' || round < work.rounds;", "kind === 'train';"],
    ],
  ),
  ...mutantsOf(
    'client/store/releases',
    [
      'client/store/failing-disk',
      'client/store/releases',
      'client/round/privatize',
      'client/round/durable-before-said',
    ],
    [
      ['the round itself is settled', 'entry.round > round) return;', 'entry.round >= round) return;'],
      ['an older attempt is refused', '|| (id !== last.id && attempt < last.attempt)) {', ') {'],
      ['values have their hash', 'if (sha256Of({ values }) !== sha256) throw', 'if (false as boolean) throw'],
      [
        'a release is erased when settling resolves',
        'await disk.write(run, settled);',
        'void disk.write(run, settled);',
      ],
      [
        'where a run stood outlives a failed write',
        'entries.set(run, { round, attempt, id, isSettled: false });',
        'entries.delete(run);',
      ],
      ['half-written values go', "if (name.endsWith('.tmp')) await unlink(join(directory, name));", ';'],
      [
        'a second draw for one attempt is refused',
        '|| attempt > last.attempt || isByAggregation)',
        '|| attempt >= last.attempt || isByAggregation)',
      ],
      [
        'another draw finds the one that is being written',
        'entries.set(run, entry); // before',
        'await saved.catch(() => 0); entries.set(run, entry); // before',
      ],
    ],
  ),
  ...mutantsOf(
    'client/store/updates',
    ['client/store/updates'],
    [
      [
        'what is forgotten is not read',
        'if (last !== undefined && fileOf(last.header) === fileOf(update)) last = undefined;',
        '',
      ],
      [
        'attempts have files of their own',
        'return `${run}.${round}.${attempt}.update`',
        'return `${run}.${round}.update`',
      ],
      ['a forgotten update is gone from the disk', 'await rm(join(updates, fileOf(update)), { force: true });', ''],
      [
        'the update in memory is the one asked for',
        'if (last !== undefined && fileOf(last.header) === fileOf(update)) return last;',
        'if (last !== undefined) return last;',
      ],
    ],
  ),
];
