/**
 * A run directory checked offline, by whoever has a copy of it: the ledger against itself, the specification, the models
 * and the journal. It trusts no file of the directory; nothing is written.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { linesOf } from '../../shared/chain/chain.js';
import { systemFiles } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { type Contradiction, contradictionsOf, type Statement, statementsOf } from '../../shared/ledger/against.js';
import { type CheckedLedger, fingerprintOf, type LedgerTrust, verifyLedger } from '../../shared/ledger/verify.js';
import { readSpec, type StoredRunSpec } from '../../shared/run/spec.js';
import { type HandOver, keysFrom } from '../../shared/signing/hand-over.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { FINAL_MODEL_FILE } from '../journal/models.js';
import type { RunRecord } from '../journal/records.js';
import { HISTORY_FOLDER } from '../journal/segments.js';
import { readHandOvers } from '../keys.js';
import { LEDGER_FILE } from './ledger.js';
import { BEST_MODEL } from './model.js';
import { allRecordsOf, JOURNAL_FILE } from './run-journal.js';

/** What a check has found; `ok: false` names the first line that is wrong. */
export type RunCheck =
  | {
      readonly ok: true;
      readonly run: string;
      readonly rounds: number;
      /** SHA-256 of the coordinator's public key: to be compared with the one that a join token carried. */
      readonly coordinatorFingerprint: string;
      readonly modelSha256: string;
      /** Clients' signatures that were verified. */
      readonly survivorSignatures: number;
      /** SHA-256 of the last line. */
      readonly head: string;
      /** What could not be checked, and why. */
      readonly notes: readonly string[];
    }
  | {
      readonly ok: false;
      readonly file: string;
      /** From 1; 0: the file as a whole. */
      readonly line: number;
      readonly reason: string;
      /** Signed statements that contradict one another: keep them. */
      readonly evidence?: readonly Contradiction[];
    };

/** What is known from elsewhere, if anything: trust to begin with, and statements to compare. */
export interface CheckOptions extends Omit<LedgerTrust, 'spec' | 'handOvers'> {
  /** Lines or heads from elsewhere, to be compared. */
  readonly against?: Uint8Array;
}

/** Thrown inside, returned outside. */
class Fault extends Error {
  constructor(
    readonly file: string,
    readonly line: number,
    reason: string,
    readonly evidence?: readonly Contradiction[],
  ) {
    super(reason);
  }
}

/** @throws FlError not-found: there is no ledger; invalid-argument: `against` says nothing of this run */
export async function checkRun(directory: string, options: CheckOptions = {}): Promise<RunCheck> {
  // The journal first: of a run that goes on, the ledger may then be ahead of what was read, and never behind.
  const isDirectory = await stat(directory)
    .then((entry) => entry.isDirectory())
    .catch(() => true); // below, who reads says
  if (!isDirectory) throw new FlError('not-found', `${directory} is no run directory: it is a file`);
  const journal = await journalIn(directory);
  const content = await systemFiles.read(join(directory, LEDGER_FILE));
  if (content === undefined)
    throw new FlError('not-found', `${directory} is no run directory: it has no ${LEDGER_FILE}`);
  try {
    const about = await specIn(directory);
    const handOvers = await handOversBeside(directory);
    const ledger = verifyLedger(content, { ...options, spec: about.spec, handOvers });
    if (!ledger.ok) throw new Fault(LEDGER_FILE, ledger.line, ledger.reason);
    const { opened, rounds, hashes } = ledger;
    if (about.run !== opened.run) throw new Fault('run.json', 0, `run: expected ${opened.run}, got ${about.run}`);
    const notes = checkJournal(journal, ledger);
    const modelSha256 = rounds.at(-1)?.modelAfter ?? opened.modelSha256;
    await checkModels(directory, modelSha256, new Set(rounds.map(({ modelAfter }) => modelAfter)));
    await checkReport(directory, { rounds: rounds.length, modelSha256 });
    if (options.against !== undefined) {
      notes.push(...checkAgainst(content, ledger, { against: options.against, handOvers }));
    }
    const signatures = rounds.flatMap(({ secure }) => secure.flatMap((receipt) => receipt.signatures));
    return {
      ok: true,
      run: opened.run,
      rounds: rounds.length,
      coordinatorFingerprint: fingerprintOf(opened),
      modelSha256,
      survivorSignatures: signatures.length,
      head: hashes[hashes.length - 1],
      notes,
    };
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    const { file, line, message: reason, evidence } = thrown;
    return { ok: false, file, line, reason, ...(evidence && { evidence }) };
  }
}

async function specIn(directory: string): Promise<{ run: string; spec: StoredRunSpec }> {
  const file = await systemFiles.read(join(directory, 'run.json'));
  if (file === undefined) throw new Fault('run.json', 0, 'expected the file, got none');
  try {
    const about = JSON.parse(Buffer.from(file).toString('utf8')) as { run: string; spec: StoredRunSpec };
    readSpec(about.spec);
    return about;
  } catch (thrown) {
    throw new Fault('run.json', 0, FlError.from(thrown).message);
  }
}

/** All its records, or what is wrong with them; undefined: it has no journal. */
async function journalIn(directory: string): Promise<RunRecord[] | Fault | undefined> {
  if ((await systemFiles.read(join(directory, JOURNAL_FILE))) === undefined) return undefined;
  try {
    return await allRecordsOf(directory);
  } catch (thrown) {
    const { message } = FlError.from(thrown);
    const [file, ...rest] = message.startsWith(HISTORY_FOLDER) ? message.split(': ') : [JOURNAL_FILE, message];
    return new Fault(file, 0, rest.join(': '));
  }
}

