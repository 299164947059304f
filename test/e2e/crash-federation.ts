/**
 * A coordinator and four clients, each a process with a fuse (test/support/last-act.ts): a run of them is let alone, or
 * some of them are killed, each before an act that is chosen by its number, and started again.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { ACCOUNT_FILE } from '../../client/store/privacy-account.js';
import { checkRun, type RunCheck } from '../../server/run/check.js';
import { type ChainLine, linesOf } from '../../shared/chain/chain.js';
import type { Charge } from '../../shared/privacy/index.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { begin, CLIENTS, finish, type Outcome } from './crash-run.js';
import { isDoneWithRun, type Phase, phaseAfter } from './kill-phases.js';
import { type Ended, starling } from './support.js';

const FUSE = new URL('../support/last-act.js', import.meta.url).href;
/** More acts than any run has. */
const NEVER = 1e9;
/** Who backs up and restores. */
const OPERATOR = CLIENTS + 1;

/** 0: the coordinator; i: the client of slice i. */
export type Party = number;

/** Kills a party after `acts` more acts from the one on whose line has `mark` (test/support/last-act.ts). */
export interface Kill {
  readonly phase: Phase;
  readonly party: Party;
  readonly mark: string;
  readonly acts: number;
}

/** The lines of acts: of each party in a run, and of what is done with the run when it is over. */
export interface Acts {
  readonly inRun: readonly (readonly string[])[];
  readonly after: Readonly<Partial<Record<Phase, readonly string[]>>>;
}

export class Federation {
  readonly #directory: string;
  /** The port that the first coordinator was given, and that the clients know. */
  #listen = '127.0.0.1:0';
  readonly #processes: Child[] = [];
  /** Killed, and not started again. */
  readonly #dead = new Set<Party>();
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

