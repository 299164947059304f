/** `starling client approve | suspend | resume | revoke | re-enrol`: what an operator does about one client. */
import type { Command } from 'commander';
import type { StandingChange } from '../../shared/people.js';
import { withAdmin } from '../../simulations/open-admin.js';
import { askingCoordinator, command, durationMs, print, printJson } from './options.js';

interface Given {
  readonly dataDir?: string;
  readonly credential?: string;
  readonly reason?: string;
  readonly expires: number;
  readonly json?: boolean;
}

const WHAT: Readonly<Record<StandingChange, { readonly does: string; readonly done: string }>> = {
  approve: { does: 'let in a client that has joined with a token of `--approve`', done: 'takes part from now on' },
  suspend: { does: 'keep a client out for a while', done: 'is out until `starling client resume`' },
  resume: { does: 'let in a client that was suspended', done: 'takes part again; it comes back within half a minute' },
  revoke: {
    does: 'shut a client out for good: its stream ends, its round goes on without it',
    done: 'is out for good',
  },
};

/** Each asks the coordinator of a data directory, which must be running. */
export function clientStandingCommands(): Command[] {
  const changes = (Object.keys(WHAT) as StandingChange[]).map((change) =>
    of(change, WHAT[change].does)
      .option('--reason <TEXT>', 'for a person; the client is told')
      .action((client: string, given: Given) =>
        withAdmin(given, async (admin) => {
          await admin.setStanding({ client, change, reason: given.reason ?? '' });
          print(`${client} ${WHAT[change].done}`);
        }),
      ),
  );
  const again = of('re-enrol', "revoke a client's key, and make a token by which another takes its name")
    .option('--expires <DURATION>', 'how long the token is good for', durationMs, durationMs('24h'))
    .option('--json', 'print JSON')
    .action((client: string, given: Given) =>
      withAdmin(given, async (admin) => {
        const token = await admin.reEnrol({ client, expiresMs: given.expires });
        if (given.json) printJson({ token });
        else print(token);
      }),
    );
  return [...changes, again];
}

function of(name: string, description: string): Command {
  return askingCoordinator(command(name, description, `starling client ${name} charite`)).argument('NAME');
}
