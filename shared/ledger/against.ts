/**
 * Equivocation: one coordinator, two stories. A ledger is compared with lines from elsewhere: another copy of it, or heads
 * that a client has kept. Two validly signed statements about one round of one run that differ are evidence that anyone
 * can check: an honest coordinator signs one line for a round, once.
 *
 * A head is a line in small, {run, round, lineSha256}, signed by the coordinator under a label of its own: what it sends
 * to the survivors of a round, since a line itself grows with the cohort.
 */
import { z } from 'zod';
import { FlError } from '../errors.js';
import { canonicalJson, type Identity, signedBytes, verifySignature } from '../signing/identity.js';
import { bytes, hex, isSignedBy, type LedgerLine, lineSha256, parseLine } from './entry.js';
import { linesOf } from './verify.js';

export interface LedgerHead {
  readonly run: string;
  readonly round: number;
  readonly lineSha256: string;
}

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

export interface Contradiction {
  readonly round: number;
  readonly ours?: string;
  readonly theirs: string;
  readonly what: string;
}

export function signHead(head: LedgerHead, identity: Identity): SignedHead {
  return { head, signature: hex(identity.sign(signedBytes('ledger-head', head))) };
}

export function isHeadSignedBy({ head, signature }: SignedHead, coordinatorKey: string): boolean {
  return verifySignature(bytes(coordinatorKey), signedBytes('ledger-head', head), bytes(signature));
}

/**
 * The statements of a file of ledger lines or heads, or of both, that this coordinator has signed; `foreign` counts the
 * others. The file need not be a whole ledger.
 * @throws FlError corrupt naming the line that is neither.
 */
export function statementsOf(
  content: Uint8Array,
  coordinatorKey: string,
): { statements: Statement[]; foreign: number } {
  const statements: Statement[] = [];
  let foreign = 0;
  for (const [index, text] of linesOf(content).entries()) {
    const statement = statementOf(text, index, coordinatorKey);
    if (statement === undefined) foreign++;
    else statements.push(statement);
  }
  return { statements, foreign };
}

function statementOf(text: string, index: number, coordinatorKey: string): Statement | undefined {
  let line: LedgerLine | SignedHead;
  try {
    line = text.startsWith('{"head":') ? parseHead(text) : parseLine(text);
  } catch (thrown) {
    throw new FlError('corrupt', `against: line ${index + 1}: ${FlError.from(thrown).message}`, { cause: thrown });
  }
  if ('head' in line) return isHeadSignedBy(line, coordinatorKey) ? { ...line.head, text } : undefined;
  if (!isSignedBy(line, coordinatorKey)) return undefined;
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

const schema = z.strictObject({
  head: z.strictObject({
    run: z.string(),
    round: z.int().min(1),
    lineSha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

function parseHead(text: string): SignedHead {
  const result = schema.safeParse(JSON.parse(text));
  if (result.success && canonicalJson(result.data) === text) return result.data;
  throw new FlError('corrupt', 'expected a head as a client keeps it, got something else');
}
