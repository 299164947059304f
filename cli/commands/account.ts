/** `starling account`: who may call a coordinator as its operator, and how much of it. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { writeFileDurably } from '../../shared/disk/files.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type AccountKey, ROLES, type Role } from '../../shared/people.js';
import { certificatesIn, validityOf } from '../../shared/tls/subject.js';
import { readCredential, withAdmin } from '../../simulations/open-admin.js';
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

/** With `add`, `rotate`, `renew`, `list` and `remove`. */
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
  const renew = command(
    'renew',
    'another certificate for your own account, before the one of its credential expires; its token stays',
    'starling account renew --credential ada.json',
  )
    .option(
      '--credential <FILE>',
      'a file of `starling account add`, which is written again (default: $STARLING_CREDENTIAL)',
    )
    .option('--json', 'print JSON')
    .action(renewAction);
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
  return [add, rotate, renew, list, remove].reduce(
    (all, one) => all.addCommand(one),
    command('account', 'who may operate a coordinator', 'starling account add ada --role viewer --out ada.json'),
  );
}

function withKey(name: string, description: string): Command {
  return askingCoordinator(command(name, description, `starling account ${name} ada --out ada.json`))
    .argument('NAME')
    .option('--out <FILE>', 'a new file for the credential, which is a secret (default: standard output)');
}

/** Killed at any time, the file is the old one or the new one: both are good until the old one expires. */
async function renewAction({ credential = process.env.STARLING_CREDENTIAL, json }: Given): Promise<void> {
  if (credential === undefined) {
    throw invalidArgument('credential', '--credential FILE, of `starling account add`', undefined);
  }
  const old = await readCredential(credential);
  if (old.tls === '') {
    throw new FlError('failed-precondition', `${credential}: it has no certificate, connections are in plaintext`);
  }
  await withAdmin({ credential }, async (admin) => {
    const { tls } = await admin.renewAccount(old.name);
    const key: AccountKey = { ...old, tls };
    await writeFileDurably(resolve(credential), Buffer.from(`${JSON.stringify(key, null, 2)}\n`));
    const until = new Date(validityOf(certificatesIn(tls)[0]).toMs).toISOString();
    if (json) return printJson({ name: old.name, until });
    print(`${old.name}: the certificate in ${credential} is good until ${until.slice(0, 10)}`);
  });
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
