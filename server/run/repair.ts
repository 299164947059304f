/**
 * What can be mended in the directory of a run that nobody has open: what follows from another file is written again from
 * it, and a last record that was never promised is cut off. The journal's records and the models follow from nothing: when
 * one of these is damaged, the message says so and what to do. Nothing that is replaced is lost, and nothing that was
 * signed is unsaid: a line of the ledger that is whole and by this coordinator's key must be in what is written.
 */
import { basename, join } from 'node:path';
import { isSignedBy } from '../../shared/chain/chain.js';
import { removeTemporaries } from '../../shared/disk/aside.js';
import { systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { fromHex } from '../../shared/hex.js';
import { parseLine } from '../../shared/ledger/entry.js';
import { specOf } from '../../shared/run/spec.js';
import { allKeysOf, type Identity, sha256Hex } from '../../shared/signing/identity.js';
import { layoutOf } from '../../shared/tensors/params.js';
import { mendMagic, parseJournal } from '../journal/journal.js';
import { openModels } from '../journal/models.js';
import { checkpointIn, createdIn, type RunRecord } from '../journal/records.js';
import { readSegment } from '../journal/segments.js';
import { restore } from '../round/restore.js';
import { parseStrategy } from '../strategies/index.js';
import { LEDGER_FILE, ledgerLines } from './ledger.js';
import { openModel } from './model.js';
import { JOURNAL_FILE } from './run-journal.js';

/**
 * Mends the run in `directory` as far as it goes; a sentence for each thing done, none when nothing was to be done.
 * @throws FlError corrupt: the message begins with the file that is beyond repair, and ends with what to do
 */
export async function repairRun(directory: string, identity: Identity): Promise<string[]> {
  for (const folder of [directory, join(directory, 'strategy')]) await removeTemporaries(folder);
  const journal = await readJournal(directory);
  const { records } = journal;
  const ledger = await readLedger(directory, await withPast(directory, records), identity);
  await checkModel(directory, records);
  const done: string[] = []; // nothing is written before all that follows from nothing is found whole
  if (journal.isToMend) {
    await replace(directory, JOURNAL_FILE, journal.found, journal.whole);
    const tornBytes = journal.found.length - journal.whole.length;
    if (tornBytes === 0) done.push(`${JOURNAL_FILE}: its first bytes were written again`);
    else done.push(`${JOURNAL_FILE}: ${tornBytes} bytes after the last whole record were cut off`);
  }
  if (!ledger.whole.equals(ledger.found)) {
    await replace(directory, LEDGER_FILE, ledger.found, ledger.whole);
    done.push(`${LEDGER_FILE}: ${ledger.lines} lines were written from ${JOURNAL_FILE}`);
  }
  await mendAbout(directory, records, done);
  return done;
}

async function readJournal(directory: string) {
  const found = await systemFiles.read(join(directory, JOURNAL_FILE));
  if (found === undefined) throw beyond(directory, JOURNAL_FILE, 'it is gone, and it follows from no other file');
  const mended = mendMagic(found);
  try {
    const { records, endBytes } = parseJournal(mended);
    createdIn(records as RunRecord[]);
    const whole = mended.subarray(0, endBytes);
    return { found, whole, records: records as RunRecord[], isToMend: mended !== found || endBytes < found.length };
  } catch (thrown) {
    throw beyond(directory, JOURNAL_FILE, FlError.from(thrown).message, thrown);
  }
}

/** With what was moved out of the journal, which follows from nothing either. */
async function withPast(directory: string, records: readonly RunRecord[]): Promise<readonly RunRecord[]> {
  const checkpoint = checkpointIn(records);
  if (checkpoint === undefined) return records;
  const all = records.slice(0, 1);
  for (let number = 1; number <= checkpoint.segments; number++) {
    const past = await readSegment(directory, number).catch((thrown) => {
      const [file, ...why] = FlError.from(thrown).message.split(': ');
      throw beyond(directory, file, why.join(': '), thrown);
    });
    for (const record of past) all.push(record);
  }
  return [...all, ...records.slice(2)];
}

async function readLedger(directory: string, records: readonly RunRecord[], identity: Identity) {
  const found = (await systemFiles.read(join(directory, LEDGER_FILE))) ?? new Uint8Array(0);
  const texts = Buffer.from(found).toString('utf8').split('\n');
  const lines = ledgerLines(records, identity, texts.map(legible));
  for (const [index, text] of texts.entries()) {
    checkKept(directory, { text, number: index + 1 }, { lines: new Set(lines), identity });
  }
  return { found, whole: Buffer.from(lines.map((line) => `${line}\n`).join('')), lines: lines.length };
}

async function checkModel(directory: string, records: readonly RunRecord[]): Promise<void> {
  const { spec: stored, modelSha256: firstSha256 } = createdIn(records);
  const { modelSha256: sha256 } = restore(records, 0)[0];
  const { work, engine } = specOf(stored);
  const given = { layout: layoutOf(work.model), strategy: parseStrategy(engine.strategy) };
  try {
    const models = await openModels(join(directory, 'models'));
    await openModel(models, { directory, sha256, ...given, isMoved: sha256 !== firstSha256 });
  } catch (thrown) {
    const { message } = FlError.from(thrown);
    const [file, ...why] = message.split(': ');
    throw beyond(directory, file, why.join(': '), thrown);
  }
}

/** Clients hold its hash: a line that this coordinator has signed stays what it is. */
function checkKept(
  directory: string,
  { text, number }: { text: string; number: number },
  { lines, identity }: { lines: ReadonlySet<string>; identity: Identity },
): void {
  if (lines.has(text)) return;
  const line = legible(text);
  if (line === undefined) return;
  const { entry } = line;
  const keys = allKeysOf(identity);
  if (entry.kind === 'opened' && !keys.includes(entry.coordinatorKey))
    throw beyond(directory, LEDGER_FILE, `line ${number}: begun under another coordinator's key`);
  if (!keys.some((key) => isSignedBy('ledger', line, fromHex(key)))) return;
  if (entry.kind === 'round' && entry.round >= lines.size)
    throw beyond(directory, JOURNAL_FILE, `it has lost round ${entry.round}, which ${LEDGER_FILE} has, signed`);
  throw beyond(directory, JOURNAL_FILE, `line ${number} of ${LEDGER_FILE} is signed, and says something else`);
}

function legible(text: string) {
  try {
    return parseLine(text);
  } catch {
    return undefined;
  }
}

/** run.json is for people: what the journal does not know of it (version, machine) stays away. */
async function mendAbout(directory: string, records: readonly RunRecord[], done: string[]): Promise<void> {
  const found = await systemFiles.read(join(directory, 'run.json'));
  try {
    if (found !== undefined && JSON.parse(Buffer.from(found).toString('utf8')) !== null) return;
  } catch {} // it is no JSON
  const { run, spec, atMs: createdAtMs } = createdIn(records);
  const text = `${JSON.stringify({ run, createdAtMs, spec }, null, 2)}\n`;
  await replace(directory, 'run.json', found, Buffer.from(text));
  done.push(`run.json: written from ${JOURNAL_FILE}`);
}

/** Durable and at once; what was there stays beside it, under a name of its own. */
async function replace(directory: string, name: string, old: Uint8Array | undefined, bytes: Uint8Array): Promise<void> {
  const path = join(directory, name);
  if (old !== undefined && old.length > 0) await writeFileDurably(`${path}.damaged-${sha256Hex(old).slice(0, 8)}`, old);
  await writeFileDurably(path, bytes);
}

function beyond(directory: string, file: string, why: string, cause?: unknown): FlError {
  const run = basename(directory);
  const model = file.startsWith('models/') ? '; any model file whose parameters have this hash is the one' : '';
  const next = `put ${join(directory, file)} back from a backup and run "starling run repair ${run}" again${model}; or put what is left of the run aside: starling run archive ${run}`;
  return new FlError('corrupt', `${file}: beyond repair: ${why}; next: ${next}`, { cause });
}
