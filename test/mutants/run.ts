/**
 * The mutation lane: applies each mutant to a copy of the build, runs the specs of its room and says which noticed.
 * `npm run mutants [-- TEXT]`; with TEXT only mutants whose file or claim has it. A text that is no longer in the source is
 * an error, for then nobody knows what the row still says.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { transformSync } from 'esbuild';
import { CLIENT } from './client.js';
import { MASKS } from './masks.js';
import type { Mutant } from './mutant.js';
import { POLICY } from './policy.js';
import { PROOFS } from './proofs.js';
import { RUNS } from './runs.js';
import { SECAGG_SHELL } from './secagg-shell.js';
import { SERVER } from './server.js';
import { SERVICE } from './service.js';
import { SHARED } from './shared.js';
import { STORES } from './stores.js';
import { TRAINING } from './training.js';

const ROOT = resolve(import.meta.dirname, '../../..');
const WORKERS = 2;
/** Of one mutant; a loop that never ends is noticed, too. */
const LIMIT_MS = 120_000;

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

/** Whether the specs pass in this folder. */
function pass(folder: string, specs: readonly string[]): Promise<boolean> {
  const files = specs.map((spec) => `dist/test/${spec}.spec.js`);
  const mocha = [join(ROOT, 'node_modules/mocha/bin/mocha.js'), '--no-config', '--bail', '--timeout', '30000'];
  const required = ['--require', 'dist/test/support/properties.js'];
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [...mocha, ...required, ...files], {
      cwd: folder,
      stdio: 'ignore',
      timeout: LIMIT_MS,
    });
    child.on('error', failed);
    child.on('close', (code) => done(code === 0));
  });
}

/** Whether a spec of its room fails with the mutant. */
async function isKilled(folder: string, mutant: Mutant): Promise<boolean> {
  const target = join(folder, 'dist', `${mutant.file}.js`);
  const original = readFileSync(target);
  writeFileSync(target, mutated(mutant));
  try {
    return !(await pass(folder, mutant.specs));
  } finally {
    writeFileSync(target, original);
  }
}

const wanted = process.argv[2] ?? '';
const ROOMS = [SHARED, MASKS, PROOFS, SERVER, SERVICE, RUNS, SECAGG_SHELL, CLIENT, POLICY, STORES, TRAINING];
const mutants = ROOMS.flat().filter(({ file, claim }) => `${file} ${claim}`.includes(wanted));
for (const mutant of mutants) mutated(mutant); // before anything takes time
const folders = Array.from({ length: WORKERS }, workplace);
const survivors: Mutant[] = [];
let killed = 0;
try {
  const specs = new Set(mutants.flatMap((mutant) => mutant.specs));
  if (!(await pass(folders[0], [...specs]))) throw new Error('the specs fail without any mutant');
  const rest = mutants.values();
  await Promise.all(
    folders.map(async (folder) => {
      for (const mutant of rest) {
        const dead = await isKilled(folder, mutant);
        if (dead) killed++;
        else survivors.push(mutant);
        process.stdout.write(`${dead ? 'killed  ' : 'SURVIVED'} ${mutant.file}: ${mutant.claim}\n`);
      }
    }),
  );
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
for (const { file, claim, find, replace } of survivors) {
  process.stdout.write(`\n${file}: ${claim}\n  - ${find}\n  + ${replace}\n`);
}
process.stdout.write(`${killed} passed, ${survivors.length} failed\n`);
process.exitCode = survivors.length > 0 ? 1 : 0;
