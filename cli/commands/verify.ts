/** `starling verify RUN_DIR`: whether a run's ledger holds, with nothing but the files at hand. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { CheckOptions, RunCheck } from '../../server/run/check.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { command, print, printJson } from './options.js';

interface Given {
  readonly coordinator?: string;
  readonly enrolment?: string;
  readonly against?: string;
  readonly json?: boolean;
}

/** Needs nothing but a copy of the run directory. */
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
    .option('--against <FILE>', 'another copy of the ledger, or the ledger-heads.jsonl of a client: shows two stories')
    .option('--json', 'print JSON')
    .action(verifyAction);
}

async function verifyAction(directory: string, given: Given): Promise<void> {
  const { checkRun } = await import('../../server/run/check.js');
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
  if (coordinator !== undefined && !HEX_32_BYTES.test(coordinator)) {
    throw invalidArgument('coordinator', '64 lower-case hex digits', coordinator);
  }
  const { parseEnrolmentKeys } = await import('../../shared/signing/enrolment-file.js');
  return {
    coordinatorFingerprint: coordinator,
    ...(enrolment !== undefined && {
      enrolment: parseEnrolmentKeys(Buffer.from(await fileAt(enrolment)).toString('utf8'), enrolment),
    }),
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
