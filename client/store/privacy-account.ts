/**
 * privacy.jsonl of a client: what its examples have been charged, over all runs and coordinators; signed by the client,
 * a chain of charges (shared/privacy/charges). A release is charged before it leaves, and once.
 *
 * The figure is the client's own, for one example of it: it holds whatever coordinators say. It is by the same loss
 * distributions as a run's (shared/run/privacy-cost.ts). Accounts that older versions began by Rényi accounting go on: every
 * record holds its spends, and all of them are composed anew by loss distributions.
 */
import { join } from 'node:path';
import { openLines } from '../../shared/disk/lines.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import {
  type Charges,
  type ChargeTerms,
  charge,
  chargedEpsilon,
  encodeCharges,
  epsilonOf,
  type Spend,
  samplerErrorOf,
  spendsOf,
  verifyCharges,
} from '../../shared/privacy/index.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { costOf, roundsLeft, roundsWithinBudget } from '../../shared/run/privacy-cost.js';
import type { Identity } from '../../shared/signing/identity.js';
import { exampleCostOf, exampleSamplerErrorOf, releaseIdOf } from '../round/privatize.js';

/** In the folder of a client. */
export const ACCOUNT_FILE = 'privacy.jsonl';

/** Of a site whose policy names none. */
const DEFAULT_DELTA = 1e-5;

/** An open account. */
export interface PrivacyAccount {
  /** ε of one example of this client so far. */
  readonly epsilon: number;
  readonly delta: number;
  /** ε after what this plan asks for; a release that is charged already costs nothing more. */
  epsilonAfter(plan: RoundPlan): number;
  /** Whether what this plan asks for was charged. */
  isCharged(plan: RoundPlan): boolean;
  /** ε after the last round of the plan's run, if this client takes part as often as it can from this round on. */
  epsilonAfterRun(plan: RoundPlan): number;
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
  const { content, lines } = await openLines(path);
  let charges = readCharges(content, identity, path);
  const begun = charges.at(-1)?.entry.delta;
  if (delta !== undefined && begun !== undefined && delta !== begun) {
    throw invalidArgument('delta', `${begun}, which ${path} was begun with`, delta);
  }
  const terms: ChargeTerms = { unit: 'example', delta: begun ?? delta ?? DEFAULT_DELTA, accountant: 'pld' };
  let last: Promise<void> = Promise.resolve();

  async function add(plan: RoundPlan, spend: Spend): Promise<void> {
    const { clippingBound: first, noiseMultiplier: z, mode, tests } = plan.work.privacy!;
    const isTest = plan.kind === 'evaluate';
    const { round, clippingBound = isTest ? 1 : first } = plan;
    const noiseMultiplier = isTest ? tests!.noiseMultiplier : z; // of test figures: by what one example changes
    const release = {
      ...{ runId: releaseIdOf(plan), round, spends: [spend], clippingBound },
      noiseStdDev: noiseMultiplier * clippingBound,
      sampling: mode === 'example' && !isTest ? ('poisson-secret' as const) : ('all' as const),
      survivors: plan.work.secure?.survivorsMin ?? 1,
      samplerError: exampleSamplerErrorOf(plan),
    };
    const next = charge(charges, release, terms, identity);
    if (next === charges) return; // charged before
    await lines.append(encodeCharges(next.slice(-1)));
    charges = next;
  }

  const spent = () => chargedEpsilon(charges, terms);

  /** After so many more rounds, and evaluations, like that of the plan's run. */
  function epsilonOfMore({ work }: RoundPlan, more: { readonly train: number; readonly evaluate: number }): number {
    const ahead = (['train', 'evaluate'] as const).flatMap((kind) => {
      const spend = exampleCostOf({ kind, work });
      if (spend === undefined || more[kind] === 0) return [];
      const spends = { ...spend, count: spend.count * more[kind] };
      return { spends, samplerError: more[kind] * exampleSamplerErrorOf({ kind, work }) };
    });
    if (ahead.length === 0) return spent();
    const samplerError = ahead.reduce((sum, one) => sum + one.samplerError, samplerErrorOf(charges));
    return Math.max(
      spent(),
      epsilonOf([...spendsOf(charges), ...ahead.map(({ spends }) => spends)], terms, samplerError),
    );
  }

  const isCharged = (plan: RoundPlan) => {
    const id = releaseIdOf(plan);
    return charges.some(({ entry }) => entry.runId === id);
  };
  return {
    get epsilon() {
      return spent();
    },
    delta: terms.delta,
    isCharged,
    epsilonAfter(plan) {
      if (exampleCostOf(plan) === undefined) return Number.POSITIVE_INFINITY;
      const once = isCharged(plan) ? 0 : 1;
      return epsilonOfMore(plan, { train: 0, evaluate: 0, [plan.kind]: once });
    },
    epsilonAfterRun(plan) {
      if (exampleCostOf(plan) === undefined) return Number.POSITIVE_INFINITY;
      const more = releasesLeft(plan);
      return epsilonOfMore(plan, { ...more, [plan.kind]: more[plan.kind] - (isCharged(plan) ? 1 : 0) });
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

/**
 * What the plan's run asks for at most from this plan on; a round is judged after it was trained. A run that ends before it
 * crosses a budget asks nobody for more rounds than that allows; one that does not keep to it is declined where it crosses.
 */
function releasesLeft({ kind, round, work }: RoundPlan): { readonly train: number; readonly evaluate: number } {
  const toTrain = kind === 'train' || round < work.rounds;
  const evaluate = Math.min(Math.max(1, work.rounds - round + 1), work.privacy?.tests?.evaluations ?? 0);
  const train = toTrain ? roundsLeft(work, kind === 'train' ? round : round + 1) : 0;
  const isBounded = work.privacy?.epsilonBudget !== undefined && train > 0;
  return { train: isBounded ? Math.min(train, roundsWithinBudget(costOf(work)!, train)) : train, evaluate };
}

function readCharges(content: Uint8Array, identity: Identity, path: string): Charges {
  const checked = verifyCharges(content, identity.publicKey);
  if (checked.ok) return checked.charges;
  throw new FlError('corrupt', `${path}, record ${checked.record}: ${checked.reason}`);
}
