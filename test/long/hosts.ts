/** A coordinator and the clients of two labs on three machines of a {@link Network}, and what their people type there. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RunEvent } from '../../shared/run/events.js';
import type { Report } from '../../shared/run/report.js';
import { type Child, CLI, startChild } from '../../simulations/local-process.js';
import { Network } from './namespaces.js';

/** Where the coordinator is at first. */
export const HUB_ADDRESS = '192.0.2.10';

/** `hub` is on the public segment, `north` and `south` are behind routers, south by a bad link. */
export class Hosts {
  readonly network = new Network();
  readonly folder: string;
  readonly #children: Child[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** @param hub the name by which labs know the coordinator's machine */
  static async open(hub: string): Promise<Hosts> {
    const hosts = new Hosts(await mkdtemp(join(tmpdir(), 'starling-hosts-')));
    const { network } = hosts;
    try {
      network.addHost('hub', HUB_ADDRESS);
      network.addBehindRouter('north', { outside: '192.0.2.21' });
      network.addBehindRouter('south', { outside: '192.0.2.22', isBad: true });
      // a connection that is silent for longer than three times what keepalive (0017) bears is forgotten
      for (const machine of ['north', 'south']) network.forgetsAfter(machine, 90);
      for (const machine of ['north', 'south']) network.names(machine, { [hub]: HUB_ADDRESS });
      const policy = 'require-secure-aggregation: false\nmin-cohort: 3\nmax-rounds: 1000\n';
      await writeFile(hosts.policy, policy);
    } catch (thrown) {
      await hosts.close();
      throw thrown;
    }
    return hosts;
  }

  get dataDir(): string {
    return join(this.folder, 'coordinator');
  }

  get policy(): string {
    return join(this.folder, 'policy.yaml');
  }

  /** The coordinator, listening, for clients that dial these addresses. */
  async serve(...publicAddresses: string[]): Promise<Child> {
    const at = publicAddresses.flatMap((address) => ['--public-address', address]);
    const args = ['coordinator', '--listen', '0.0.0.0:7437', ...at, '--data-dir', this.dataDir, '--log-level', 'warn'];
    const coordinator = this.#start('hub', 'hub', ...args);
    await coordinator.line(/listens on/);
    return coordinator;
  }

  /** A client that joins by a token of its own, connected. */
  async lab(name: string, machine: string, ...args: string[]): Promise<Child> {
    const token = this.operator('token', 'create', '--name', name);
    const lab = this.client(name, machine, '--join', token, ...args);
    await lab.line(/: connected/);
    return lab;
  }

  /** `starling client run` of a client that has joined, or joins now. */
  client(name: string, machine: string, ...args: string[]): Child {
    return this.#start(machine, name, 'client', 'run', '--policy', this.policy, ...args);
  }

  /** Standard output of an operator's command on the coordinator's machine. */
  operator(...args: string[]): string {
    return this.network.on('hub', process.execPath, CLI, ...args, '--data-dir', this.dataDir).trim();
  }

  /** Starts a run; its id. */
  async run(config: object): Promise<string> {
    const file = join(this.folder, 'run.yaml');
    await writeFile(file, JSON.stringify({ ...config, 'min-clients': 3 }));
    return JSON.parse(this.operator('run', 'start', file, '--json')).run;
  }

  /** Resolves when a run has so many rounds behind it; how many they are. Over a bad link that takes its time. */
  async rounds(run: string, least: number): Promise<number> {
    for await (const event of this.#events(run)) {
      if (event.kind === 'round-ended' && event.summary.round >= least) return this.show(run).report.rounds.length;
    }
    throw new Error(`run ${run} ended before round ${least}: ${JSON.stringify(this.show(run))}`);
  }

  async *#events(run: string): AsyncGenerator<RunEvent> {
    const watch = ['run', 'watch', run, '--json', '--data-dir', this.dataDir];
    const [program, ...args] = [...this.network.at('hub'), process.execPath, CLI, ...watch];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as RunEvent;
    } finally {
      child.kill();
    }
  }

  /** Resolves when the run has told of such an event, now or before. */
  async event(run: string, isMeant: (event: RunEvent) => boolean): Promise<void> {
    for await (const event of this.#events(run)) if (isMeant(event)) return;
    throw new Error(`run ${run} ended first: ${JSON.stringify(this.show(run))}`);
  }

  /** Names of clients that the coordinator has a stream of. */
  online(): string[] {
    const clients = JSON.parse(this.operator('client', 'list', '--json')) as { name: string; online: boolean }[];
    return clients.filter(({ online }) => online).map(({ name }) => name);
  }

  /** Resolves when it is so; what it looks at tells nobody. The test's timeout is what fails. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 200));
  }

  show(run: string): { readonly status: string; readonly directory: string; readonly report: Report } {
    return JSON.parse(this.operator('run', 'show', run, '--json'));
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()));
    this.network.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  #start(machine: string, home: string, ...args: string[]): Child {
    const child = startChild(args, join(this.folder, home), this.network.at(machine));
    this.#children.push(child);
    return child;
  }
}
