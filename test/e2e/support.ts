/**
 * The program as its users meet it: run to its end, or as processes that a test ends; and what a folder's processes are.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { Report } from '../../shared/run/report.js';
import { type Child, CLI, startChild } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { inProcess } from '../support/in-process.js';

/** The repository, seen from dist/test/e2e. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface Ended {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Where {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Default: this package's. */
  readonly cli?: string;
  /** A command that becomes the program, as prlimit(1) and its options. */
  readonly via?: readonly string[];
}

/** `starling ARGS` in a folder that is its working directory, its STARLING_HOME and its HOME. */
export function spawnStarling(args: readonly string[], { cwd, env, cli = CLI, via = [] }: Where): ChildProcess {
  const home = { STARLING_HOME: join(cwd, 'home'), HOME: cwd };
  const [program, ...rest] = [...via, process.execPath, cli, ...args];
  return spawn(program, rest, {
    cwd,
    env: { ...process.env, ...home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group of its own, as a shell gives a command
  });
}

/** The same, run to its end. */
export async function starling(args: readonly string[], where: Where): Promise<Ended> {
  return outcome(spawnStarling(args, where));
}

/** What a process has written when it is over. */
export async function outcome(child: ChildProcess): Promise<Ended> {
  const texts = ['', ''];
  for (const [i, stream] of [child.stdout!, child.stderr!].entries()) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      texts[i] += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout: texts[0], stderr: texts[1] };
}

/** Standard output of a command that must succeed. */
export async function succeed(args: readonly string[], where: Where): Promise<string> {
  const { code, stdout, stderr } = await starling(args, where);
  assert.equal(code, 0, `starling ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** Each `it` or `describe` in a folder of its own. */
export async function withFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'starling-e2e-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Processes whose command line or environment names `folder`, by /proc; command lines, for the message of a failure. */
export async function processesIn(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => ''); // it has ended, or is not ours
      const command = await read('cmdline');
      return `${command}\0${await read('environ')}`.includes(folder) ? `${pid} ${command.replaceAll('\0', ' ')}` : '';
    }),
  );
  return found.filter(Boolean);
}

/**
 * Resolves when no process of `folder` is left; the test's timeout is what fails. It looks again and again, since these
 * are the children of a process that is dead, and nothing tells a stranger of their end.
 */
export async function allGone(folder: string): Promise<void> {
  while ((await processesIn(folder)).length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
}

/** A coordinator and labs on this machine, each a process, in a folder of their own. */
export class Deployment {
  readonly folder: string;
  readonly #children: Child[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @param from a folder of an earlier deployment, which goes on in a copy */
  static async open(from?: string, logLevel = 'warn'): Promise<Deployment> {
    const deployment = new Deployment(await mkdtemp(join(tmpdir(), 'starling-deployment-')));
    const { dataDir, folder } = deployment;
    if (from !== undefined) await cp(from, folder, { recursive: true });
    const args = ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--log-level', logLevel];
    try {
      await deployment.start(args, folder).line(/listens on/);
    } catch (thrown) {
      await deployment.close();
      throw thrown;
    }
    return deployment;
  }

  get dataDir(): string {
    return join(this.folder, 'coordinator');
  }

  /** The coordinator's own process. */
  get coordinator(): Child {
    return this.#children[0];
  }

  /** A process that `close` ends. */
  start(args: readonly string[], home: string): Child {
    const child = startChild(args, home);
    this.#children.push(child);
    return child;
  }

  /** An operator's command, run to its end in this process; its standard output. */
  async operator(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await inProcess([...args, '--data-dir', this.dataDir]);
    assert.equal(code, 0, `starling ${args.join(' ')}\n${stdout}${stderr}`);
    return stdout;
  }

  home(name: string): string {
    return join(this.folder, `lab-${name}`);
  }

  /** Enrols a lab, starts its client and waits until it is in. */
  async lab(name: string, ...args: string[]): Promise<Child> {
    const token = (await this.operator('token', 'create', '--name', name)).trim();
    const child = this.start(['client', 'run', '--join', token, ...args], this.home(name));
    await child.line(/connected/);
    return child;
  }

  /** A policy of a lab that shows its updates and hides in no crowd, with these rules beside; the path of its file. */
  async openPolicy(rules = ''): Promise<string> {
    const file = join(this.folder, `open-${rules.length}.yaml`);
    await writeFile(file, `require-secure-aggregation: false\nmin-cohort: 1\nmax-rounds: 100000\n${rules}`);
    return file;
  }

  /** Enrols a lab that allows what {@link openPolicy} does, starts its client and waits until it is in. */
  async openLab(name: string, ...args: string[]): Promise<Child> {
    return this.lab(name, '--policy', await this.openPolicy(), ...args);
  }

  /** Starts a run of this configuration; its id. */
  async run(config: Readonly<Record<string, unknown>>): Promise<string> {
    const file = join(this.folder, 'run.yaml');
    // JSON is YAML; most tests are of few labs that see each other's faults, so they run in the clear.
    await writeFile(file, JSON.stringify({ 'secure-aggregation': false, ...config }));
    return (JSON.parse(await this.operator('run', 'start', file, '--json')) as { run: string }).run;
  }

  /** What `run show --json` prints. */
  async show(run: string): Promise<{ status: string; reason: string; directory: string; report: Report }> {
    return JSON.parse(await this.operator('run', 'show', run, '--json'));
  }

  /** Follows a run until `until` says so, or to its end; the events so far. */
  async follow(run: string, until: (event: RunEvent) => boolean = () => false): Promise<RunEvent[]> {
    return this.withAdmin(async (admin) => {
      const events: RunEvent[] = [];
      for await (const line of admin.watchRun(run)) {
        const event = JSON.parse(line) as RunEvent;
        events.push(event);
        if (until(event)) break;
      }
      return events;
    });
  }

  async withAdmin<Result>(use: (admin: GrpcAdmin) => Promise<Result>): Promise<Result> {
    const admin = await openAdmin({ dataDir: this.dataDir });
    try {
      return await use(admin);
    } finally {
      admin.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
