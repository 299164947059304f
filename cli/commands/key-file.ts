/** `--key-file`, of every command that reads a key or a token of this machine. */
import type { Command } from 'commander';
import { useKeyFile } from '../../shared/disk/secrets.js';

/** The same command, with the option. */
export function withKeyFile(command: Command): Command {
  return command.option(
    '--key-file <FILE>',
    'seals the keys at rest: a passphrase or random bytes; - is standard input (default: $STARLING_KEY_FILE)',
    (path: string) => {
      useKeyFile(path);
      return path;
    },
  );
}
