/** `starling verify RUN_DIR`: whether a run's ledger holds, with nothing but the files at hand. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type CheckOptions, checkRun, type RunCheck } from '../../server/run-check.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly coordinator?: string;
  readonly enrolment?: string;
  readonly against?: string;
  readonly json?: boolean;
}

export function verifyCommand(): Command {
  const example = 'starling verify starling-runs/cnn-20261124-203000-4711';
  return command('verify', "check a run's ledger: signatures, hash chain, survivors, model files", example)
    .argument('RUN_DIR')
    .option(
      '--coordinator <FINGERPRINT>',
      "SHA-256 of the coordinator's public key (default: the key that the ledger names)",
    )
    .option(
      '--enrolment <FILE>',
      'JSON, clients and their Ed25519 keys in hex (default: the keys that the ledger names)',
    )
    .option('--against <FILE>', 'another copy of the ledger, or the receipts.jsonl of a client: shows two stories')
    .option('--json', 'print JSON')
    .action(verifyAction);
}

async function verifyAction(directory: string, given: Given): Promise<void> {
  const check = await checkRun(directory, await optionsOf(given));
  if (given.json) printJson(check);
  if (check.ok) {
    if (!given.json) for (const line of summaryOf(check)) print(line);
    return;
  }
  for (const { ours, theirs } of given.json ? [] : (check.evidence ?? [])) {
    if (ours !== undefined) print(`in the ledger: ${ours}`);
    print(`elsewhere:     ${theirs}`);
  }
  const place = check.line === 0 ? check.file : `${check.file}, line ${check.line}`;
  throw new FlError('corrupt', `${place}: ${check.reason}`);
}

async function optionsOf({ coordinator, enrolment, against }: Given): Promise<CheckOptions> {
  if (coordinator !== undefined && !/^[0-9a-f]{64}$/.test(coordinator)) {
    throw invalidArgument('coordinator', '64 lower-case hex digits', coordinator);
  }
  return {
    ...(coordinator !== undefined && { coordinatorFingerprint: coordinator }),
    ...(enrolment !== undefined && { enrolment: enrolmentIn(await fileAt(enrolment), enrolment) }),
    ...(against !== undefined && { against: await fileAt(against) }),
  };
}

async function fileAt(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new FlError('invalid-argument', `${path}: expected a readable file, got ${code}`, { cause });
  }
}

/** `{"lab-1": "64 hex digits", …}` */
function enrolmentIn(file: Uint8Array, path: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(file).toString('utf8'));
  } catch (cause) {
    throw new FlError('invalid-argument', `${path}: expected JSON, got something else`, { cause });
  }
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  const bad = entries.find(([, key]) => typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key));
  if (entries.length === 0) throw invalidArgument(path, 'an object of client names and keys', typeof value);
  if (bad !== undefined) throw invalidArgument(`${path}: ${bad[0]}`, '64 lower-case hex digits', bad[1]);
  return new Map(entries as [string, string][]);
}

function summaryOf(check: Extract<RunCheck, { ok: true }>): string[] {
  const { run, rounds, coordinatorFingerprint, survivorSignatures, modelSha256, head, notes } = check;
  const secure = survivorSignatures === 0 ? '' : `, ${survivorSignatures} signatures of survivors`;
  return [
    `${run}: the ledger holds: ${rounds} ${rounds === 1 ? 'round' : 'rounds'}${secure}`,
    `coordinator  ${coordinatorFingerprint}`,
    `model        ${modelSha256}`,
    `last line    ${head}`,
    ...notes.map((note) => `note: ${note}`),
  ];
}
