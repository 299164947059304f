/** `starling key rotate` of a coordinator that is stopped, and which of its files are secrets. */
import { join } from 'node:path';
import { systemClock } from '../shared/clock.js';
import { entriesOf } from '../shared/disk/aside.js';
import type { Identity } from '../shared/signing/identity.js';
import { openSecurityLog } from './audit/log.js';
import { ADMIN_TOKEN_FILE, OPERATOR_FILE } from './data-dir.js';
import { KEY_FILE, NEXT_KEY_FILE, rotateIdentity } from './keys.js';
import { NOISE_FILE } from './run/noise.js';
import { AUTHORITY_FILE } from './tls/authority.js';

/** Another key, and a line of the security log that says so, signed by it. @throws FlError as `rotateIdentity` */
export async function rotateCoordinator(dataDir: string): Promise<Identity> {
  const identity = await rotateIdentity(dataDir);
  const { from, to } = identity.handOvers!.at(-1)!;
  await (await openSecurityLog(dataDir, { identity, clock: systemClock })).add({ event: 'rotated', from, to });
  return identity;
}

/** Paths, of files that may be there. */
export async function secretsOf(dataDir: string): Promise<string[]> {
  const own = [KEY_FILE, NEXT_KEY_FILE, AUTHORITY_FILE, ADMIN_TOKEN_FILE, OPERATOR_FILE];
  const ofRuns: string[] = [];
  for (const folder of ['runs', 'archive']) {
    for (const { name } of await entriesOf(join(dataDir, folder))) ofRuns.push(join(dataDir, folder, name, NOISE_FILE));
  }
  return [...own.map((name) => join(dataDir, name)), ...ofRuns];
}
