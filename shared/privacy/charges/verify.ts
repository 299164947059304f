/**
 * The stored form of privacy charges, and their verification by someone who trusts none of it but the signer's key: spelling,
 * chain, signatures, the order of rounds, and ε recomputed from the spends.
 *
 * What it cannot see: lines cut off the end. Compare the head with one received elsewhere (`expectedHead`).
 */
import { z } from 'zod';
import { type ChainLine, checkLine, lineSchema, lineSha256, linesOf } from '../../chain/chain.js';
import { corrupt, FlError } from '../../errors.js';
import { HEX_32_BYTES } from '../../hex.js';
import { canonicalJson, parseCanonicalJson } from '../../signing/canonical-json.js';
import { PRICE_ERROR, type Spend } from '../accounting/releases.js';
import {
  type Charge,
  type Charges,
  checkSpend,
  epsilonOf,
  FIRST_PREVIOUS,
  mayFollow,
  samplerErrorOf,
  spendsOf,
} from './charges.js';

/** What became of a check: `head` is the SHA-256 of the last line, hex; `record` counts lines from 0. */
export type ChargesVerification =
  | { readonly ok: true; readonly charges: Charges; readonly head: string; readonly epsilon: number }
  | { readonly ok: false; readonly record: number; readonly reason: string };

/** Another machine's exp and log may differ in the last digits, and may so choose another grid. */
const toleranceOf = (accountant: Charge['accountant']): number => (accountant === 'pld' ? 2 * PRICE_ERROR : 1e-5);

const line = lineSchema<Charge>(
  z.looseObject({
    version: z.literal(1),
    sequence: z.int().min(0),
    previous: z.string().regex(HEX_32_BYTES),
    runId: z.string(),
    round: z.int().min(0),
    spends: z.array(z.custom<Spend>()), // the accountant says what is wrong with one
    clippingBound: z.number(),
    noiseStdDev: z.number(),
    sampling: z.enum(['all', 'fixed-size', 'poisson-secret']),
    survivors: z.int().min(0),
    unit: z.enum(['client', 'example']),
    delta: z.number(),
    accountant: z.enum(['pld', 'rdp', 'analytic']),
    epsilonAfter: z.number(),
    samplerError: z.number().optional(),
  }),
);

/** What a file of these charges holds. */
export function encodeCharges(charges: Charges): Uint8Array {
  return new TextEncoder().encode(charges.map((charge) => `${canonicalJson(charge)}\n`).join(''));
}

/**
 * Checks all of what {@link encodeCharges} gave, with the signer's Ed25519 key, 32 bytes, or all that it has had; never throws for what is in it.
 * `recompute`: `last` (default) recomputes the final ε only, `all` that of each line.
 */
export function verifyCharges(
  content: Uint8Array,
  key: Uint8Array | readonly Uint8Array[],
  options: { readonly expectedHead?: string; readonly recompute?: 'all' | 'last' } = {},
): ChargesVerification {
  const charges: ChainLine<Charge>[] = [];
  let head = FIRST_PREVIOUS;
  try {
    const lines = linesOf(content);
    for (const text of lines) {
      const charge = parseCanonicalJson(text, line);
      checkLine('privacy-charge', charge, { key, whose: 'who was charged', previous: head });
      checkCharge(charge.entry, charges);
      charges.push(charge);
      if (options.recompute === 'all' || charges.length === lines.length) checkEpsilon(charges);
      head = lineSha256(text);
    }
    const { expectedHead = head } = options;
    if (expectedHead !== head) throw corrupt('head', expectedHead, head);
  } catch (thrown) {
    return { ok: false, record: charges.length, reason: FlError.from(thrown).message };
  }
  return { ok: true, charges, head, epsilon: charges.at(-1)?.entry.epsilonAfter ?? 0 };
}

function checkCharge(entry: Charge, before: Charges): void {
  if (entry.sequence !== before.length) throw corrupt('sequence', before.length, entry.sequence);
  checkSpend(entry);
  const last = before.at(-1)?.entry;
  if (last === undefined) return;
  for (const term of ['unit', 'delta'] as const) {
    if (entry[term] !== last[term]) throw corrupt(term, last[term], entry[term]);
  }
  if (!mayFollow(last.accountant, entry.accountant)) throw corrupt('accountant', last.accountant, entry.accountant);
  if (before.some(({ entry: old }) => old.runId === entry.runId && old.round === entry.round)) {
    throw corrupt('round', 'each round of a run once', `${entry.round} of ${entry.runId} again`);
  }
  if (entry.accountant === last.accountant && entry.epsilonAfter < last.epsilonAfter * (1 - 1e-9)) {
    throw corrupt('epsilonAfter', `at least ${last.epsilonAfter}`, entry.epsilonAfter);
  }
}

function checkEpsilon(charges: Charges): void {
  const { entry } = charges[charges.length - 1];
  const last = charges.at(-2)?.entry;
  const computed = epsilonOf(spendsOf(charges), entry, samplerErrorOf(charges));
  const epsilon = Math.max(last?.accountant === entry.accountant ? last.epsilonAfter : 0, computed);
  if (!(Math.abs(entry.epsilonAfter - epsilon) <= toleranceOf(entry.accountant) * epsilon)) {
    throw corrupt('epsilonAfter', epsilon, entry.epsilonAfter);
  }
}
