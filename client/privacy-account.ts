/**
 * privacy.jsonl of a client: what its examples have been charged, over all runs and coordinators; signed by the client,
 * each record holding the hash of the one before (shared/privacy/ledger). A release is charged before it leaves, and once.
 *
 * The figure is the client's own, for one example of it, by Rényi accounting: it holds whatever coordinators say.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError, systemFiles } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';
import { type Identity, sha256Hex, verifySignature } from '../shared/identity.js';
import {
  charge,
  encodeLedger,
  type Ledger,
  type LedgerTerms,
  type Spend,
  verifyLedger,
  wouldExceed,
} from '../shared/privacy/index.js';
import type { RoundPlan } from '../shared/round.js';
import { exampleCostOf, releaseIdOf } from './release.js';

export const ACCOUNT_FILE = 'privacy.jsonl';

export interface PrivacyAccount {
  /** ε of one example of this client so far. */
  readonly epsilon: number;
  readonly delta: number;
  /** ε after what this plan asks for; a release that is charged already costs nothing more. */
  epsilonAfter(plan: RoundPlan): number;
  /** Durable when it resolves; charging a release again changes nothing. Nothing for a plan without privacy. */
  charge(plan: RoundPlan): Promise<void>;
}

/**
 * Opens the account in `directory`; a last record that a crash cut short is cut off, for its release never left.
 * @throws FlError corrupt: a record is not what this client wrote
 */
export async function openAccount(
  directory: string,
  { identity, delta }: { readonly identity: Identity; readonly delta: number },
): Promise<PrivacyAccount> {
  const path = join(directory, ACCOUNT_FILE);
  const found = await systemFiles.read(path);
  const content = found ?? new Uint8Array(0);
  if (found === undefined) await begin(directory, path);
  const whole = content.subarray(0, content.lastIndexOf(0x0a) + 1);
  let ledger = readLedger(whole, identity, path);
  const terms: LedgerTerms = { unit: 'example', delta: ledger.at(-1)?.entry.delta ?? delta, accountant: 'rdp' };
  const signer = { sha256: sha256Of, sign: (bytes: Uint8Array) => identity.sign(bytes) };
  let sizeBytes = whole.length;
  let last: Promise<void> = Promise.resolve();

  const isCharged = (id: string) => ledger.some(({ entry }) => entry.runId === id);

  async function add(plan: RoundPlan, spend: Spend, id: string): Promise<void> {
    if (isCharged(id)) return;
    const { clippingBound, noiseMultiplier, mode } = plan.work.privacy!;
    const bound = plan.clippingBound ?? clippingBound;
    const next = charge(
      ledger,
      {
        ...{ runId: id, round: plan.round, spends: [spend], clippingBound: bound },
        noiseStdDev: noiseMultiplier * bound,
        sampling: mode === 'example' ? 'poisson-secret' : 'all',
        survivors: plan.work.secure?.survivorsMin ?? 1,
      },
      terms,
      signer,
    );
    const line = encodeLedger(next.slice(-1));
    await append(path, line, sizeBytes);
    sizeBytes += line.length;
    ledger = next;
  }

  return {
    get epsilon() {
      return ledger.at(-1)?.entry.epsilonAfter ?? 0;
    },
    delta: terms.delta,
    epsilonAfter(plan) {
      const spend = exampleCostOf(plan);
      if (spend === undefined) return Number.POSITIVE_INFINITY;
      const next = isCharged(releaseIdOf(plan)) ? [] : [spend];
      return wouldExceed(ledger, next, { epsilon: 0 }, terms).epsilonAfter;
    },
    charge(plan) {
      const spend = exampleCostOf(plan);
      if (spend === undefined) return Promise.resolve();
      const charged = last.then(() => add(plan, spend, releaseIdOf(plan)));
      last = charged.catch(() => undefined); // whoever asked is told
      return charged;
    },
  };
}

function readLedger(bytes: Uint8Array, identity: Identity, path: string): Ledger {
  const verify = (signed: Uint8Array, signature: Uint8Array) => verifySignature(identity.publicKey, signed, signature);
  const checked = verifyLedger(bytes, { sha256: sha256Of, verify });
  if (checked.ok) return checked.ledger;
  throw new FlError('corrupt', `${path}, record ${checked.record}: ${checked.reason}`);
}

function sha256Of(bytes: Uint8Array): Uint8Array {
  return Buffer.from(sha256Hex(bytes), 'hex');
}

/** The empty file, and its name in the directory. */
async function begin(directory: string, path: string): Promise<void> {
  await append(path, new Uint8Array(0), 0);
  await systemFiles.syncDirectory(directory);
}

/** Overwrites what a crash may have left of a record. */
async function append(path: string, line: Uint8Array, atBytes: number): Promise<void> {
  try {
    const file = await open(path, 'a+', 0o600);
    try {
      await file.truncate(atBytes);
      await file.appendFile(line);
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(path, error);
  }
}
