/**
 * Equivocation: one coordinator, two stories. A ledger is compared with lines from elsewhere: another copy of it, or heads
 * that a client has kept. Two validly signed statements about one round of one run that differ are evidence that anyone
 * can check: an honest coordinator signs one line for a round, once.
 *
 * A head is a line in small, {run, round, lineSha256}, signed by the coordinator under a label of its own: what it sends
 * to the survivors of a round, since a line itself grows with the cohort.
 */
import { z } from 'zod';
import { isSignedBy, lineSha256, linesOf } from '../chain/chain.js';
import { FlError } from '../errors.js';
import { fromHex, HEX_32_BYTES, toHex } from '../hex.js';
import { parseCanonicalJson } from '../signing/canonical-json.js';
import { type Identity, signedBytes, verifySignature } from '../signing/identity.js';
import { type LedgerLine, parseLine } from './entry.js';

/** A line in small. */
export interface LedgerHead {
  readonly run: string;
  readonly round: number;
  readonly lineSha256: string;
}

/** What a client keeps. */
export interface SignedHead {
  readonly head: LedgerHead;
  /** Ed25519, hex. */
  readonly signature: string;
}

/** Something that a coordinator has signed about one round; `round` 0 is the first line of a ledger. */
export interface Statement {
  readonly run: string;
  readonly round: number;
  readonly lineSha256: string;
  /** As it stood in its file, complete: the evidence. */
  readonly text: string;
}

/** Two signed statements about one round; `ours` and `theirs` are lines as they stood in their files. */
export interface Contradiction {
  readonly round: number;
  readonly ours?: string;
  readonly theirs: string;
  readonly what: string;
}

/** A head under the coordinator's signature. */
export function signHead(head: LedgerHead, identity: Identity): SignedHead {
  return { head, signature: toHex(identity.sign(signedBytes('ledger-head', head))) };
}

/** Whether a head is by this Ed25519 key, 32 bytes in hex. */
export function isHeadSignedBy({ head, signature }: SignedHead, coordinatorKey: string): boolean {
  return verifySignature(fromHex(coordinatorKey), signedBytes('ledger-head', head), fromHex(signature));
}

/**
 * The statements of a file of ledger lines or heads, or of both, that this coordinator has signed, by one of its keys, hex;
 * `foreign` counts the others. The file need not be a whole ledger.
 * @throws FlError corrupt naming the line that is neither.
 */
export function statementsOf(
  content: Uint8Array,
  coordinatorKeys: readonly string[],
): { statements: Statement[]; foreign: number } {
  const statements: Statement[] = [];
  let foreign = 0;
  for (const [index, text] of linesOf(content).entries()) {
    const statement = statementOf(text, index, coordinatorKeys);
    if (statement === undefined) foreign++;
    else statements.push(statement);
  }
  return { statements, foreign };
}

function statementOf(text: string, index: number, coordinatorKeys: readonly string[]): Statement | undefined {
  let line: LedgerLine | SignedHead;
  try {
    line = text.startsWith('{"head":') ? parseHead(text) : parseLine(text);
  } catch (thrown) {
    throw new FlError('corrupt', `against: line ${index + 1}: ${FlError.from(thrown).message}`, { cause: thrown });
  }
  const isOurs = coordinatorKeys.some((key) =>
    'head' in line ? isHeadSignedBy(line, key) : isSignedBy('ledger', line, fromHex(key)),
  );
  if (!isOurs) return undefined;
  if ('head' in line) return { ...line.head, text };
  const { entry } = line;
  return { run: entry.run, round: entry.kind === 'round' ? entry.round : 0, lineSha256: lineSha256(text), text };
}

/** What `theirs` says of the run of `ours` that `ours`, a ledger that has been verified, does not. */
export function contradictionsOf(ours: readonly Statement[], theirs: readonly Statement[]): Contradiction[] {
  const run = ours[0]?.run;
  return theirs.flatMap((statement): Contradiction[] => {
    if (statement.run !== run) return [];
    const { round, text } = statement;
    const own = ours[round];
    if (own === undefined) return [{ round, theirs: text, what: 'signed, and not in this ledger' }];
    if (own.lineSha256 === statement.lineSha256) return [];
    return [{ round, ours: own.text, theirs: text, what: 'two different lines, both signed' }];
  });
}

const headSchema: z.ZodType<SignedHead> = z.strictObject({
  head: z.strictObject({ run: z.string(), round: z.int().min(1), lineSha256: z.string().regex(HEX_32_BYTES) }),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

/** A line of a client's file of heads, read; its signature is not checked. @throws FlError corrupt */
export function parseHead(text: string): SignedHead {
  try {
    return parseCanonicalJson(text, headSchema);
  } catch (thrown) {
    const { message } = FlError.from(thrown);
    throw new FlError('corrupt', `expected a head as a client keeps it: ${message}`, { cause: thrown });
  }
}
