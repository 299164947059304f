/**
 * What a late receipt needs to know of a run's past: which updates came into which model. The last rounds are at hand; of
 * those long past the ledger tells, which is read when a client asks.
 */
import type { Receipt } from '../../shared/run/plan.js';
import type { RunRecord } from '../journal/records.js';
import { dropReceipt, type Past } from '../round/fate.js';
import type { UpdateId } from '../round/state.js';
import { readLedgerRound } from './ledger.js';

/** Rounds at hand: a client that was away for longer waits for a disk. */
const AT_HAND = 16;

interface Committed {
  readonly attempt: number;
  readonly modelSha256: string;
  readonly updates: ReadonlyMap<string, string>;
}

/** Committed rounds and their updates, in the order of their rounds. */
export class CommittedRounds implements Past {
  readonly #atHand = new Map<number, Committed>();
  /** How many rounds are committed. */
  #rounds: number;

  /** @param records of a journal, from its beginning or its checkpoint on */
  constructor(records: readonly RunRecord[]) {
    this.#rounds = 0;
    for (const record of records) this.add(record);
  }

  add(record: RunRecord): void {
    if (record.kind === 'checkpoint') this.#rounds = record.ledger.round;
    if (record.kind !== 'committed') return;
    const { round, attempt, modelSha256, survivors } = record;
    const updates = new Map(survivors.map(({ client, updateSha256 }) => [client, updateSha256]));
    this.#atHand.set(round, { attempt, modelSha256, updates });
    this.#atHand.delete(round - AT_HAND);
    this.#rounds = round;
  }

  /** Whether the round is over for so long that only {@link readPast} tells of it. */
  isLongPast(round: number): boolean {
    return round <= this.#rounds && !this.#atHand.has(round);
  }

  receiptFor(run: string, update: UpdateId): Receipt | undefined {
    const committed = this.#atHand.get(update.round);
    return committed && receiptOf(run, update, committed);
  }
}

/** One round of a run in this directory, by its ledger; a round that is not there is not over. */
export async function readPast(directory: string, round: number): Promise<Past> {
  const entry = await readLedgerRound(directory, round);
  if (entry === undefined) return { receiptFor: () => undefined };
  const { attempt, modelAfter: modelSha256, survivors } = entry;
  const updates = new Map(survivors.map(({ client, updateSha256 }) => [client, updateSha256 ?? '']));
  return {
    receiptFor: (run, update) =>
      update.round === round ? receiptOf(run, update, { attempt, modelSha256, updates }) : undefined,
  };
}

/** The last word on an update of a round that is over. */
function receiptOf(run: string, update: UpdateId, committed: Committed): Receipt {
  const { client, round, attempt, updateSha256 } = update;
  const { modelSha256 } = committed;
  const known = committed.updates.get(client);
  // Where the hash is not written down (server/round/training.ts), a client has one update for an attempt.
  const counted = committed.attempt === attempt && (known === updateSha256 || known === '');
  if (!counted) return dropReceipt(run, update, 'deadline');
  return { run, round, attempt, client, updateSha256, outcome: 'committed', modelSha256 };
}
