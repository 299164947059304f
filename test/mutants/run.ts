/**
 * The mutation lane: applies each mutant to a copy of the build, runs the specs of its room, the quickest first, and says
 * which noticed. `npm run mutants [-- TEXT]`; with TEXT only mutants whose file or claim has it. A text that is no longer in
 * the source is an error, for then nobody knows what the row still says.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { transformSync } from 'esbuild';
import { CHAINS } from './chains.js';
import { CLIENT } from './client.js';
import { CORE } from './core.js';
import { DOORS } from './doors.js';
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
/** A spec that takes so many times what it takes without a mutant has noticed, too: a loop that never ends. */
const PATIENCE = 20;
const LEAST_LIMIT_MS = 120_000;

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

/** How a spec went in this folder. */
function run(folder: string, spec: string, limitMs?: number): Promise<{ isGood: boolean; tookMs: number }> {
  const mocha = [
    join(ROOT, 'node_modules/mocha/bin/mocha.js'),
    '--no-config',
    '--exit',
    '--bail',
    '--timeout',
    '60000',
  ];
  const required = ['--require', 'dist/test/support/properties.js', `dist/test/${spec}.spec.js`];
  const began = performance.now();
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [...mocha, ...required], { cwd: folder, stdio: 'ignore', timeout: limitMs });
    child.on('error', failed);
    child.on('close', (code) => done({ isGood: code === 0, tookMs: performance.now() - began }));
  });
}

/** The spec of its room that fails with the mutant, if one does; `tookMs`: of each spec that passes without it. */
async function killerOf(
  folder: string,
  mutant: Mutant,
  tookMs: ReadonlyMap<string, number>,
): Promise<string | undefined> {
  const target = join(folder, 'dist', `${mutant.file}.js`);
  const original = readFileSync(target);
  const known = mutant.specs.flatMap((spec) => {
    const ms = tookMs.get(spec);
    return ms === undefined ? [] : [{ spec, ms }];
  });
  writeFileSync(target, mutated(mutant));
  try {
    for (const { spec, ms } of known.sort((a, b) => a.ms - b.ms)) {
      const { isGood } = await run(folder, spec, Math.max(LEAST_LIMIT_MS, Math.ceil(PATIENCE * ms)));
      if (!isGood) return spec;
    }
    return undefined;
  } finally {
    writeFileSync(target, original);
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

const wanted = process.argv[2] ?? '';
const ROOMS = [
  ...[SHARED, MASKS, PROOFS, CORE, CHAINS, SERVER, ROUNDS, DOORS, SERVICE, RUNS, SECAGG_SHELL],
  ...[CLIENT, POLICY, STORES, TRAINING],
];
const mutants = ROOMS.flat().filter(({ file, claim }) => `${file} ${claim}`.includes(wanted));
for (const mutant of mutants) mutated(mutant); // before anything takes time
const folders = Array.from({ length: WORKERS }, workplace);
const survivors: Mutant[] = [];
try {
  const tookMs = new Map<string, number>();
  await inFolders(new Set(mutants.flatMap(({ specs }) => specs)), async (folder, spec) => {
    const result = await run(folder, spec);
    if (result.isGood) tookMs.set(spec, result.tookMs);
    else process.stdout.write(`${spec} fails without any mutant: it judges none\n`);
  });
  await inFolders(mutants, async (folder, mutant) => {
    const killer = await killerOf(folder, mutant, tookMs);
    if (killer === undefined) survivors.push(mutant);
    const said = killer === undefined ? 'SURVIVED' : 'killed  ';
    process.stdout.write(`${said} ${mutant.file}: ${mutant.claim}${killer === undefined ? '' : ` (${killer})`}\n`);
  });
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
for (const { file, claim, find, replace } of survivors) {
  process.stdout.write(`\n${file}: ${claim}\n  - ${find}\n  + ${replace}\n`);
}
process.stdout.write(`${mutants.length - survivors.length} passed, ${survivors.length} failed\n`);
process.exitCode = survivors.length > 0 ? 1 : 0;
