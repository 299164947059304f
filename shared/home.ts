/** Where Starling keeps what outlives a command, unless told otherwise: `$STARLING_HOME`, else `~/.starling`. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export function starlingHome(): string {
  return process.env.STARLING_HOME ?? join(homedir(), '.starling');
}
