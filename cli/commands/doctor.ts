/** `starling doctor`: what this machine has, what it lacks and why. */
import { existsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Command } from 'commander';
import { VERSION } from '../../shared/version.js';
import { command, print, printJson } from './options.js';

/** Says what is here, and changes nothing. */
export function doctorCommand(): Command {
  return command('doctor', 'what this machine has: back ends, data sets, broker, versions', 'starling doctor')
    .option('--json', 'print JSON')
    .action(async (given: { json?: boolean }) => {
      const { probeBackends } = await import('../../client/backends/index.js');
      const { dataStatus } = await import('../../client/data/index.js');
      const backends = await probeBackends();
      const data = (await dataStatus()).map(({ set, state, detail }) => ({
        name: set.name,
        here: state !== 'missing',
        detail,
      }));
      const versions = { starling: VERSION, node: process.versions.node, openssl: process.versions.openssl };
      const machine = {
        cores: availableParallelism(),
        memoryBytes: totalmem(),
        platform: `${process.platform} ${process.arch}`,
      };
      const broker = findInPath('nats-server');
      if (given.json) return printJson({ versions, machine, backends, data, broker: broker ?? null });
      print(`starling ${VERSION}, Node ${versions.node}, OpenSSL ${versions.openssl}`);
      print(`${machine.platform}, ${machine.cores} cores, ${(totalmem() / 2 ** 30).toFixed(1)} GiB of memory`);
      print('\nback ends, best first');
      for (const { name, available, why } of backends)
        print(`  ${available ? 'yes' : 'no '}  ${name.padEnd(14)} ${why}`);
      print('\ndata sets');
      for (const { name, here, detail } of data) print(`  ${here ? 'yes' : 'no '}  ${name.padEnd(20)} ${detail}`);
      print(
        `\nbroker\n  ${broker === undefined ? 'no   nats-server is not in PATH; nothing here needs it yet' : `yes  ${broker}`}`,
      );
    });
}

function findInPath(binary: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, binary)).find((path) => existsSync(path));
}
