/** `starling client list`: for the operator, who is enrolled, who is here, and what went wrong with whom last. */
import type { Command } from 'commander';
import { clockTime } from '../../server/report/waiting.js';
import { toHex } from '../../shared/hex.js';
import type { ClientInfo } from '../../shared/service.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { plain } from '../terminal/clients.js';
import { askingCoordinator, columns, command, print, printJson } from './options.js';

/** `starling client list`. */
export function clientListCommand(): Command {
  return askingCoordinator(
    command('list', 'clients of a coordinator: online, last seen, how they stand and why', 'starling client list'),
  )
    .option('--json', 'print JSON')
    .action((given: { dataDir?: string; credential?: string; json?: boolean }) =>
      withAdmin(given, async (admin) => {
        const clients = await admin.listClients();
        if (given.json) printJson(clients.map((client) => ({ ...client, publicKey: toHex(client.publicKey) })));
        else for (const line of columns([HEAD, ...clients.map((client) => row(client, Date.now()))])) print(line);
      }),
    );
}

const HEAD = ['CLIENT', 'NOW', 'SINCE', 'STANDING', 'LAST REASON'];

function row({ name, online, lastSeenAtMs, standing = 'approved', ...why }: ClientInfo, nowMs: number): string[] {
  const never = 'not since the coordinator started';
  return [
    name,
    online ? 'online' : 'offline',
    lastSeenAtMs === undefined ? never : clockTime(lastSeenAtMs, nowMs),
    standing,
    plain(why.standingReason ?? why.lastReason ?? ''),
  ];
}
