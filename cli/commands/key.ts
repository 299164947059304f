/** `starling key`: the key of a coordinator, replaced by another; and keys of this machine, sealed by another key file. */
import type { Command } from 'commander';
import { clientsDir, coordinatorDir } from '../../shared/disk/home.js';
import { lockDirectory } from '../../shared/disk/lock.js';
import { reseal, sealerIn } from '../../shared/disk/secrets.js';
import { invalidArgument } from '../../shared/errors.js';
import { fromHex, toHex } from '../../shared/hex.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { withKeyFile } from './key-file.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly dataDir?: string;
  readonly json?: boolean;
}

interface ResealGiven extends Given {
  readonly client?: string;
  readonly newKeyFile?: string;
  readonly plain?: boolean;
}

const DATA_DIR = "the coordinator's data directory (default: ~/.starling/coordinator)";

/** With `rotate` and `reseal`. */
export function keyCommand(): Command {
  const rotate = withKeyFile(
    command(
      'rotate',
      'give the coordinator another key, which the one before vouches for; it must be stopped',
      'starling key rotate --data-dir ./coordinator',
    ),
  )
    .option('--data-dir <DIR>', DATA_DIR)
    .option('--json', 'print JSON')
    .action(rotateAction);
  const reseal = withKeyFile(
    command(
      'reseal',
      'seal the keys of a coordinator or a client, which must be stopped, by another key file',
      'starling key reseal --client charite --new-key-file /etc/starling/key',
    ),
  )
    .option('--data-dir <DIR>', DATA_DIR)
    .option('--client <NAME>', 'of this client of this machine, not of a coordinator')
    .option('--new-key-file <FILE>', 'by which they are sealed from now on; a passphrase or random bytes')
    .option('--plain', 'they are not sealed any more')
    .option('--json', 'print JSON')
    .action(resealAction);
  return command('key', 'keys, replaced and sealed', 'starling key rotate').addCommand(rotate).addCommand(reseal);
}

async function rotateAction({ dataDir, json }: Given): Promise<void> {
  const directory = coordinatorDir(dataDir);
  const { rotateCoordinator } = await import('../../server/rotate-key.js');
  const unlock = lockDirectory(directory);
  try {
    const { publicKey, handOvers = [] } = await rotateCoordinator(directory);
    const [before, now] = [handOvers.at(-1)!.from, toHex(publicKey)].map((key) => sha256Hex(fromHex(key)));
    if (json) return printJson({ before, now });
    print(`coordinator  ${now}`);
    print(`before       ${before}`);
    print('start it again: clients follow when they come next; what was signed before stays signed');
  } finally {
    unlock();
  }
}

async function resealAction({ dataDir, client, newKeyFile, plain = false, json }: ResealGiven): Promise<void> {
  if ((newKeyFile === undefined) !== plain) {
    throw invalidArgument('new-key-file', '--new-key-file FILE, or --plain', plain ? 'both' : 'neither');
  }
  const to = newKeyFile === undefined ? undefined : sealerIn(newKeyFile);
  const { secretsOf } = await import('../../server/rotate-key.js');
  const { clientSecretsOf } = await import('../../client/directory.js');
  const { membershipDirectory } = await import('../../client/join.js');
  const directory =
    client === undefined
      ? coordinatorDir(dataDir)
      : await membershipDirectory({ clientsDir: clientsDir(), name: client });
  const unlock = lockDirectory(directory);
  try {
    const paths = client === undefined ? await secretsOf(directory) : clientSecretsOf(directory);
    const files: string[] = [];
    for (const path of paths) if (await reseal(path, to)) files.push(path);
    if (json) return printJson({ files });
    for (const path of files) print(`${path}: ${plain ? 'in the clear' : 'sealed'}`);
  } finally {
    unlock();
  }
}