/** That no line is missing at the end; returns what could not be seen. */
function checkJournal(records: readonly RunRecord[] | Fault | undefined, { rounds }: CheckedLedger): string[] {
  const unseen = 'lines cut off the end of the ledger would not be seen';
  if (records === undefined) return [`journal.log is not here: ${unseen}`];
  if (records instanceof Fault) throw records;
  const committed = records.filter((record) => record.kind === 'committed');
  for (const [index, { round, modelSha256 }] of committed.entries()) {
    const line = index + 2;
    const entry = rounds[index];
    const isInFlight = committed.length === index + 1 && records.at(-1)?.kind === 'committed';
    if (entry === undefined && isInFlight)
      return [`round ${round} is in the journal only: its line was about to be written`];
    if (entry === undefined) throw new Fault(LEDGER_FILE, line, `expected round ${round}, got the end of the file`);
    if (entry.round === round && entry.modelAfter === modelSha256) continue;
    throw new Fault(
      LEDGER_FILE,
      line,
      `modelAfter: expected ${modelSha256}, as in the journal, got ${entry.modelAfter}`,
    );
  }
  const goesOn = records.at(-1)?.kind !== 'ended';
  if (rounds.length > committed.length && !goesOn) {
    throw new Fault('journal.log', 0, `expected ${rounds.length} committed rounds, got ${committed.length}`);
  }
  return goesOn ? ['the run had not ended'] : [];
}

/** The last line's model must be there; each file must be what its name says, `final` that of the last line, `best` a round's. */
async function checkModels(directory: string, modelSha256: string, made: ReadonlySet<string>): Promise<void> {
  const folder = join(directory, 'models');
  const names = (await systemFiles.list(folder).catch(() => [])).filter((name) => name.endsWith('.safetensors'));
  const last = `${modelSha256}.safetensors`;
  if (!names.includes(last)) throw new Fault(`models/${last}`, 0, 'expected the model of the last round, got no file');
  for (const name of names) {
    const file = await systemFiles.read(join(folder, name));
    if (file === undefined) continue; // a run that goes on has dropped it meanwhile
    try {
      const got = sha256Of(decode(file).params);
      if (`models/${name}` === BEST_MODEL && made.has(got)) continue;
      const expected = name === FINAL_MODEL_FILE ? modelSha256 : name.split('.')[0];
      if (got === expected) continue;
      throw new FlError('corrupt', `parameters: expected SHA-256 ${expected}, got ${got}`);
    } catch (thrown) {
      throw new Fault(`models/${name}`, 0, FlError.from(thrown).message);
    }
  }
}

/** report.json is written when a run has ended, and is what people look at. */
async function checkReport(directory: string, ledger: { rounds: number; modelSha256: string }): Promise<void> {
  const file = await systemFiles.read(join(directory, 'report.json'));
  if (file === undefined) return;
  let report: { rounds: readonly unknown[]; modelSha256: string };
  try {
    report = JSON.parse(Buffer.from(file).toString('utf8')) as typeof report;
  } catch (thrown) {
    throw new Fault('report.json', 0, FlError.from(thrown).message);
  }
  const rounds = report.rounds?.length;
  if (!(rounds <= ledger.rounds)) throw new Fault('report.json', 0, `rounds: expected ${ledger.rounds}, got ${rounds}`);
  if (rounds < ledger.rounds || report.modelSha256 === ledger.modelSha256) return; // an older one, of a run that went on
  throw new Fault('report.json', 0, `modelSha256: expected ${ledger.modelSha256}, got ${report.modelSha256}`);
}

/** Of a run in its coordinator's data directory: how that came to its key of now. They prove themselves, or are nothing. */
async function handOversBeside(directory: string): Promise<readonly HandOver[]> {
  return readHandOvers(join(directory, '..', '..')).catch(() => []);
}

function coordinatorKeysOf(
  { coordinatorKey }: CheckedLedger['opened'],
  rounds: CheckedLedger['rounds'],
  beside: readonly HandOver[],
): readonly string[] {
  const { handOvers = [] } = rounds.at(-1) ?? {};
  const keys = [handOvers, beside].flatMap((words) => keysFrom('coordinator', coordinatorKey, words));
  return [...new Set(keys)];
}

/** Returns what is no evidence. */
function checkAgainst(
  content: Uint8Array,
  { opened, rounds, hashes }: CheckedLedger,
  { against, handOvers }: { readonly against: Uint8Array; readonly handOvers: readonly HandOver[] },
): string[] {
  const { statements, foreign } = statementsOf(against, coordinatorKeysOf(opened, rounds, handOvers));
  const ours = linesOf(content).map((text, index): Statement => {
    return { run: opened.run, round: index, lineSha256: hashes[index], text };
  });
  const same = statements.filter(({ run }) => run === opened.run);
  if (same.length === 0) {
    const what = `${statements.length} of this coordinator about other runs, ${foreign} by others`;
    throw new FlError('invalid-argument', `against: expected statements about run ${opened.run}, got ${what}`);
  }
  const evidence = contradictionsOf(ours, same);
  if (evidence.length === 0)
    return foreign === 0 ? [] : [`${foreign} of the lines compared are not signed by this coordinator`];
  const where = evidence.map(({ round, what }) => `round ${round}: ${what}`).join('; ');
  throw new Fault(LEDGER_FILE, evidence[0].round + 1, `the coordinator has told two stories: ${where}`, evidence);
}
