/** `starling authority`: who vouches for a coordinator and its clients, replaced while clients are away or at work. */
import type { Command } from 'commander';
import { systemClock } from '../../shared/clock.js';
import { coordinatorDir } from '../../shared/disk/home.js';
import { lockDirectory } from '../../shared/disk/lock.js';
import { fingerprintOf, validityOf } from '../../shared/tls/subject.js';
import { withKeyFile } from './key-file.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly dataDir?: string;
  readonly json?: boolean;
}

type Change = (
  module: typeof import('../../server/tls/authority.js'),
  dataDir: string,
) => Promise<{ readonly trusted: readonly string[] }>;

/** With `show`, `roll` and `retire`. */
export function authorityCommand(): Command {
  const of = (name: string, description: string, change: Change, isChange: boolean) =>
    withKeyFile(command(name, description, `starling authority ${name} --data-dir ./coordinator`))
      .option('--data-dir <DIR>', "the coordinator's data directory (default: ~/.starling/coordinator)")
      .option('--json', 'print JSON')
      .action(async (given: Given) => {
        const dataDir = coordinatorDir(given.dataDir);
        const unlock = isChange ? lockDirectory(dataDir) : () => {};
        try {
          const { trusted } = await change(await import('../../server/tls/authority.js'), dataDir);
          tell(trusted, given.json === true);
        } finally {
          unlock();
        }
      });
  return command('authority', 'who vouches for coordinator and clients', 'starling authority show')
    .addCommand(of('show', 'the authorities that are trusted', (module, dir) => module.existing(dir), false))
    .addCommand(
      of(
        'roll',
        'make a new one, trusted beside the old; the coordinator must be stopped',
        (module, dir) => module.rollAuthority(dir, systemClock.nowMs()),
        true,
      ),
    )
    .addCommand(
      of(
        'retire',
        'trust the old one no more, once all clients have renewed (60 days)',
        (module, dir) => module.retireAuthority(dir),
        true,
      ),
    );
}

function tell(trusted: readonly string[], isJson: boolean): void {
  const rows = trusted.map((certificate, i) => ({
    sha256: fingerprintOf(certificate),
    until: new Date(validityOf(certificate).toMs).toISOString(),
    issues: i === 0,
  }));
  if (isJson) return printJson(rows);
  for (const { sha256, until, issues } of rows) print(`${sha256} until ${until}${issues ? ', issues now' : ''}`);
}
