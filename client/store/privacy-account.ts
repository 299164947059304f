/**
 * privacy.jsonl of a client: what its examples have been charged, over all runs and coordinators; signed by the client,
 * each record holding the hash of the one before (shared/privacy/ledger). A release is charged before it leaves, and once.
 *
 * The figure is the client's own, for one example of it, by Rényi accounting: it holds whatever coordinators say.
 */
import { join } from 'node:path';
import { openLines } from '../../shared/disk/lines.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type Identity, sha256Hex, verifySignature } from '../../shared/identity.js';
import {
  charge,
  encodeLedger,
  epsilonOf,
  type Ledger,
  type LedgerTerms,
  type Spend,
  spendsOf,
  verifyLedger,
} from '../../shared/privacy/index.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { exampleCostOf, releaseIdOf } from '../round/privatize.js';

export const ACCOUNT_FILE = 'privacy.jsonl';

/** Of a site whose policy names none. */
const DEFAULT_DELTA = 1e-5;

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
 * Opens the account in `directory`, or begins it; a last record that a crash cut short is cut off, for its release never left.
 * @param delta what the site's policy says; absent: as the account was begun, or {@link DEFAULT_DELTA}
 * @throws FlError corrupt: a record is not what this client wrote; invalid-argument: it was begun at another delta
 */
export async function openAccount(
  directory: string,
  { identity, delta }: { readonly identity: Identity; readonly delta?: number },
): Promise<PrivacyAccount> {
  const path = join(directory, ACCOUNT_FILE);
  const lines = await openLines(path);
  let ledger = readLedger(lines.content, identity, path);
  const begun = ledger.at(-1)?.entry.delta;
  if (delta !== undefined && begun !== undefined && delta !== begun) {
    throw invalidArgument('delta', `${begun}, which ${path} was begun with`, delta);
  }
  const terms: LedgerTerms = { unit: 'example', delta: begun ?? delta ?? DEFAULT_DELTA, accountant: 'rdp' };
  const signer = { sha256: sha256Of, sign: (bytes: Uint8Array) => identity.sign(bytes) };
  let last: Promise<void> = Promise.resolve();

  async function add(plan: RoundPlan, spend: Spend): Promise<void> {
    const { clippingBound: first, noiseMultiplier, mode } = plan.work.privacy!;
    const { round, clippingBound = first } = plan;
    const release = {
      ...{ runId: releaseIdOf(plan), round, spends: [spend], clippingBound },
      noiseStdDev: noiseMultiplier * clippingBound,
      sampling: mode === 'example' ? ('poisson-secret' as const) : ('all' as const),
      survivors: plan.work.secure?.survivorsMin ?? 1,
    };
    const next = charge(ledger, release, terms, signer);
    if (next === ledger) return; // charged before
    await lines.append(encodeLedger(next.slice(-1)));
    ledger = next;
  }

  const spent = () => ledger.at(-1)?.entry.epsilonAfter ?? 0;
  return {
    get epsilon() {
      return spent();
    },
    delta: terms.delta,
    epsilonAfter(plan) {
      const spend = exampleCostOf(plan);
      if (spend === undefined) return Number.POSITIVE_INFINITY;
      const id = releaseIdOf(plan);
      const isCharged = ledger.some(({ entry }) => entry.runId === id);
      return isCharged ? spent() : epsilonOf([...spendsOf(ledger), spend], terms);
    },
    charge(plan) {
      const spend = exampleCostOf(plan);
      if (spend === undefined) return Promise.resolve();
      const charged = last.then(() => add(plan, spend));
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
