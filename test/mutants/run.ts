/**
 * The mutation lane: tries each mutant against the specs of its room, the quickest first, and says which test noticed.
 * `npm run mutants [-- TEXT]`; with TEXT only mutants whose file or claim has it. A text that is no longer in the source is
 * an error, for then nobody knows what the row still says; so is a row whose specs fail without it.
 *
 * Mutants of a spec that starts no process and no thread are tried a few in one process, which loads all modules anew for
 * each. What survives, and other specs, are tried in a process for each mutant, on a copy of the build. After a few mutants
 * the spec is run without any: if it fails then, they were not judged.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CHAINS } from './chains.js';
import { CLIENT } from './client.js';
import { CORE } from './core.js';
import { DOORS } from './doors.js';
import { apart, mutated, noticed, together } from './judges.js';
import { MASKS } from './masks.js';
import type { Mutant } from './mutant.js';
import { POLICY } from './policy.js';
import { PROOFS } from './proofs.js';
import { ROUNDS } from './rounds.js';
import { RUNS } from './runs.js';
import { SECAGG_SHELL } from './secagg-shell.js';
import { SERVER } from './server.js';
import { SERVICE } from './service.js';
import { SHARED } from './shared.js';
import { STORES } from './stores.js';
import { TRAINING } from './training.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const WORKERS = 2;
/** Of one process. */
const MOST_TRIALS = 10;
/** A spec that takes so many times what it takes without a mutant has noticed, too: a loop that never ends. */
const PATIENCE = 10;
const LEAST_LIMIT_MS = 60_000;
/** Without a mutant. */
const MOST_MS = 600_000;

/** A folder that looks like the repository and has a build of its own. */
function workplace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'starling-mutants-'));
  for (const name of readdirSync(ROOT)) {
    if (name === 'dist') cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    else if (name !== '.git') symlinkSync(join(ROOT, name), join(folder, name));
  }
  return folder;
}

/** What a spec does without a mutant. */
interface Known {
  readonly spec: string;
  readonly tookMs: number;
  readonly isShared: boolean;
}

/** Mutants of one spec. */
interface Turn {
  readonly known: Known;
  readonly some: readonly Mutant[];
}

/** Each item once, by whichever folder is free. */
async function inFolders<T>(items: Iterable<T>, act: (folder: string, item: T) => Promise<void>): Promise<void> {
  const rest = items[Symbol.iterator]();
  const all = { [Symbol.iterator]: () => rest };
  await Promise.all(
    folders.map(async (folder) => {
      for (const item of all) await act(folder, item);
    }),
  );
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const wanted = process.argv[2] ?? '';
const ROOMS = [
  ...[SHARED, MASKS, PROOFS, CORE, CHAINS, SERVER, ROUNDS, DOORS, SERVICE, RUNS, SECAGG_SHELL],
  ...[CLIENT, POLICY, STORES, TRAINING],
];
const mutants = ROOMS.flat().filter(({ file, claim }) => `${file} ${claim}`.includes(wanted));
for (const mutant of mutants) mutated(ROOT, mutant); // before anything takes time
const killed = new Set<Mutant>();
/** Of these at least one spec has said nothing. */
const open = new Set<Mutant>();

function kill(mutant: Mutant, spec: string, test: string): void {
  if (killed.has(mutant)) return;
  killed.add(mutant);
  say(`killed   ${mutant.file}: ${mutant.claim} (${spec}: ${test})`);
}

function judgesNone(spec: string, some: readonly Mutant[], why: string): void {
  for (const mutant of some) open.add(mutant);
  say(`${spec} judges none of ${some.length}: without a mutant, ${why}`);
}

const ofSpec = (spec: string) => mutants.filter(({ specs }) => specs.includes(spec));

/** A few mutants of a spec at a time, of those that are alive when it is their turn. */
function* turns(specs: readonly Known[]): Iterable<Turn> {
  for (const known of specs) {
    for (let rest = ofSpec(known.spec); rest.length > 0; rest = rest.slice(MOST_TRIALS)) {
      rest = rest.filter((mutant) => !killed.has(mutant));
      if (rest.length > 0) yield { known, some: rest.slice(0, MOST_TRIALS) };
    }
  }
}

async function judge(folder: string, { known, some }: Turn, courtOf = apart): Promise<void> {
  const { spec, tookMs } = known;
  const court = courtOf(folder, spec, Math.max(LEAST_LIMIT_MS, PATIENCE * tookMs));
  const tests = await noticed(some, court).finally(court.end);
  if (tests !== undefined) for (const [mutant, test] of tests) kill(mutant, spec, test);
  else if (!court.isShared) judgesNone(spec, some, 'it fails now, or takes much longer');
}

/** What this spec does without a mutant, if it is any good. */
async function asIs(folder: string, spec: string): Promise<Known | undefined> {
  const outcome = await apart(folder, spec, MOST_MS).try();
  if (outcome !== 'gone' && outcome.failed === undefined) {
    const { tookMs, hasOthers } = outcome;
    return { spec, tookMs, isShared: !hasOthers };
  }
  judgesNone(spec, ofSpec(spec), outcome === 'gone' ? 'it does not end' : `it fails: ${outcome.failed}`);
  return undefined;
}

const folders = Array.from({ length: WORKERS }, workplace);
try {
  const good: Known[] = [];
  await inFolders(new Set(mutants.flatMap(({ specs }) => specs)), async (folder, spec) => {
    const known = await asIs(folder, spec);
    if (known !== undefined) good.push(known);
  });
  good.sort((a, b) => a.tookMs - b.tookMs);
  const shared = good.filter(({ isShared }) => isShared);
  await inFolders(turns(shared), (folder, turn) => judge(folder, turn, together));
  await inFolders(turns(good), judge);
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
const left = mutants.filter((mutant) => !killed.has(mutant));
for (const mutant of left) {
  const { file, claim, find, replace } = mutant;
  say(`\n${open.has(mutant) ? 'NOT JUDGED' : 'SURVIVED'} ${file}: ${claim}\n  - ${find}\n  + ${replace}`);
}
say(`${killed.size} passed, ${left.length} failed`);
process.exitCode = left.length > 0 ? 1 : 0;
