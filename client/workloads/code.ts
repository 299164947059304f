/**
 * Which code a workload is: sites that train one model must run one workload, and a name says nothing of what a file of that
 * name does. Of a file it is the hash of its bundle; of a built-in workload, its name and the version that it came with.
 */
import { sha256Hex } from '../../shared/signing/identity.js';
import { VERSION } from '../../shared/version.js';
import { isWorkloadPath } from './index.js';

/** Of a process: a client goes on with the code that it has loaded, whatever becomes of the file. */
const known = new Map<string, Promise<string>>();

/** SHA-256, hex. @throws FlError invalid-argument: the file does not compile */
export function codeSha256(nameOrPath: string): Promise<string> {
  const held = known.get(nameOrPath) ?? hashOf(nameOrPath);
  known.set(nameOrPath, held);
  return held;
}

async function hashOf(nameOrPath: string): Promise<string> {
  if (isWorkloadPath(nameOrPath)) return (await import('./bundle.js')).bundleSha256(nameOrPath);
  return sha256Hex(`workload ${nameOrPath} of starling-fl ${VERSION}`);
}

/** The same of what a plan means at this site. */
export function plannedCodeSha256(name: string, modules: Readonly<Record<string, string>>): Promise<string> {
  return codeSha256(Object.hasOwn(modules, name) ? modules[name] : name);
}

/** The same of all files that a site has given a name, by that name; of one that does not compile, nothing. */
export async function codesOf(modules: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const names = Object.keys(modules).sort();
  const codes = names.map((name) => plannedCodeSha256(name, modules).catch(() => ''));
  return Object.fromEntries((await Promise.all(codes)).map((code, i) => [names[i], code]));
}
