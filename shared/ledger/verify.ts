/**
 * Checks a ledger as someone who trusts none of it: spelling, chain, signatures, the order of rounds and models, and what
 * the survivors of secure rounds have signed. Pure; the files are read by `starling verify`.
 *
 * What a ledger alone cannot show: lines cut off its end, and another ledger shown to others. The journal and what
 * clients have kept (against.ts) show these.
 */
import { checkLine, lineSha256, linesOf } from '../chain/chain.js';
import { corrupt, FlError } from '../errors.js';
import { fromHex } from '../hex.js';
import type { StoredRunSpec } from '../run/spec.js';
import { sha256Hex } from '../signing/identity.js';
import { type OpenedEntry, parseLine, type RoundEntry, specSha256 } from './entry.js';
import { checkPrivacy, type PrivacyTally } from './privacy.js';
import { checkSecure } from './secure.js';

/** What the verifier knows from elsewhere; whatever is left out is taken from the ledger's own word. */
export interface LedgerTrust {
  /** `spec` of run.json. */
  readonly spec?: StoredRunSpec;
  /** SHA-256 of the coordinator's public key, hex: what a join token carries. */
  readonly coordinatorFingerprint?: string;
  /** Ed25519 keys by client, hex. */
  readonly enrolment?: ReadonlyMap<string, string>;
}

/** A ledger that holds. */
export interface CheckedLedger {
  readonly opened: OpenedEntry;
  readonly rounds: readonly RoundEntry[];
  /** SHA-256 of each line, the first one's included. */
  readonly hashes: readonly string[];
}

/** What became of a check. */
export type LedgerVerification =
  | ({ readonly ok: true } & CheckedLedger)
  /** `line` counts from 1; 0: the file as a whole. */
  | { readonly ok: false; readonly line: number; readonly reason: string };

/** Checks a whole ledger.jsonl; never throws for what is in it. */
export function verifyLedger(content: Uint8Array, trust: LedgerTrust = {}): LedgerVerification {
  const checker = new Checker(trust);
  let line = 0;
  try {
    for (const text of linesOf(content)) {
      line++;
      checker.take(text);
    }
    return { ok: true, ...checker.end() };
  } catch (thrown) {
    return { ok: false, line, reason: FlError.from(thrown).message };
  }
}

class Checker {
  readonly #trust: LedgerTrust;
  readonly #rounds: RoundEntry[] = [];
  readonly #hashes: string[] = [];
  readonly #keys = new Map<string, string>();
  readonly #tally: PrivacyTally = { charged: new Map() };
  #opened: OpenedEntry | undefined;

  constructor(trust: LedgerTrust) {
    this.#trust = trust;
  }

  take(text: string): void {
    const line = parseLine(text);
    const { entry } = line;
    if (entry.kind === 'opened') this.#checkOpened(entry);
    const opened = this.#opened ?? (entry.kind === 'opened' ? entry : undefined);
    if (opened === undefined) throw corrupt('kind', 'opened, in the first line', entry.kind);
    checkLine('ledger', line, {
      key: fromHex(opened.coordinatorKey),
      whose: 'the coordinator',
      previous: this.#hashes.at(-1),
    });
    if (entry.kind === 'round') this.#checkRound(entry, opened);
    this.#hashes.push(lineSha256(text));
    if (entry.kind === 'opened') this.#opened = entry;
    else this.#rounds.push(entry);
  }

  end(): CheckedLedger {
    if (this.#opened === undefined) throw corrupt('ledger', 'at least one line', 'none');
    return { opened: this.#opened, rounds: this.#rounds, hashes: this.#hashes };
  }

  #checkOpened(entry: OpenedEntry): void {
    if (this.#opened !== undefined) throw corrupt('kind', 'opened in the first line only', 'another');
    const { spec, coordinatorFingerprint: pinned } = this.#trust;
    const fingerprint = fingerprintOf(entry);
    if (pinned !== undefined && pinned !== fingerprint)
      throw corrupt('coordinatorKey', `fingerprint ${pinned}`, fingerprint);
    if (spec === undefined) return;
    const expected = specSha256(spec);
    if (entry.previous !== expected) throw corrupt('previous', `${expected}, of the specification`, entry.previous);
  }

  #checkRound(entry: RoundEntry, opened: OpenedEntry): void {
    const last = this.#rounds.at(-1);
    expect('run', opened.run, entry.run);
    expect('round', this.#rounds.length + 1, entry.round);
    expect('modelBefore', last?.modelAfter ?? opened.modelSha256, entry.modelBefore);
    const names = [...entry.survivors, ...entry.dropped].map(({ client }) => client);
    expect('cohort', names.length, entry.cohort);
    if (new Set(names).size !== names.length) throw corrupt('cohort', 'each client once', 'a name twice');
    this.#checkAggregations(entry, opened);
    checkPrivacy(this.#tally, entry.privacy, { cohort: names, spec: this.#trust.spec });
  }

  #checkAggregations(entry: RoundEntry, { coordinatorKey }: OpenedEntry): void {
    const { spec, enrolment } = this.#trust;
    const isSecure = spec?.engine.secure ?? entry.secure.length > 0;
    if (isSecure !== entry.secure.length > 0) throw corrupt('secure', isSecure ? 'a proof' : 'none', 'otherwise');
    if (!isSecure) return;
    for (const proof of entry.secure) {
      for (const { client, key } of proof.roster) this.#checkKey(client, key, enrolment);
      checkSecure(entry, proof, { spec, coordinatorKey });
    }
    const summed = entry.secure.flatMap(({ survivors }) => survivors).sort();
    const named = entry.survivors.map(({ client }) => client).sort();
    expect('survivors', summed.join(), named.join());
  }

  /** A client has one key: in this ledger, and in the enrolment list. */
  #checkKey(client: string, key: string, enrolment: LedgerTrust['enrolment']): void {
    if (enrolment !== undefined) expect(`enrolled key of ${client}`, enrolment.get(client) ?? 'none', key);
    expect(`enrolled key of ${client}`, this.#keys.get(client) ?? key, key);
    this.#keys.set(client, key);
  }
}

/** What a person compares, and a join token carries. */
export function fingerprintOf({ coordinatorKey }: Pick<OpenedEntry, 'coordinatorKey'>): string {
  return sha256Hex(fromHex(coordinatorKey));
}

function expect(field: string, expected: string | number, got: string | number): void {
  if (expected !== got) throw corrupt(field, expected, got);
}
