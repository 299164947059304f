/** `starling account`: who may call a coordinator as its operator, and how much of it. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { type AccountKey, ROLES, type Role } from '../../shared/people.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { askingCoordinator, columns, command, print, printJson } from './options.js';

interface Given {
  readonly dataDir?: string;
  readonly credential?: string;
  readonly json?: boolean;
}

interface KeyGiven extends Given {
  readonly role: Role;
  readonly out?: string;
}

/** With `add`, `rotate`, `list` and `remove`. */
export function accountCommand(): Command {
  const add = withKey('add', 'a credential for somebody: its token and, over TLS, its certificate')
    .addOption(new Option('--role <ROLE>', 'what its holder may do').choices(ROLES).makeOptionMandatory())
    .action(async (name: string, given: KeyGiven) => {
      await checkAbsent(given.out);
      await withAdmin(given, async (admin) => keep(await admin.addAccount({ name, role: given.role }), given.out));
    });
  const rotate = withKey(
    'rotate',
    'another credential for an account; what it had before is refused from then on',
  ).action(async (name: string, given: KeyGiven) => {
    await checkAbsent(given.out);
    await withAdmin(given, async (admin) => keep(await admin.rotateAccount(name), given.out));
  });
  const list = askingCoordinator(command('list', 'all accounts', 'starling account list'))
    .option('--json', 'print JSON')
    .action((given: Given) =>
      withAdmin(given, async (admin) => {
        const accounts = await admin.listAccounts();
        if (given.json) return printJson(accounts);
        const rows = accounts.map(({ name, role, sinceMs }) => [
          name,
          role,
          new Date(sinceMs).toISOString().slice(0, 16),
        ]);
        for (const line of columns([['ACCOUNT', 'ROLE', 'SINCE'], ...rows])) print(line);
      }),
    );
  const remove = askingCoordinator(
    command('remove', 'its credential is refused from then on', 'starling account remove ada'),
  )
    .argument('NAME')
    .action((name: string, given: Given) => withAdmin(given, (admin) => admin.removeAccount(name)));
  return [add, rotate, list, remove].reduce(
    (all, one) => all.addCommand(one),
    command('account', 'who may operate a coordinator', 'starling account add ada --role viewer --out ada.json'),
  );
}

function withKey(name: string, description: string): Command {
  return askingCoordinator(command(name, description, `starling account ${name} ada --out ada.json`))
    .argument('NAME')
    .option('--out <FILE>', 'a new file for the credential, which is a secret (default: standard output)');
}

/** @throws FlError already-exists: a credential that is overwritten is lost */
async function checkAbsent(path: string | undefined): Promise<void> {
  if (path === undefined || (await stat(path).catch(() => undefined)) === undefined) return;
  throw new FlError('already-exists', `out: expected a new file, got ${path}, which is there`);
}

/** The file is its owner's alone, as all that we write. */
async function keep(key: AccountKey, path: string | undefined): Promise<void> {
  if (path === undefined) return printJson(key);
  await writeFileDurably(resolve(path), Buffer.from(`${JSON.stringify(key, null, 2)}\n`));
  print(`${key.name} is ${key.role}; its credential is in ${path}: starling run list --credential ${path}`);
}
