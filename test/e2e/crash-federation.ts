/**
 * A coordinator and four clients, each a process with a fuse (test/support/last-act.ts): a run of them is let alone, or one
 * of them is killed before an act that is chosen by its number and started again.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { ACCOUNT_FILE } from '../../client/store/privacy-account.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { checkRun, type RunCheck } from '../../server/run/check.js';
import { type ChainLine, linesOf } from '../../shared/chain/chain.js';
import type { Charge } from '../../shared/privacy/index.js';
import type { Report } from '../../shared/run/report.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';

export const CLIENTS = 4;
const FUSE = new URL('../support/last-act.js', import.meta.url).href;
/** More acts than any run has. */
const NEVER = 1e9;

/** 0: the coordinator; i: the client of slice i. */
export type Party = number;

export interface Kill {
  readonly party: Party;
  /** What it may still do, from the start of the run on. */
  readonly acts: number;
}

/** How a run ended, and what it left. */
export interface Outcome {
  readonly directory: string;
  readonly report: Report;
  readonly model: Float32Array;
  /** Of its directory, by `starling verify`. */
  readonly check: RunCheck;
}

export class Federation {
  readonly #directory: string;
  /** The port that the first coordinator was given, and that the clients know. */
  #listen = '127.0.0.1:0';
  readonly #processes: Child[] = [];
  /** Where a party's acts are counted. */
  readonly #acts: string[] = [];
  #fuses = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(): Promise<Federation> {
    const directory = await mkdtemp(join(tmpdir(), 'starling-crash-'));
    const federation = new Federation(directory);
    try {
      await federation.#start(0);
      const policy = [
        'require-secure-aggregation: false',
        'min-cohort: 3',
        'min-survivors: 2',
        'adversary-fraction: 0',
      ];
      await writeFile(federation.#policy, policy.join('\n'));
      const token = await federation.#withAdmin((admin) =>
        admin.createToken({ name: 'lab', uses: CLIENTS, expiresMs: 600_000 }),
      );
      // one after the other, so that lab-1 is the client of slice 1
      for (let i = 1; i <= CLIENTS; i++) {
        await federation.#start(i, '--join', token);
        await federation.#processes[i].line(/connected/);
      }
    } catch (thrown) {
      await federation.close();
      throw thrown;
    }
    return federation;
  }

  /** A run that nobody disturbs, and how many acts each party had in it. */
  async undisturbed(config: object): Promise<{ outcome: Outcome; acts: readonly number[] }> {
    const parties = Array.from({ length: CLIENTS + 1 }, (_, party) => party);
    await Promise.all(parties.map((party) => this.#lightFuse({ party, acts: NEVER })));
    const outcome = await this.#withAdmin(async (admin) => finish(admin, await begin(admin, config)));
    const acts = await Promise.all(parties.map((party) => this.#putOut(party)));
    return { outcome, acts: acts.map(({ length }) => length) };
  }

  /**
   * A run in which one party is killed and comes back. If it has fewer acts than it may have, as the number of its
   * messages of progress may differ by a few, it is killed at the end of the run.
   */
  async killed(config: object, kill: Kill): Promise<{ outcome: Outcome; acts: readonly string[] }> {
    const victim = this.#processes[kill.party];
    const earlier = await this.#withAdmin((admin) => admin.listRuns());
    await this.#lightFuse(kill);
    const known = await this.#withAdmin(async (admin) => {
      const begun = begin(admin, config).catch(() => undefined); // its coordinator may be killed before it can answer
      const over = begun.then((run) => (run === undefined ? undefined : finish(admin, run))).catch(() => undefined); // or before the end
      await Promise.race([victim.failure.catch(() => undefined), over]);
      await victim.kill();
      return begun;
    });
    const acts = await this.#putOut(kill.party);
    await this.#start(kill.party);
    return this.#withAdmin(async (admin) => {
      const run = known ?? (await admin.listRuns())[earlier.length]?.run ?? (await begin(admin, config));
      return { outcome: await finish(admin, run), acts };
    });
  }

  /** What a client has written that it spent: one name for each round that it took part in. */
  async spent(client: Party): Promise<string[]> {
    const home = this.#home(client);
    const account = (await readdir(home, { recursive: true })).find((name) => name.endsWith(ACCOUNT_FILE))!;
    const lines = linesOf(await readFile(join(home, account)));
    return lines.map((line) => (JSON.parse(line) as ChainLine<Charge>).entry.runId);
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((child) => child.end()));
    await rm(this.#directory, { recursive: true, force: true });
  }

  #home(party: Party): string {
    return join(this.#directory, party === 0 ? 'coordinator-home' : `lab-${party}`);
  }

  get #dataDir(): string {
    return join(this.#directory, 'coordinator');
  }

  get #policy(): string {
    return join(this.#directory, 'policy.yaml');
  }

  async #start(party: Party, ...more: string[]): Promise<void> {
    const args =
      party === 0
        ? ['coordinator', '--data-dir', this.#dataDir, '--listen', this.#listen, '--log-level', 'warn']
        : ['client', 'run', '--slice', `${party}/${CLIENTS}`, '--policy', this.#policy, ...more];
    await mkdir(this.#home(party), { recursive: true });
    this.#processes[party] = startWithFuse(args, this.#home(party));
    if (party !== 0) return;
    const line = await this.#processes[party].line(/listens on/);
    this.#listen = /listens on (\S+)/.exec(line)![1];
  }

  /** Counts a party's acts from now on. */
  async #lightFuse({ party, acts }: Kill): Promise<void> {
    const home = this.#home(party);
    this.#acts[party] = join(home, `acts-${this.#fuses++}`); // no act that comes late is counted with the next run
    await writeFile(join(home, 'fuse.tmp'), `${this.#acts[party]}\n${acts}\n`);
    await rename(join(home, 'fuse.tmp'), join(home, 'fuse'));
  }

  /** The acts since the fuse was lit. */
  async #putOut(party: Party): Promise<string[]> {
    await rm(join(this.#home(party), 'fuse'));
    const acts = await readFile(this.#acts[party], 'utf8').catch(() => ''); // no file: not one
    return acts.split('\n').slice(0, -1);
  }

  async #withAdmin<Result>(use: (admin: GrpcAdmin) => Promise<Result>): Promise<Result> {
    const admin = await openAdmin({ dataDir: this.#dataDir });
    try {
      return await use(admin);
    } finally {
      admin.close();
    }
  }
}

/** Only this child is to have it, and a child is given the environment as it is when it starts. */
function startWithFuse(args: readonly string[], home: string): Child {
  const { NODE_OPTIONS = '' } = process.env;
  process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import=${FUSE}`;
  try {
    return startChild(args, home);
  } finally {
    process.env.NODE_OPTIONS = NODE_OPTIONS;
  }
}

/** What a configuration asks of every run here. */
export async function resolved(config: object): Promise<ReturnType<typeof resolve>> {
  const common = { workload: 'cnn', scale: 'smoke', clients: CLIENTS, cohort: CLIENTS, rounds: 3, seed: 3 };
  return resolve(checkConfig({ ...common, ...config }, 'test'), await loadWorkload('cnn'));
}

async function begin(admin: GrpcAdmin, config: object): Promise<string> {
  const { spec, model } = await resolved(config);
  return admin.startRun(spec, encode(model));
}

async function finish(admin: GrpcAdmin, run: string): Promise<Outcome> {
  for await (const _ of admin.watchRun(run));
  const { info, report: text } = await admin.getRun(run);
  const report = JSON.parse(text) as Report;
  const file = await readFile(join(info.directory, 'models', `${report.modelSha256}.safetensors`));
  return {
    directory: info.directory,
    report,
    model: decode(file).params.values,
    check: await checkRun(info.directory),
  };
}