  /** A run that nobody disturbs, and what is done with it when it is over: what each party did, and each such deed. */
  async undisturbed(config: object): Promise<{ outcome: Outcome; acts: Acts }> {
    const parties = Array.from({ length: CLIENTS + 1 }, (_, party) => party);
    const earlier = await this.#runs();
    for (const party of parties) await this.#lightFuse(party);
    const run = await this.#throughRun(config, { earlier, queue: [], deaths: [], rounds: 0 });
    await this.#told(run);
    const inRun: string[][] = [];
    for (const party of parties) inRun.push(await this.#putOut(party));
    const outcome = await this.#withAdmin((admin) => finish(admin, run));
    const backup = await this.#command('backup');
    const restore = await this.#command('restore');
    const archive = await this.#call((admin) => admin.archiveRun(run));
    const remove = await this.#call((admin) => admin.deleteRun(run));
    await this.#kill(0);
    const again = await this.#startAgain();
    await this.#removeCopies();
    return { outcome, acts: { inRun, after: { backup, restore, archive, delete: remove, 'start again': again } } };
  }

  /**
   * A run in which parties are killed, one after the other, and come back; and, when it is over, what is done with it, with
   * its kills. If a party has fewer acts than it may have, as the number of its messages of progress may differ by a few, it
   * is killed at the end of the run. Where each kill came is said.
   */
  async killed(
    config: object,
    { kills, rounds }: { readonly kills: readonly Kill[]; readonly rounds: number },
  ): Promise<{ outcome: Outcome; deaths: readonly Phase[] }> {
    const deaths: Phase[] = [];
    const isAfter = ({ phase }: Kill) => isDoneWithRun(phase);
    const queue = kills.filter((kill) => !isAfter(kill));
    const earlier = await this.#runs();
    if (queue.find(({ party }) => party === 0)?.phase === 'start again') await this.#kill(0);
    for (const party of new Set(queue.map(({ party }) => party))) await this.#next(party, queue, deaths);
    const run = await this.#throughRun(config, { earlier, queue, deaths, rounds });
    await this.#told(run);
    const outcome = await this.#withAdmin((admin) => finish(admin, run));
    const after = kills.filter(isAfter);
    await this.#killedInCopies(after, outcome);
    for (const kill of after) {
      if (kill.phase === 'archive' || kill.phase === 'delete') await this.#killedInUpkeep(kill, outcome);
      deaths.push(kill.phase);
    }
    if ((await this.#runs()).includes(run)) await this.#withAdmin((admin) => admin.deleteRun(run));
    await this.#removeCopies();
    return { outcome, deaths };
  }

  /** A party comes back, if it is dead, with its next fuse lit; kills of a start come at once. */
  async #next(party: Party, queue: Kill[], deaths: Phase[]): Promise<void> {
    let kill = queue.find((one) => one.party === party);
    while (kill?.phase === 'start again') {
      queue.splice(queue.indexOf(kill), 1);
      await this.#startAgain(kill.acts);
      await this.#kill(0);
      deaths.push('start again');
      kill = queue.find((one) => one.party === party);
    }
    if (kill !== undefined) await this.#lightFuse(party, kill);
    if (this.#dead.has(party)) await this.#start(party);
  }

  /** To the end of the run that is not one of `earlier`, by all kills of `queue`; its name. */
  async #throughRun(
    config: object,
    { earlier, queue, deaths, rounds }: { earlier: readonly string[]; queue: Kill[]; deaths: Phase[]; rounds: number },
  ): Promise<string> {
    const follow = () =>
      this.#withAdmin(async (admin) => {
        const known = (await admin.listRuns()).find(({ run }) => !earlier.includes(run));
        const run = known?.run ?? (await begin(admin, config));
        for await (const _ of admin.watchRun(run));
        return run;
      }).catch((error): string | Promise<never> => {
        if (queue.some(({ party }) => party === 0)) return new Promise(() => {}); // its coordinator is being killed
        throw error;
      });
    let over = follow();
    for (;;) {
      const parties = [...new Set(queue.map(({ party }) => party))];
      const dying = parties.map((party) => this.#processes[party].failure.catch(() => party));
      let event = await Promise.race([over, ...dying]);
      if (typeof event === 'string') {
        if (queue.length === 0) return event;
        event = await Promise.race([this.#told(event).then(() => queue[0].party), ...dying]); // what is done at the end may kill it
      }
      const kill = queue.find(({ party }) => party === event)!;
      await this.#kill(event); // it is dead, or late
      const acts = await this.#putOut(event);
      deaths.push(event === 0 ? phaseAfter(kill.phase, acts, rounds) : kill.phase);
      queue.splice(queue.indexOf(kill), 1);
      await this.#next(event, queue, deaths);
      if (event === 0) over = follow();
    }
  }

  /** Kills of a backup and of a restore: whatever they leave, the same again makes both, and a coordinator starts on it. */
  async #killedInCopies(kills: readonly Kill[], { report: { run }, check }: Outcome): Promise<void> {
    const copies = kills.filter(({ phase }) => phase === 'backup' || phase === 'restore');
    if (copies.length === 0) return;
    for (const name of ['backup', 'restore'] as const) {
      const kill = copies.find(({ phase }) => phase === name);
      if (kill !== undefined) await this.#command(name, kill.acts);
      await this.#again(name);
    }
    await this.#checkRestored(run, check);
    await this.#removeCopies();
  }

  /** A kill while a run is archived or deleted: it is whole where it was or where it is to be, or nowhere if deleted. */
  async #killedInUpkeep({ phase, acts }: Kill, { report: { run }, check }: Outcome): Promise<void> {
    const call = (admin: GrpcAdmin) => (phase === 'archive' ? admin.archiveRun(run) : admin.deleteRun(run));
    await this.#call(call, acts);
    await this.#withAdmin(async (admin) => {
      const [here, archived] = [await admin.listRuns(), await admin.listRuns({ archived: true })];
      const left = [...here, ...archived].filter((one) => one.run === run);
      for (const { directory } of left) assert.deepEqual(await checkRun(directory), check, `${phase}: whole`);
      assert.ok(left.length === 1 || (phase === 'delete' && left.length === 0), `${phase}: ${left.length} times`);
      const isDone = phase === 'archive' ? archived.some((one) => one.run === run) : left.length === 0;
      if (!isDone) await call(admin);
    });
    const names = await readdir(this.#dataDir, { recursive: true });
    const halves = names.filter((name) => /(^|\/)\.(new|gone)-/.test(name));
    assert.deepEqual(halves, [], `${phase}: half of something`);
  }

