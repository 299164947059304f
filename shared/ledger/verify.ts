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
import { type HandOver, keysFrom } from '../signing/hand-over.js';
import { sha256Hex } from '../signing/identity.js';
import { type LedgerEntry, type OpenedEntry, parseLine, type RoundEntry, specSha256 } from './entry.js';
import { checkPrivacy, type PrivacyTally } from './privacy.js';
import { checkSecure } from './secure.js';

/** What the verifier knows from elsewhere; whatever is left out is taken from the ledger's own word. */
export interface LedgerTrust {
  /** `spec` of run.json. */
  readonly spec?: StoredRunSpec;
  /** SHA-256 of the coordinator's public key, hex: what a join token carries. */
  readonly coordinatorFingerprint?: string;
  /** By which the coordinator's key of then may have led to the one of that fingerprint; they prove themselves. */
  readonly handOvers?: readonly HandOver[];
  /** Ed25519 keys by client, hex: the one of now, and those before it. */
  readonly enrolment?: ReadonlyMap<string, string | readonly string[]>;
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
    const checked = checker.end();
    line = 1;
    checker.checkPinned(checked.opened);
    return { ok: true, ...checked };
  } catch (thrown) {
    return { ok: false, line, reason: FlError.from(thrown).message };
  }
}

class Checker {
  readonly #trust: LedgerTrust;
  readonly #rounds: RoundEntry[] = [];
  readonly #hashes: string[] = [];
  /** The coordinator's, hex: that of the first line, and those that followed it. */
  #coordinatorKeys: readonly string[] = [];
  /** By client, the newest last. */
  readonly #keys = new Map<string, readonly string[]>();
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
    const coordinatorKey = this.#keyOf(entry, opened);
    checkLine('ledger', line, {
      key: fromHex(coordinatorKey),
      whose: 'the coordinator',
      previous: this.#hashes.at(-1),
    });
    if (entry.kind === 'round') this.#checkRound(entry, { opened, coordinatorKey });
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
    const { spec } = this.#trust;
    if (spec === undefined) return;
    const expected = specSha256(spec);
    if (entry.previous !== expected) throw corrupt('previous', `${expected}, of the specification`, entry.previous);
  }

  /** Whose signature a line needs: once a key has given to another, nothing that it signs is a line any more. */
  #keyOf(entry: LedgerEntry, { coordinatorKey }: OpenedEntry): string {
    const { handOvers = [] } = entry.kind === 'round' ? entry : {};
    const keys = keysFrom('coordinator', coordinatorKey, handOvers);
    if (keys.length !== handOvers.length + 1) {
      throw corrupt('handOvers', 'words by which one key follows another, signed by both', 'others');
    }
    const before = this.#coordinatorKeys;
    if (before.some((key, i) => keys[i] !== key)) throw corrupt('handOvers', `those of the lines before`, 'others');
    this.#coordinatorKeys = keys;
    return keys.at(-1)!;
  }

  /** The key that is known from elsewhere is the ledger's first, or one that this has led to. */
  checkPinned(entry: OpenedEntry): void {
    const { coordinatorFingerprint: pinned, handOvers = [] } = this.#trust;
    const first = entry.coordinatorKey;
    const keys = new Set([...this.#coordinatorKeys, ...keysFrom('coordinator', first, handOvers)]);
    if (pinned === undefined || [...keys].some((key) => sha256Hex(fromHex(key)) === pinned)) return;
    throw corrupt('coordinatorKey', `fingerprint ${pinned}`, fingerprintOf(entry));
  }

  #checkRound(
    entry: RoundEntry,
    { opened, coordinatorKey }: { readonly opened: OpenedEntry; readonly coordinatorKey: string },
  ): void {
    const last = this.#rounds.at(-1);
    expect('run', opened.run, entry.run);
    expect('round', this.#rounds.length + 1, entry.round);
    expect('modelBefore', last?.modelAfter ?? opened.modelSha256, entry.modelBefore);
    const names = [...entry.survivors, ...entry.dropped].map(({ client }) => client);
    expect('cohort', names.length, entry.cohort);
    if (new Set(names).size !== names.length) throw corrupt('cohort', 'each client once', 'a name twice');
    this.#checkAggregations(entry, coordinatorKey);
    checkPrivacy(this.#tally, entry.privacy, { cohort: names, spec: this.#trust.spec });
  }

  #checkAggregations(entry: RoundEntry, coordinatorKey: string): void {
    const { spec, enrolment } = this.#trust;
    const isSecure = spec?.engine.secure ?? entry.secure.length > 0;
    if (isSecure !== entry.secure.length > 0) throw corrupt('secure', isSecure ? 'a proof' : 'none', 'otherwise');
    if (!isSecure) return;
    for (const proof of entry.secure) {
      for (const { client, key } of proof.roster) this.#checkKey(client, key, entry, enrolment);
      checkSecure(entry, proof, { spec, coordinatorKey });
    }
    const summed = entry.secure.flatMap(({ survivors }) => survivors).sort();
    const named = entry.survivors.map(({ client }) => client).sort();
    expect('survivors', summed.join(), named.join());
  }

  /** A client has one key in this ledger and in the enrolment list, unless its own word leads to another. */
  #checkKey(
    client: string,
    key: string,
    { clientHandOvers = [] }: RoundEntry,
    enrolment: LedgerTrust['enrolment'],
  ): void {
    const listed = enrolment && [enrolment.get(client) ?? []].flat();
    const [known = key] = [this.#keys.get(client)?.at(-1)];
    const own = clientHandOvers.flatMap(({ client: of, ...handOver }) => (of === client ? [handOver] : []));
    const keys = keysFrom({ client }, known, own);
    if (!keys.includes(key)) throw corrupt(`enrolled key of ${client}`, known, key);
    const all = [...(this.#keys.get(client) ?? []), ...keys.slice(0, keys.indexOf(key) + 1)];
    this.#keys.set(client, all);
    if (listed === undefined || listed.some((one) => all.includes(one))) return;
    throw corrupt(`enrolled key of ${client}`, listed.join(' or ') || 'none', key);
  }
}

/** What a person compares, and a join token carries. */
export function fingerprintOf({ coordinatorKey }: Pick<OpenedEntry, 'coordinatorKey'>): string {
  return sha256Hex(fromHex(coordinatorKey));
}

function expect(field: string, expected: string | number, got: string | number): void {
  if (expected !== got) throw corrupt(field, expected, got);
}
