/** A coordinator and labs whose keys a test changes: services are processes, commands are run in this one. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { membershipIn, seedIn } from '../../client/directory.js';
import { linkOf } from '../../client/link.js';
import { Connection } from '../../client/round/connection.js';
import { systemClock } from '../../shared/clock.js';
import { useKeyFile } from '../../shared/disk/secrets.js';
import { fromHex, toHex } from '../../shared/hex.js';
import { rngFromEntropy } from '../../shared/rng.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { inProcess } from '../support/in-process.js';
import { type Ended, withFolder } from './support.js';

/** A folder with services, which are processes, and commands, which are run in this one; `home` is a lab's. */
export interface Site {
  readonly folder: string;
  readonly dataDir: string;
  start(args: readonly string[], home: string): Child;
  coordinator(listen: string, ...more: string[]): Child;
  tried(home: string, ...args: string[]): Promise<Ended>;
  /** Standard output of a command that must succeed. */
  run(home: string, ...args: string[]): Promise<string>;
  operator(...args: string[]): Promise<string>;
}

/** All of its processes are gone when `use` is done. */
export async function withSite(use: (site: Site) => Promise<void>): Promise<void> {
  const saved = process.env.STARLING_HOME;
  await withFolder(async (folder) => {
    const children: Child[] = [];
    const dataDir = join(folder, 'coordinator');
    const start = (args: readonly string[], home: string) => {
      const child = startChild(args, home);
      children.push(child);
      return child;
    };
    const tried = (home: string, ...args: string[]) => {
      process.env.STARLING_HOME = home;
      useKeyFile(undefined); // as a process that begins
      return inProcess(args);
    };
    const run = async (home: string, ...args: string[]) => {
      const { code, stdout, stderr } = await tried(home, ...args);
      assert.equal(code, 0, `starling ${args.join(' ')}\n${stdout}${stderr}`);
      return stdout;
    };
    const serving = ['coordinator', '--data-dir', dataDir, '--log-level', 'warn', '--public-address', '127.0.0.2'];
    try {
      await use({
        ...{ folder, dataDir, start, tried, run },
        coordinator: (listen, ...more) => start([...serving, '--listen', listen, ...more], folder),
        operator: (...args) => run(folder, ...args, '--data-dir', dataDir),
      });
    } finally {
      await Promise.all(children.map((child) => child.end()));
      useKeyFile(undefined);
      if (saved === undefined) delete process.env.STARLING_HOME;
      else process.env.STARLING_HOME = saved;
    }
  });
}

/** What a client that logs in by the key in this directory is told: `connected`, or why not. */
export async function loginBy(directory: string): Promise<string> {
  const [membership, seed] = [await membershipIn(directory), await seedIn(directory)];
  const coordinatorKey = fromHex(membership.coordinatorKey);
  const service = await linkOf(directory, membership, { seed, coordinatorKey, notice: () => {} });
  let connection: Connection | undefined;
  const told = new Promise<string>((resolve) => {
    connection = new Connection({
      ...{ service, client: membership.client, identity: identityFromSeed(seed), coordinatorKey, version: 'test' },
      ...{ clock: systemClock, rng: rngFromEntropy(), pending: () => [], shown: () => ({ tasks: [], heads: [] }) },
      ...{ disconnected: () => {}, receive: () => {}, notice: () => {}, sentAway: resolve },
      connected: () => resolve('connected'),
      handedOver: (key) => resolve(`the coordinator has the key ${toHex(key)}`),
    });
    connection.open();
  });
  try {
    return await told;
  } finally {
    connection?.close('told');
    service.close();
  }
}

/** Of the first line of a coordinator. */
export const portOf = (line: string) => /:(\d+) by TLS/.exec(line)![1];
