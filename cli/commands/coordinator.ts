/** `starling coordinator`. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { coordinatorDir } from '../../shared/disk/home.js';
import { useKeyFile } from '../../shared/disk/secrets.js';
import { LOG_LEVELS, readCoordinatorConfig } from './coordinator-config.js';
import { withKeyFile } from './key-file.js';
import { command, integer, print, repeated } from './options.js';
import { endOf, serve } from './service.js';
import { type SiteFilesGiven, siteFilesOf, withSiteFiles } from './site-files.js';

const DEFAULT_LISTEN = '127.0.0.1:7437';

interface CoordinatorGiven extends SiteFilesGiven {
  readonly config?: string;
  readonly keyFile?: string;
  readonly dataDir?: string;
  readonly listen?: string;
  readonly publicAddress: readonly string[];
  readonly address: readonly string[];
  readonly healthPort?: string;
  readonly diskReserve?: number;
  readonly keepRuns?: number;
  readonly keepDays?: number;
  readonly logLevel?: string;
}

/** Runs until it is interrupted. */
export function coordinatorCommand(): Command {
  const made = command(
    'coordinator',
    'run rounds for enrolled clients',
    'starling coordinator --data-dir ./coordinator',
  );
  return withRetention(withKeyFile(withSiteFiles(made)))
    .option(
      '--config <FILE>',
      'YAML with the keys data-dir, listen, public-addresses, tls-cert, tls-key, tls-ca, addresses, log-level, health-port, disk-reserve, keep-runs, keep-days, key-file',
    )
    .option('--data-dir <DIR>', 'where runs, keys and enrolments are kept (default: ~/.starling/coordinator)')
    .option('--listen <HOST:PORT>', `anything but loopback is by TLS (default: ${DEFAULT_LISTEN})`)
    .option(
      '--public-address <HOST[:PORT]>',
      'a name or address by which clients reach it, by TLS; repeatable, the first is for join tokens',
      repeated,
      [],
    )
    .option(
      '--address <HOST:PORT>',
      'another address that leads here, of a tunnel or a proxy; repeatable',
      repeated,
      [],
    )
    .option('--health-port <PORT>', 'answer /live and /ready by HTTP there, on 127.0.0.1 unless it is HOST:PORT')
    .option('--disk-reserve <MIB>', 'free space below which no round begins (default: 64)', atLeastOne)
    .addOption(new Option('--log-level <LEVEL>', 'default: info').choices(LOG_LEVELS))
    .action(async (given: CoordinatorGiven) => {
      const file = given.config === undefined ? {} : await readCoordinatorConfig(given.config);
      if (given.keyFile === undefined && file['key-file'] !== undefined) useKeyFile(file['key-file']);
      const { startCoordinator } = await import('../../server/main.js');
      const dataDir = coordinatorDir(given.dataDir ?? file['data-dir']);
      const name = `the coordinator of ${dataDir}`;
      const coordinator = await startCoordinator({
        dataDir,
        listen: given.listen ?? file.listen ?? DEFAULT_LISTEN,
        publicAddresses: [...(file['public-addresses'] ?? []), ...given.publicAddress],
        siteFiles: siteFilesOf({
          tlsCert: given.tlsCert ?? file['tls-cert'],
          tlsKey: given.tlsKey ?? file['tls-key'],
          tlsCa: given.tlsCa ?? file['tls-ca'],
        }),
        addresses: [...(file.addresses ?? []), ...given.address],
        healthPort: given.healthPort ?? file['health-port']?.toString(),
        diskReserveBytes: mib(given.diskReserve ?? file['disk-reserve']),
        retention: retentionOf(given.keepRuns ?? file['keep-runs'], given.keepDays ?? file['keep-days']),
        logLevel: given.logLevel ?? file['log-level'] ?? 'info',
      }).catch((thrown) => {
        throw endOf(name, thrown);
      });
      const serving = serve(coordinator, name); // before it is said to be there: who hears that may stop it at once
      const { address, addresses, isSecure, healthAddress } = coordinator;
      print(
        isSecure
          ? `coordinator listens on ${address} by TLS; clients reach it at ${addresses.join(', ')}`
          : `coordinator listens on ${address} (in plaintext, for this machine alone; --public-address makes it TLS)`,
      );
      if (healthAddress !== undefined) print(`health on http://${healthAddress}/live and /ready`);
      await serving;
    });
}

function withRetention(made: Command): Command {
  const keepRuns = 'archive finished runs without their journals, but for the last N (default: all stay)';
  return made
    .option('--keep-runs <N>', keepRuns, atLeastOne)
    .option('--keep-days <N>', 'the same, but for those that ended in the last N days', atLeastOne);
}

function retentionOf(keepRuns: number | undefined, keepDays: number | undefined) {
  return keepRuns === undefined && keepDays === undefined ? undefined : { keepRuns, keepDays };
}

function atLeastOne(text: string): number {
  const value = integer(text);
  if (value < 1) throw new InvalidArgumentError('expected at least 1.');
  return value;
}

function mib(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count * 2 ** 20;
}