  /** The same command as before a kill: it does what it is for, or says that this is done. */
  async #again(name: 'backup' | 'restore'): Promise<void> {
    const { code, stderr } = await this.#starling(name);
    if (code !== 0) assert.match(stderr, /expected a folder that is new or empty/);
    const last = name === 'backup' ? 'backup/backup.json' : 'restored/identity.key';
    assert.ok((await stat(join(this.#directory, last))).isFile());
  }

  /** A coordinator starts on what was restored, and has the run whole. */
  async #checkRestored(run: string, check: RunCheck): Promise<void> {
    const dataDir = join(this.#directory, 'restored');
    const args = ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--log-level', 'warn'];
    const child = startChild(args, join(this.#directory, 'restored-home'));
    try {
      await child.line(/listens on/);
      const admin = await openAdmin({ dataDir });
      const info = (await admin.listRuns()).find((one) => one.run === run);
      admin.close();
      assert.ok(info, `${run} was restored`);
      assert.deepEqual(await checkRun(info.directory), check);
    } finally {
      await child.kill();
    }
  }

  /** `starling backup` or `restore`, killed after so many acts or let alone; its acts. */
  async #command(name: 'backup' | 'restore', acts?: number): Promise<string[]> {
    const home = this.#home(OPERATOR);
    await mkdir(home, { recursive: true });
    await this.#lightFuse(OPERATOR, { acts: acts ?? NEVER, mark: '' });
    const { code, stderr } = await this.#starling(name);
    if (acts === undefined) assert.equal(code, 0, stderr);
    else assert.ok(code === 0 || code === null, stderr);
    return this.#putOut(OPERATOR);
  }

  #starling(name: 'backup' | 'restore'): Promise<Ended> {
    const [from, to] = name === 'backup' ? [this.#dataDir, 'backup'] : [join(this.#directory, 'backup'), 'restored'];
    const { NODE_OPTIONS = '' } = process.env;
    const env = { NODE_OPTIONS: `${NODE_OPTIONS} --import=${FUSE}`, STARLING_HOME: this.#home(OPERATOR) };
    return starling([name, from, '--to', join(this.#directory, to)], { cwd: this.#directory, env });
  }

  async #removeCopies(): Promise<void> {
    for (const name of ['backup', 'restored', '.new-backup', '.new-restored'])
      await rm(join(this.#directory, name), { recursive: true, force: true });
  }

  /** A call of an operator in which the coordinator is killed after so many acts, if it has so many; they are said. */
  async #call(call: (admin: GrpcAdmin) => Promise<unknown>, acts?: number): Promise<string[]> {
    await this.#lightFuse(0, { acts: acts ?? NEVER, mark: '' });
    if (acts === undefined) {
      await this.#withAdmin(call);
      return this.#putOut(0);
    }
    const dead = this.#processes[0].failure.catch(() => undefined);
    const called = this.#withAdmin(call).catch(() => dead); // it was killed before it could answer
    await Promise.race([dead, called]);
    await this.#kill(0);
    const done = await this.#putOut(0);
    await this.#start(0);
    return done;
  }

  /** Starts the coordinator, which is dead; it is killed after so many acts, if a start has so many. They are said. */
  async #startAgain(acts = NEVER): Promise<string[]> {
    await this.#lightFuse(0, { acts, mark: '' });
    await this.#start(0).catch(() => this.#kill(0));
    return this.#putOut(0);
  }

  async #kill(party: Party): Promise<void> {
    await this.#processes[party].kill();
    this.#dead.add(party);
  }

  /** Those that are here, archived ones too. */
  async #runs(): Promise<string[]> {
    return this.#withAdmin(async (admin) => {
      const infos = [...(await admin.listRuns()), ...(await admin.listRuns({ archived: true }))];
      return infos.map(({ run }) => run);
    });
  }

  /**
   * Resolves when a run that is over has its report, and its row if it is completed: the last that a coordinator writes of
   * it. It looks again and again, as nobody is told; the test's timeout is what fails.
   */
  async #told(run: string): Promise<void> {
    const isThere = (name: string) => stat(join(this.#dataDir, 'runs', run, name)).catch(() => undefined);
    const { status } = await this.#withAdmin(async (admin) => (await admin.getRun(run)).info).catch(() => ({
      status: '',
    }));
    const names = status === 'completed' ? ['report.html', 'finished.json'] : ['report.html'];
    for (const name of names) {
      while ((await isThere(name)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    }
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
    if (party === OPERATOR) return join(this.#directory, 'operator-home');
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
    this.#dead.delete(party);
    if (party !== 0) return;
    const line = await this.#processes[party].line(/listens on/);
    this.#listen = /listens on (\S+)/.exec(line)![1];
  }

  /** Counts a party's acts from now on, or from a mark. */
  async #lightFuse(
    party: Party,
    { acts, mark }: Pick<Kill, 'acts' | 'mark'> = { acts: NEVER, mark: '' },
  ): Promise<void> {
    const home = this.#home(party);
    this.#acts[party] = join(home, `acts-${this.#fuses++}`); // no act that comes late is counted with the next run
    await writeFile(join(home, 'fuse.tmp'), `${this.#acts[party]}\n${acts}\n${mark}\n`);
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
