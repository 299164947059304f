/** Where Starling keeps what outlives a command, unless told otherwise: `$STARLING_HOME`, else `~/.starling`. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** STARLING_HOME, or ~/.starling. */
export function starlingHome(): string {
  return process.env.STARLING_HOME ?? join(homedir(), '.starling');
}

/** Of the coordinator on this machine, unless `given`. */
export function coordinatorDir(given: string | undefined): string {
  return given ?? join(starlingHome(), 'coordinator');
}

/** Where each membership of this machine has a directory of its own. */
export function clientsDir(): string {
  return join(starlingHome(), 'clients');
}
