/**
 * The mutation lane: tries each mutant against the specs of its room, the quickest first, and says which test noticed.
 * `npm run mutants [-- TEXT]`; with TEXT only mutants whose file or claim has it. A text that is no longer in the source is
 * an error, for then nobody knows what the row still says; so is a row whose specs fail without it.
 *
 * A spec that is quick and keeps to one process is tried in a process that loads it anew for each mutant, a few of them, and
 * at last without one: if it fails then, or the process is gone, that process has judged nothing. Those mutants, whatever
 * survived, and other specs are tried one by one: a process each, on a copy of the build.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { transformSync } from 'esbuild';
import { CHAINS } from './chains.js';
import { CLIENT } from './client.js';
import { CORE } from './core.js';
import { DOORS } from './doors.js';
import { judgeIn } from './judges.js';
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
import type { Outcome } from './trial.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const WORKERS = 2;
/** Of one process. */
const MOST_TRIALS = 10;
/** Beside a spec that takes longer, the start of a process is nothing. */
const QUICK_MS = 5_000;
/** A spec that takes so many times what it takes without a mutant has noticed, too: a loop that never ends. */
const PATIENCE = 10;
const LEAST_LIMIT_MS = 60_000;

/** What the mutant is built to. @throws Error: its text is not there, or not once, or what stands there instead is no source */
function mutated({ file, find, replace }: Mutant): string {
  const parts = readFileSync(join(ROOT, `${file}.ts`), 'utf8').split(find);
  if (parts.length !== 2) throw new Error(`${file}: expected once, found ${parts.length - 1} times: ${find}`);
  return transformSync(parts.join(replace), {
    ...{ loader: 'ts', format: 'esm', target: 'es2023', sourcefile: `${file}.ts`, logLevel: 'error' },
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  }).code;
}

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

const limitOf = ({ tookMs }: Known) => Math.max(LEAST_LIMIT_MS, PATIENCE * tookMs);

/** One spec in a process of its own, on the build of this folder. */
async function tryAlone(folder: string, spec: string, limitMs: number): Promise<Outcome | 'gone'> {
  const judge = judgeIn(folder);
  const outcome = await judge.try({ spec, id: 0 }, limitMs);
  judge.end();
  return outcome;
}

/** The test that fails with the mutant in this folder’s build, if one does. */
async function noticedAlone(folder: string, mutant: Mutant, known: Known): Promise<string | undefined> {
  const target = join(folder, 'dist', `${mutant.file}.js`);
  const original = readFileSync(target);
  writeFileSync(target, mutated(mutant));
  try {
    const outcome = await tryAlone(folder, known.spec, limitOf(known));
    return outcome === 'gone' ? 'it does not end' : outcome.failed;
  } finally {
    writeFileSync(target, original);
  }
}

/** The tests that fail with each of these mutants, in one process; undefined: it has judged nothing. */
async function noticedTogether(
  folder: string,
  some: readonly Mutant[],
  known: Known,
): Promise<Map<Mutant, string> | undefined> {
  const { spec } = known;
  const noticed = new Map<Mutant, string>();
  const judge = judgeIn(ROOT);
  try {
    for (const [id, mutant] of some.entries()) {
      const source = join(folder, 'mutants', `${id}.js`);
      mkdirSync(dirname(source), { recursive: true });
      writeFileSync(source, mutated(mutant));
      const outcome = await judge.try({ spec, id, instead: { file: mutant.file, source } }, limitOf(known));
      if (outcome === 'gone' || outcome.isStray) return undefined;
      if (outcome.failed !== undefined) noticed.set(mutant, outcome.failed);
    }
    const last = await judge.try({ spec, id: some.length }, limitOf(known));
    return last === 'gone' || last.failed !== undefined ? undefined : noticed;
  } finally {
    judge.end();
  }
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
for (const mutant of mutants) mutated(mutant); // before anything takes time
const killed = new Set<Mutant>();

function kill(mutant: Mutant, { spec }: Known, test: string): void {
  if (killed.has(mutant)) return;
  killed.add(mutant);
  say(`killed   ${mutant.file}: ${mutant.claim} (${spec}: ${test})`);
}

/** A few mutants of a spec at a time that are still alive when it is their turn. */
function* turns(specs: readonly Known[], most: number): Iterable<{ known: Known; some: Mutant[] }> {
  for (const known of specs) {
    const own = mutants.filter(({ specs }) => specs.includes(known.spec));
    for (let rest = own; rest.length > 0; ) {
      rest = rest.filter((mutant) => !killed.has(mutant));
      if (rest.length > 0) yield { known, some: rest.slice(0, most) };
      rest = rest.slice(most);
    }
  }
}

async function judgeAlone(folder: string, { known, some }: { known: Known; some: Mutant[] }): Promise<void> {
  for (const mutant of some) {
    const test = await noticedAlone(folder, mutant, known);
    if (test !== undefined) kill(mutant, known, test);
  }
}

const folders = Array.from({ length: WORKERS }, workplace);
const good: Known[] = [];
try {
  await inFolders(new Set(mutants.flatMap(({ specs }) => specs)), async (folder, spec) => {
    const outcome = await tryAlone(folder, spec, 10 * LEAST_LIMIT_MS);
    if (outcome === 'gone' || outcome.failed !== undefined) {
      say(
        `${spec} fails without any mutant, and judges none: ${outcome === 'gone' ? 'it does not end' : outcome.failed}`,
      );
    } else good.push({ spec, tookMs: outcome.tookMs, isShared: !outcome.hasOthers && outcome.tookMs < QUICK_MS });
  });
  good.sort((a, b) => a.tookMs - b.tookMs);
  const shared = good.filter(({ isShared }) => isShared);
  await inFolders(turns(shared, MOST_TRIALS), async (folder, { known, some }) => {
    const noticed = await noticedTogether(folder, some, known);
    if (noticed === undefined) await judgeAlone(folder, { known, some });
    else for (const [mutant, test] of noticed) kill(mutant, known, test);
  });
  await inFolders(turns(good, 1), judgeAlone);
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
const left = mutants.filter((mutant) => !killed.has(mutant));
const isJudged = ({ specs }: Mutant) => specs.every((spec) => good.some((known) => known.spec === spec));
for (const mutant of left) {
  const { file, claim, find, replace } = mutant;
  say(`\n${isJudged(mutant) ? 'SURVIVED' : 'NOT JUDGED'} ${file}: ${claim}\n  - ${find}\n  + ${replace}`);
}
say(`${killed.size} passed, ${left.length} failed`);
process.exitCode = left.length > 0 ? 1 : 0;
