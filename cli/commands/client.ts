/** `starling client join` and `starling client run`; `policy`, `log`, `list` and `check-data` have files of their own. */
import { type Command, Option } from 'commander';
import { clientsDir } from '../../shared/disk/home.js';
import { BACKENDS } from '../../shared/run/settings.js';
import { VERSION } from '../../shared/version.js';
import { checkDataCommand } from './client-check-data.js';
import { clientListCommand } from './client-list.js';
import { clientLogCommand } from './client-log.js';
import { clientPolicyCommand } from './client-policy.js';
import { clientStandingCommands } from './client-standing.js';
import { withKeyFile } from './key-file.js';
import { asWrongUse, command, print, printJson, repeated, slice } from './options.js';
import { endOf, serve } from './service.js';
import { type SiteFilesGiven, siteFilesOf, withSiteFiles } from './site-files.js';
import { readToken } from './token-file.js';

interface RunOptions extends SiteFilesGiven {
  readonly name?: string;
  readonly join?: string;
  readonly tokenFile?: string;
  readonly policy?: string;
  readonly data?: string;
  readonly slice?: { index: number; count: number };
  readonly backend?: string;
  readonly workload: string[];
}

/** `starling client` with `join`, `run`, `policy` and `log` of a lab, and what an operator does about clients. */
export function clientCommand(): Command {
  const join = withKeyFile(
    withSiteFiles(command('join', 'enrol this machine with a token', 'starling client join starling1.eyJhZGRyZXNz…')),
  )
    .argument('[TOKEN]')
    .option('--token-file <FILE>', TOKEN_FILE)
    .option('--json', 'print JSON')
    .action(async (given: string | undefined, more: SiteFilesGiven & { tokenFile?: string; json?: boolean }) => {
      const { joinClient } = await import('../../client/join.js');
      const token = await readToken(given, more.tokenFile);
      const membership = await joinClient({ token, clientsDir: clientsDir(), siteFiles: siteFilesOf(more) });
      if (more.json) return printJson(membership);
      print(`joined as ${membership.client}; now: starling client run --name ${membership.client}`);
    });
  const run = withKeyFile(
    withSiteFiles(
      command('run', 'take part: train on the data of this machine', 'starling client run --policy policy.yaml'),
    ),
  )
    .option('--name <NAME>', 'which client, when this machine is several')
    .option('--join <TOKEN>', 'join first; not if the client that --name names is here')
    .option('--token-file <FILE>', `join first by ${TOKEN_FILE}`)
    .option('--policy <FILE>', 'what this site allows (default: as `starling client policy` lists it)')
    .option('--data <DIR>', "this site's data (default: the data sets that packages bring)")
    .option('--slice <I/N>', 'use the I-th of N shares of the data: for several clients on one data set', slice)
    .addOption(new Option('--backend <NAME>', 'what trains here (default: the best that is here)').choices(BACKENDS))
    .option('--workload <FILE>', 'a workload of your own, besides the built-in ones; repeatable', repeated, [])
    .action(runAction);
  const setAddress = withKeyFile(
    command(
      'set-address',
      'say where the coordinator has moved to',
      'starling client set-address hub.example.org:7437',
    ),
  )
    .argument('HOST:PORT')
    .option('--name <NAME>', 'which client, when this machine is several')
    .option('--json', 'print JSON')
    .action(async (address: string, given: { name?: string; json?: boolean }) => {
      const { setAddress } = await import('../../client/set-address.js');
      const membership = await setAddress({ clientsDir: clientsDir(), name: given.name, address });
      if (given.json) return printJson(membership);
      print(
        `${membership.client} finds its coordinator at ${membership.address}; a client that runs goes there by itself`,
      );
    });
  const client = command('client', 'be a client, or see to those of a coordinator', 'starling client join TOKEN')
    .addCommand(join)
    .addCommand(run)
    .addCommand(setAddress)
    .addCommand(rotateKeyCommand())
    .addCommand(checkDataCommand())
    .addCommand(clientPolicyCommand())
    .addCommand(clientLogCommand())
    .addCommand(clientListCommand());
  return clientStandingCommands().reduce((all, one) => all.addCommand(one), client);
}

function rotateKeyCommand(): Command {
  return withKeyFile(
    command(
      'rotate-key',
      'give this client another key, which the one before vouches for; it must be stopped',
      'starling client rotate-key --name charite',
    ),
  )
    .option('--name <NAME>', 'which client, when this machine is several')
    .option('--json', 'print JSON')
    .action(async (given: { name?: string; json?: boolean }) => {
      const { rotateKey } = await import('../../client/rotate-key.js');
      const rotated = await rotateKey({ clientsDir: clientsDir(), name: given.name });
      if (given.json) return printJson(rotated);
      print(`${rotated.client} has the key ${rotated.to}; now: starling client run --name ${rotated.client}`);
    });
}

const TOKEN_FILE = 'a file with the token; - is standard input';

async function runAction(given: RunOptions): Promise<void> {
  const { joinClient } = await import('../../client/join.js');
  const { runClient } = await import('../../client/run.js');
  const { loadWorkload } = await import('../../client/workloads/index.js');
  const joined = (await isToJoin(given))
    ? await joinClient({
        token: await readToken(given.join, given.tokenFile),
        clientsDir: clientsDir(),
        siteFiles: siteFilesOf(given),
      })
    : undefined;
  const modules: Record<string, string> = {};
  for (const file of given.workload) modules[(await loadWorkload(file).catch(asWrongUse)).manifest.name] = file;
  const name = given.name ?? joined?.client;
  const client = await runClient({
    clientsDir: clientsDir(),
    name,
    policyFile: given.policy,
    dataDir: given.data,
    slice: given.slice,
    backend: given.backend,
    workloadModules: modules,
    version: VERSION,
    say: print,
  }).catch((thrown) => {
    throw endOf(`the client in ${clientsDir()}`, thrown);
  });
  await serve(client, `the client in ${client.directory}`);
}

/** A supervisor gives the same command at each start, long after its token has been used up. */
async function isToJoin({ join, tokenFile, name }: RunOptions): Promise<boolean> {
  if (join === undefined && tokenFile === undefined) return false;
  if (name === undefined) return true;
  const { membershipDirectory } = await import('../../client/join.js');
  return membershipDirectory({ clientsDir: clientsDir(), name }).then(
    () => false,
    () => true,
  );
}
