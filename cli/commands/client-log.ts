/** `starling client log`: what a client of this machine was asked, decided, sent and charged. */
import type { SiteEntry } from '../../client/store/site-log.js';
import { clientsDir } from '../../shared/disk/home.js';
import { withKeyFile } from './key-file.js';
import { command, print } from './options.js';

interface Given {
  readonly name?: string;
  readonly json?: boolean;
}

/** `starling client log`. */
export function clientLogCommand() {
  return withKeyFile(
    command('log', 'what this client was asked, decided, sent and charged', 'starling client log --name charite'),
  )
    .option('--name <NAME>', 'which client, when this machine is several')
    .option('--json', 'print each entry as a line of JSON')
    .action(async ({ name, json }: Given) => {
      const { membershipDirectory } = await import('../../client/join.js');
      const { readSiteLog } = await import('../../client/store/site-log.js');
      const { keysIn } = await import('../../client/former-keys.js');
      const { seedIn } = await import('../../client/directory.js');
      const { identityFromSeed } = await import('../../shared/signing/identity.js');
      const directory = await membershipDirectory({ clientsDir: clientsDir(), name });
      const identity = identityFromSeed(await seedIn(directory));
      for await (const entry of readSiteLog(directory, await keysIn(directory, identity.publicKey))) {
        print(json ? JSON.stringify(entry) : `${new Date(entry.atMs).toISOString()}  ${wordsOf(entry)}`);
      }
    });
}

function wordsOf(entry: SiteEntry): string {
  switch (entry.event) {
    case 'plan': {
      const { workload, cohort, secure, privacy = 'none', decision, reason, modelSha256 } = entry;
      const how = `${secure ? 'secure aggregation' : 'in the clear'}, privacy ${privacy}`;
      const why = reason === undefined ? '' : `: ${reason}`;
      const model = modelSha256.slice(0, 12);
      return `plan     ${taskOf(entry)}  ${workload}, model ${model}, cohort of ${cohort}, ${how}: ${decision}${why}`;
    }
    case 'sent':
      return `sent     ${taskOf(entry)}  ${entry.what}, ${entry.sizeBytes} bytes, sha256 ${entry.sha256}`;
    case 'charged': {
      const epsilon = Number(entry.epsilon.toPrecision(4));
      return `charged  ${taskOf(entry)}  one example, over all runs: epsilon ${epsilon} at delta ${entry.delta}`;
    }
    case 'noticed':
      return `noticed  ${entry.message} ${JSON.stringify(entry.fields)}`;
  }
}

function taskOf({ run, kind, round, attempt }: Extract<SiteEntry, { run: string }>): string {
  return `${run} ${kind} round ${round} attempt ${attempt}`;
}
