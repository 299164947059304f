/** `starling token`: join tokens made, listed and revoked, and the keys of who has joined. */
import type { Command } from 'commander';
import { toHex } from '../../shared/hex.js';
import type { TokenInfo } from '../../shared/people.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { askingCoordinator, columns, command, durationMs, integer, print, printJson } from './options.js';

interface Given {
  readonly dataDir?: string;
  readonly credential?: string;
  readonly json?: boolean;
}

interface CreateGiven extends Given {
  readonly name: string;
  readonly uses: number;
  readonly expires: number;
  readonly approve?: boolean;
}

/** With `create`, `list`, `revoke` and `enrolled`; each asks the coordinator of a data directory, which must be running. */
export function tokenCommand(): Command {
  const create = sub('create', 'a join token for one lab, or for several', 'starling token create --name charite')
    .requiredOption('--name <NAME>', 'the client will be called so; lower-case letters, digits, dashes')
    .option('--uses <N>', 'how many clients may join with it; they are called NAME-1, NAME-2 ...', integer, 1)
    .option('--expires <DURATION>', 'how long it is good for', durationMs, durationMs('24h'))
    .option('--approve', 'who joins with it takes part once you have approved it: starling client approve NAME')
    .action((given: CreateGiven) =>
      withAdmin(given, async (admin) => {
        const { name, uses, expires: expiresMs, approve: isPending } = given;
        const token = await admin.createToken({ name, uses, expiresMs, isPending });
        if (given.json) printJson({ token });
        else print(token);
      }),
    );
  const list = sub('list', 'tokens, without what makes them good', 'starling token list').action((given: Given) =>
    withAdmin(given, async (admin) => {
      const tokens = await admin.listTokens();
      if (given.json) printJson(tokens);
      else for (const line of columns([HEAD, ...tokens.map((token) => row(token, Date.now()))])) print(line);
    }),
  );
  const revoke = sub('revoke', 'nobody joins with it any more', 'starling token revoke 5f0c1e2a9b3d')
    .argument('ID', 'as `starling token list` says it')
    .action((id: string, given: Given) => withAdmin(given, (admin) => admin.revokeToken(id)));
  const enrolled = askingCoordinator(
    command('enrolled', 'who has joined, and the keys that labs may pin', 'starling token enrolled > enrolment.json'),
  ).action((given: Given) =>
    withAdmin(given, async (admin) => {
      const clients = (await admin.listClients()).filter(({ standing = 'approved' }) => standing === 'approved');
      const keysOf = ({ publicKey, formerKeys = [] }: (typeof clients)[number]) =>
        formerKeys.length === 0 ? toHex(publicKey) : [publicKey, ...formerKeys].map(toHex);
      printJson(Object.fromEntries(clients.map((client) => [client.name, keysOf(client)])));
    }),
  );
  return command('token', 'invite clients', 'starling token create --name charite')
    .addCommand(create)
    .addCommand(list)
    .addCommand(revoke)
    .addCommand(enrolled);
}

function sub(name: string, description: string, example: string): Command {
  return askingCoordinator(command(name, description, example)).option('--json', 'print JSON');
}

const HEAD = ['ID', 'NAME', 'USED', 'EXPIRES', 'NOW'];

function row({ id, name, uses, used, expiresAtMs, isPending, isRevoked }: TokenInfo, nowMs: number): string[] {
  const good = isPending ? 'good, to be approved' : 'good';
  const now = isRevoked ? 'revoked' : used >= uses ? 'used up' : nowMs >= expiresAtMs ? 'expired' : good;
  return [id, name, `${used}/${uses}`, new Date(expiresAtMs).toISOString().slice(0, 16), now];
}
