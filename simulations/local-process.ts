/**
 * Starling's own program as a child process: started, listened to, and never left behind.
 */
import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { FlError } from '../shared/errors.js';

/** The file of `starling`, as built. */
export const CLI = fileURLToPath(new URL('../cli/main.js', import.meta.url));
/** A process that has not ended by then is killed. */
const GRACE_MS = 5_000;
const START_MS = 60_000;

/** A process of ours that is listened to. */
export interface Child {
  /** The first line of its output, or of its log, that matches; rejects if the process ends before. */
  line(pattern: RegExp, from?: 'output' | 'log'): Promise<string>;
  /** Its output so far. */
  readonly lines: readonly string[];
  /** Rejects if the process ends before {@link end} or {@link kill}. */
  readonly failure: Promise<never>;
  /** Asks it to stop, then makes it; resolves when it is gone. */
  end(): Promise<void>;
  /** SIGKILL: no chance to tidy up. Resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * The channel that `fork` opens tells the child when this process is gone, however it went.
 * @param within a command that runs the one after it, elsewhere
 */
export function startChild(args: readonly string[], home: string, within: readonly string[] = []): Child {
  const env = { ...process.env, STARLING_HOME: home };
  const [execPath, ...execArgv] = [...within, process.execPath, ...process.execArgv];
  const child = fork(CLI, args, { env, execPath, execArgv, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const lines: string[] = [];
  const errors: string[] = [];
  const heard = new Set<() => void>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(line);
    for (const listener of heard) listener();
  });
  createInterface({ input: child.stderr! }).on('line', (line) => {
    errors.push(line);
    for (const listener of heard) listener();
  });
  let ending = false;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const failure = gone.then(() => {
    if (ending) return new Promise<never>(() => {});
    throw new FlError('aborted', `starling ${args.slice(0, 2).join(' ')} ended: ${errors.slice(-3).join(' | ')}`);
  });
  failure.catch(() => undefined); // it is raced; a late one must not end this process
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    ending = true;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const kill = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    await gone;
    clearTimeout(kill);
  };
  return {
    failure,
    lines,
    end: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    line(pattern, from = 'output') {
      const said = from === 'log' ? errors : lines;
      const found = new Promise<string>((resolve) => {
        const look = () => {
          const line = said.find((text) => pattern.test(text));
          if (line === undefined) return;
          heard.delete(look);
          resolve(line);
        };
        heard.add(look);
        look();
      });
      return Promise.race([found, failure, aborted(AbortSignal.timeout(START_MS))]);
    },
  };
}

/** Rejects when the signal aborts. */
export function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(new FlError('aborted', 'interrupted'));
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
  });
}
