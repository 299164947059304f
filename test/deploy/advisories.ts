/**
 * `npm audit` of what users of the package get, told apart: nothing is known against it, something is, or nobody has answered.
 * As a program (`.ci/deploy`) it ends with 1 when something is known; that no registry answered is said and is no failure.
 */
import { execFile } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../e2e/support.js';

/** What a registry says of our dependencies; `unanswered` has the reason in its words. */
export type Advisories =
  | { readonly kind: 'clean' }
  | { readonly kind: 'found'; readonly packages: readonly string[] }
  | { readonly kind: 'unanswered'; readonly reason: string };

/** What npm prints: a report, or why there is none. */
interface Said {
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>;
  readonly message?: string;
}

/** A status of HTTP, or what the network says; any other fault is ours. */
const UNANSWERED = /^\d{3} |ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|network/;

/** @param args for npm, as `--registry URL`. @throws Error: npm has failed otherwise */
export async function advisoriesOf(...args: readonly string[]): Promise<Advisories> {
  const command = ['audit', '--omit=dev', '--json', '--fetch-retries=0', ...args];
  const stdout = await new Promise<string>((resolve) => {
    execFile('npm', command, { cwd: ROOT, maxBuffer: 2 ** 26 }, (_, text) => resolve(text)); // its code says less
  });
  const { vulnerabilities, message = '' } = JSON.parse(stdout) as Said;
  if (vulnerabilities === undefined) {
    if (!UNANSWERED.test(message)) throw new Error(`npm audit: expected a report, got ${stdout}`);
    return { kind: 'unanswered', reason: message };
  }
  const packages = Object.entries(vulnerabilities).map(([name, { severity }]) => `${name} (${severity})`);
  return packages.length === 0 ? { kind: 'clean' } : { kind: 'found', packages };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const advisories = await advisoriesOf(...process.argv.slice(2));
  process.stdout.write(`npm audit: ${wordsOf(advisories)}\n`);
  process.exitCode = advisories.kind === 'found' ? 1 : 0;
}

function wordsOf(advisories: Advisories): string {
  if (advisories.kind === 'clean') return 'nothing is known against what users get';
  if (advisories.kind === 'found') return advisories.packages.join(', ');
  return `NOT DONE, no registry answered: ${advisories.reason}`;
}
