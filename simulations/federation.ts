/**
 * A federation of real processes on one machine: one coordinator, N clients, joined by gRPC on loopback, each of them
 * the same program that a lab would run. Whatever way it ends, no process is left behind.
 */
import { fork } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GrpcAdmin } from '../client/admin-grpc.js';
import type { Workload } from '../client/workload.js';
import { encode } from '../shared/codecs/safetensors.js';
import { FlError } from '../shared/errors.js';
import type { RunEvent } from '../shared/events.js';
import type { Params } from '../shared/params.js';
import type { RunSpec } from '../shared/round.js';
import { openAdmin } from './commands/admin.js';
import { concludeDirectory, type SimulationResult } from './conclude.js';

export const CLI = fileURLToPath(new URL('./cli.js', import.meta.url));
/** A process that has not ended by then is killed. */
const GRACE_MS = 5_000;
const START_MS = 30_000;

export interface FederationOptions {
  readonly spec: RunSpec;
  readonly model: Params;
  readonly workload: Workload;
  readonly clients: number;
  /** Holds the coordinator's data directory and the clients'. */
  readonly directory: string;
  readonly command?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
  readonly say?: (line: string) => void;
}

/** @throws FlError aborted when interrupted or when a process fails */
export async function runFederation(options: FederationOptions): Promise<SimulationResult> {
  const { directory, signal } = options;
  await mkdir(directory, { recursive: true });
  const children: Child[] = [];
  try {
    const dataDir = join(directory, 'coordinator');
    const coordinator = start(
      children,
      ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--log-level', 'warn'],
      directory,
    );
    await coordinator.line(/listens on/);
    const admin = await openAdmin({ dataDir });
    try {
      const token = await admin.createToken({ name: 'c', uses: options.clients, expiresMs: 600_000 });
      for (let i = 1; i <= options.clients; i++) {
        const args = ['client', 'run', '--join', token, '--slice', `${i}/${options.clients}`];
        start(children, args, join(directory, `lab-${i}`));
      }
      const failed = Promise.race(children.map(({ failure }) => failure));
      const work = follow(options, admin);
      await Promise.race([work, failed, aborted(signal)]);
      const { info } = await admin.getRun(await work);
      return await concludeDirectory({ ...options, directory: info.directory });
    } finally {
      admin.close();
    }
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

/** Starts the run and follows it to its end; resolves with its id. */
async function follow({ spec, model, onEvent, signal }: FederationOptions, admin: GrpcAdmin): Promise<string> {
  const run = await admin.startRun(spec, encode(model));
  for await (const line of admin.watchRun(run, signal)) onEvent?.(JSON.parse(line) as RunEvent);
  return run;
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = () => reject(new FlError('aborted', 'interrupted'));
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
  });
}

interface Child {
  /** The first line of its output that matches; rejects if the process ends before. */
  line(pattern: RegExp): Promise<string>;
  /** Rejects if the process ends before {@link end}. */
  readonly failure: Promise<never>;
  /** Asks it to stop, then makes it; resolves when it is gone. */
  end(): Promise<void>;
}

/** The channel that `fork` opens tells the child when this process is gone, however it went. */
function start(children: Child[], args: readonly string[], home: string): Child {
  const env = { ...process.env, STARLING_HOME: home };
  const child = fork(CLI, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const lines: string[] = [];
  const errors: string[] = [];
  let heard = () => {};
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(line);
    heard();
  });
  createInterface({ input: child.stderr! }).on('line', (line) => void errors.push(line));
  let ending = false;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const failure = gone.then(() => {
    if (ending) return new Promise<never>(() => {});
    throw new FlError('aborted', `starling ${args.slice(0, 2).join(' ')} ended: ${errors.slice(-3).join(' | ')}`);
  });
  failure.catch(() => undefined); // it is raced; a late one must not end this process
  const started: Child = {
    failure,
    async line(pattern) {
      const timeout = AbortSignal.timeout(START_MS);
      const found = new Promise<string>((resolve) => {
        heard = () => {
          const line = lines.find((text) => pattern.test(text));
          if (line !== undefined) resolve(line);
        };
        heard();
      });
      return Promise.race([found, failure, aborted(timeout)]);
    },
    async end() {
      ending = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
      await gone;
      clearTimeout(kill);
    },
  };
  children.push(started);
  return started;
}
