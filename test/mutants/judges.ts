/** The processes in which specs are tried: one for a few mutants, or one each, and what their answers are worth. */
import { fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import type { Mutant } from './mutant.js';
import type { Outcome, Trial } from './trial.js';

/** `gone`: the process has ended, or was ended at the limit. */
type Answer = Outcome | 'gone';

/** Where one spec is tried with this mutant, or without any. */
export interface Court {
  try(mutant?: Mutant): Promise<Answer>;
  readonly limitMs: number;
  /** The mutants have one process: what is wrong with it is no word on any. */
  readonly isShared: boolean;
  end(): void;
}

/** @param root has the sources @throws Error: its text is not there, or not once, or what stands there instead is no source */
export function mutated(root: string, { file, find, replace }: Mutant): string {
  const parts = readFileSync(join(root, `${file}.ts`), 'utf8').split(find);
  if (parts.length !== 2) throw new Error(`${file}: expected once, found ${parts.length - 1} times: ${find}`);
  return transformSync(parts.join(replace), {
    ...{ loader: 'ts', format: 'esm', target: 'es2023', sourcefile: `${file}.ts`, logLevel: 'error' },
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  }).code;
}

/** A process of the build that is in this folder; it takes one trial at a time. */
function processIn(folder: string): { try(trial: Trial, limitMs: number): Promise<Answer>; end(): void } {
  const child = fork(join(folder, 'dist/test/mutants/judge.js'), {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const end = () => void child.kill('SIGKILL');
  return {
    end,
    try(trial, limitMs) {
      return new Promise((done) => {
        const limit = setTimeout(end, limitMs);
        const answer = (given: Answer) => {
          clearTimeout(limit);
          child.removeAllListeners();
          done(given);
        };
        child.once('message', (outcome: Outcome) => answer(outcome));
        for (const event of ['exit', 'error']) child.once(event, () => answer('gone'));
        child.send(trial);
      });
    },
  };
}

/** A process for each trial; the mutant stands in the folder’s build, so that whatever the spec starts has it too. */
export function apart(folder: string, spec: string, limitMs: number): Court {
  async function tryOne(): Promise<Answer> {
    const own = processIn(folder);
    return own.try({ spec, id: 0 }, limitMs).finally(own.end);
  }
  return {
    limitMs,
    isShared: false,
    end() {},
    async try(mutant) {
      if (mutant === undefined) return tryOne();
      const target = join(folder, 'dist', `${mutant.file}.js`);
      const original = readFileSync(target);
      writeFileSync(target, mutated(folder, mutant));
      return tryOne().finally(() => writeFileSync(target, original));
    },
  };
}

/** One process for all trials, each with modules of its own; the mutants are beside the folder’s build. */
export function together(folder: string, spec: string, limitMs: number): Court {
  const shared = processIn(folder);
  let id = 0;
  return {
    limitMs,
    isShared: true,
    end: shared.end,
    try(mutant) {
      id++;
      if (mutant === undefined) return shared.try({ spec, id }, limitMs);
      const source = join(folder, `mutant-${id}.js`);
      writeFileSync(source, mutated(folder, mutant));
      return shared.try({ spec, id, instead: { file: mutant.file, source } }, limitMs);
    },
  };
}

/**
 * The test that noticed, of each mutant that one noticed. Undefined: none of it counts, for the spec fails at last without a
 * mutant, or takes so long now that a limit says nothing.
 */
export async function noticed(some: readonly Mutant[], court: Court): Promise<Map<Mutant, string> | undefined> {
  const tests = new Map<Mutant, string>();
  for (const mutant of some) {
    const outcome = await court.try(mutant);
    if (outcome === 'gone') {
      if (court.isShared) return undefined;
      tests.set(mutant, 'it does not end');
    } else {
      if (outcome.isStray) return undefined;
      if (outcome.failed !== undefined) tests.set(mutant, outcome.failed);
    }
  }
  if (tests.size === 0) return tests;
  const last = await court.try();
  if (last === 'gone' || last.failed !== undefined || last.tookMs > court.limitMs / 3) return undefined;
  return tests;
}
