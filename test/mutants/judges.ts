/** The processes in which specs are tried. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Outcome, Trial } from './trial.js';

/** Runs one spec at a time. */
export interface Judge {
  /** `gone`: it ended, or was ended at the limit, which is of no more use. */
  try(trial: Trial, limitMs: number): Promise<Outcome | 'gone'>;
  end(): void;
}

/** A judge of the build that is in this folder. */
export function judgeIn(folder: string): Judge {
  const child: ChildProcess = fork(join(folder, 'dist/test/mutants/judge.js'), {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const end = () => void child.kill('SIGKILL');
  return {
    end,
    try(trial, limitMs) {
      return new Promise((done) => {
        const limit = setTimeout(end, limitMs);
        const answer = (outcome: Outcome | 'gone') => {
          clearTimeout(limit);
          child.removeAllListeners();
          done(outcome);
        };
        child.once('message', (outcome: Outcome) => answer(outcome));
        child.once('exit', () => answer('gone'));
        child.once('error', () => answer('gone'));
        child.send(trial);
      });
    },
  };
}
