/**
 * What must hold in every state of every schedule, each as a function by its own name, over a ledger of what has been
 * seen: the judge's own book-keeping, made from what was said and stored and never from the engine's state.
 */

import type { SessionEffect, SessionState } from '../../client/round/session.js';
import type { RecordOf, RunRecord } from '../../server/journal/records.js';
import { memberOf } from '../../server/round/cohort.js';
import type { Effect, EffectOf, RoundEvent, RunState } from '../../server/round/state.js';
import { compacted } from '../../server/run/run-journal.js';
import type { Receipt } from '../../shared/run/plan.js';
import type { PendingUpdate } from '../../shared/service.js';
import { DEADLINE_MS } from './scenario.js';

type Restore = (records: readonly RunRecord[]) => [RunState, Effect[]];

/** A broken invariant: its name, and what was seen. */
export class Violation extends Error {
  readonly invariant: string;
  constructor(invariant: string, detail: string) {
    super(`${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}

export interface MadeUpdate {
  readonly client: string;
  readonly round: number;
  readonly attempt: number;
  /** An integer, so that sums are exact. */
  readonly value: number;
  readonly valid: boolean;
}

export class Ledger {
  readonly updates = new Map<string, MadeUpdate>();
  readonly models = new Map<string, number>();
  readonly committed: RecordOf<'committed'>[] = [];
  readonly inModel = new Set<string>();
  /** Updates that a client was told the end of, as delivered: "client/sha256". */
  readonly told = new Map<string, Receipt>();
  /** Updates that the coordinator was sent, or told of in a hello. */
  readonly offered = new Set<string>();
  readonly refusers = new Set<string>();
  /** "event while stage", so that a test can say what the schedules reach. */
  readonly seen = new Set<string>();
  lastStart = { round: 0, attempt: 0 };
  modelSha256: string;

  constructor(modelSha256: string) {
    this.modelSha256 = modelSha256;
    this.models.set(modelSha256, 0);
  }
}

function check(holds: boolean, invariant: (...args: never[]) => void, detail: () => string): void {
  if (!holds) throw new Violation(invariant.name, detail());
}

// ---- records: looked at in the moment in which they are durable ----------------------------------------------------

export function checkRecord(ledger: Ledger, record: RunRecord, state: RunState): void {
  if (record.kind === 'round-started') {
    attemptsRise(ledger, record);
    cohortIsNotTooLarge(record, state);
    refusersAreNotDrawn(ledger, record);
    ledger.lastStart = { round: record.round, attempt: record.attempt };
  }
  if (record.kind === 'resumed') ledger.refusers.clear();
  if (record.kind !== 'committed') return;
  roundsCommitInOrder(ledger, record);
  eachClientCountsOnce(ledger, record);
  enoughSurvivors(record, state);
  modelIsTheSumOfItsSurvivors(ledger, record);
  noUpdateThatWasRejected(ledger, record);
  ledger.committed.push(record);
  for (const { updateSha256 } of record.survivors) ledger.inModel.add(updateSha256);
  ledger.modelSha256 = record.modelSha256;
}

/** An attempt is opened once, for the round that is due. */
export function attemptsRise({ committed, lastStart }: Ledger, { round, attempt }: RecordOf<'round-started'>): void {
  check(round === committed.length + 1, attemptsRise, () => `round ${round} starts after ${committed.length}`);
  const rises = round > lastStart.round || attempt > lastStart.attempt;
  check(rises, attemptsRise, () => `attempt ${attempt} of round ${round} starts twice`);
}

export function cohortIsNotTooLarge({ cohort }: RecordOf<'round-started'>, { spec }: RunState): void {
  const most = Math.ceil(spec.cohort * (1 + spec.overSelection));
  const distinct = new Set(cohort).size;
  check(cohort.length <= most && distinct === cohort.length, cohortIsNotTooLarge, () => `${cohort} of ${most}`);
}

export function refusersAreNotDrawn({ refusers }: Ledger, { cohort, round }: RecordOf<'round-started'>): void {
  const drawn = cohort.filter((client) => refusers.has(client));
  check(drawn.length === 0, refusersAreNotDrawn, () => `${drawn} in round ${round}`);
}

/** I3: rounds commit one after another, each once; what is committed never changes. */
export function roundsCommitInOrder({ committed }: Ledger, { round }: RecordOf<'committed'>): void {
  check(round === committed.length + 1, roundsCommitInOrder, () => `round ${round} after ${committed.length}`);
}

/** I1: at most one update for each run, round and client, and it is of this round and attempt. */
export function eachClientCountsOnce({ updates }: Ledger, record: RecordOf<'committed'>): void {
  const { survivors, round, attempt } = record;
  check(new Set(survivors.map(({ client }) => client)).size === survivors.length, eachClientCountsOnce, () => 'twice');
  for (const { client, updateSha256 } of survivors) {
    const made = updates.get(updateSha256);
    const own = made?.client === client && made.round === round && made.attempt === attempt && made.valid;
    check(own, eachClientCountsOnce, () => `${updateSha256} as ${client}'s in round ${round}/${attempt}`);
  }
}

export function enoughSurvivors({ survivors }: RecordOf<'committed'>, { spec }: RunState): void {
  check(survivors.length >= spec.minSurvivors, enoughSurvivors, () => `${survivors.length} of ${spec.minSurvivors}`);
}

/** I2: the model is the one before plus exactly the updates of the survivors. */
export function modelIsTheSumOfItsSurvivors(ledger: Ledger, record: RecordOf<'committed'>): void {
  const before = ledger.models.get(ledger.modelSha256)!;
  const sum = record.survivors.reduce((total, { updateSha256 }) => total + ledger.updates.get(updateSha256)!.value, 0);
  const got = ledger.models.get(record.modelSha256);
  check(got === before + sum, modelIsTheSumOfItsSurvivors, () => `expected ${before} + ${sum}, got ${got}`);
}

/** I4: who was told "in no model" is in no model. */
export function noUpdateThatWasRejected({ told }: Ledger, { survivors }: RecordOf<'committed'>): void {
  const lied = survivors.find(({ client, updateSha256 }) => told.has(`${client}/${updateSha256}`));
  check(lied === undefined, noUpdateThatWasRejected, () => `${lied?.updateSha256}`);
}

// ---- what the coordinator says -------------------------------------------------------------------------------------

/** I4: "committed" is said of what is durably committed in that model, "dropped" of nothing that is. */
export function receiptsAreTrue(ledger: Ledger, receipt: Receipt): void {
  const { round, client, updateSha256, outcome, modelSha256 } = receipt;
  const record = ledger.committed[round - 1];
  const isIn = record?.survivors.some((one) => one.client === client && one.updateSha256 === updateSha256) ?? false;
  const isTrue = outcome === 'committed' ? isIn && record.modelSha256 === modelSha256 : !isIn;
  check(isTrue, receiptsAreTrue, () => `${outcome} for ${updateSha256} of round ${round}`);
}

/** A plan goes to a member who is here and has not answered, and it is of the current round, attempt and model. */
export function plansAreCurrent(plan: EffectOf<'plan'>, state: RunState, isHere: boolean): void {
  const { stage } = state;
  const open = stage.kind === 'training' || stage.kind === 'evaluating' ? stage : undefined;
  const kind = stage.kind === 'training' ? 'train' : 'evaluate';
  const current = plan.round === state.round && plan.attempt === state.attempt && plan.task === kind;
  const member = open && memberOf(open.cohort, plan.client)?.status === 'invited';
  const holds = isHere && current && member === true && plan.modelSha256 === state.modelSha256;
  check(holds, plansAreCurrent, () => `to ${plan.client} (${isHere ? 'here' : 'away'}) for ${plan.task} ${plan.round}`);
}

/** I10: a member who comes back is given the current plan. */
export function whoComesBackGetsThePlan(event: RoundEvent, before: RunState, effects: readonly Effect[]): void {
  if (event.kind !== 'online') return;
  const { stage } = before;
  if (stage.kind !== 'training' && stage.kind !== 'evaluating') return;
  if (memberOf(stage.cohort, event.client)?.status !== 'invited') return;
  const got = effects.some((effect) => effect.kind === 'plan' && effect.client === event.client);
  check(got, whoComesBackGetsThePlan, () => `${event.client} in round ${before.round}`);
}

export function everyUploadHasOneAnswer(event: RoundEvent, effects: readonly Effect[]): void {
  const answers = effects.filter(({ kind }) => kind === 'answer').length;
  const due = event.kind === 'arrived' || event.kind === 'invalid' ? 1 : 0;
  check(answers === due, everyUploadHasOneAnswer, () => `${answers} to ${event.kind}`);
}

/** No stage outlives its deadline (plus the moment in which the timer fires). */
export function deadlinesAreKept({ stage }: RunState, nowMs: number): void {
  if (stage.kind !== 'training' && stage.kind !== 'evaluating') return;
  const late = nowMs - stage.deadlineAtMs;
  check(late <= 0 && -late <= DEADLINE_MS, deadlinesAreKept, () => `${stage.kind} is ${late} ms over`);
}

export function onlineAreTheConnected({ online }: RunState, connected: ReadonlySet<string>): void {
  const same = online.length === connected.size && online.every((client) => connected.has(client));
  check(same, onlineAreTheConnected, () => `${online} against ${[...connected]}`);
}

/** I6: what is found again is what the journal says, folded here a second time and another way. */
export function restoredIsTheFold(records: readonly RunRecord[], state: RunState): void {
  const committed = records.filter((record) => record.kind === 'committed');
  const closed = records.filter((record) => record.kind === 'round-ended').length;
  const { modelSha256 } = committed.at(-1) ?? (records[0] as RecordOf<'created'>);
  const round = Math.min(closed + 1, state.spec.rounds);
  const status = records.reduce((last, record) => {
    return record.kind === 'ended' ? record.status : record.kind === 'resumed' ? 'running' : last;
  }, 'running');
  const known = status === state.status || (status === 'running' && state.status === 'completed');
  check(state.modelSha256 === modelSha256, restoredIsTheFold, () => `model ${state.modelSha256}, not ${modelSha256}`);
  const at = state.round === round || (committed.length > closed && state.round === round + 1);
  check(at, restoredIsTheFold, () => `round ${state.round}, not ${round}`);
  check(known, restoredIsTheFold, () => `status ${state.status}, not ${status}`);
}

/** A checkpoint in the place of any records that a round's end has closed changes nothing of what is found again. */
export function checkpointsAreTheFold(records: readonly RunRecord[], state: RunState, restored: Restore): void {
  const ledger = { round: 0, lineSha256: '', modelSha256: '', sizeBytes: 0 };
  for (const [index, { kind }] of records.entries()) {
    if (kind !== 'round-ended') continue;
    const { head } = compacted(records.slice(0, index + 1), ledger);
    const stored = JSON.parse(JSON.stringify([...head, ...records.slice(index + 1)])) as RunRecord[];
    const found = JSON.stringify(restored(stored)[0]);
    check(found === JSON.stringify(state), checkpointsAreTheFold, () => `after ${index}: ${found}`);
  }
}

// ---- clients -------------------------------------------------------------------------------------------------------

/** I4: a client gives an update up only when it was told its end, or has never spoken of it. */
export function forgottenOnlyWhenTold({ told, offered }: Ledger, client: string, { sha256 }: PendingUpdate): void {
  check(told.has(`${client}/${sha256}`) || !offered.has(sha256), forgottenOnlyWhenTold, () => `${sha256} by ${client}`);
}

export function onePlanInWork(busy: boolean, effect: Extract<SessionEffect, { kind: 'work' }>): void {
  check(!busy, onePlanInWork, () => `${effect.plan.kind} ${effect.plan.round} beside another`);
}

/** What is kept is sent, not trained again. */
export function keptIsNotTrainedAgain(state: SessionState, { plan }: Extract<SessionEffect, { kind: 'work' }>): void {
  const same = ({ round, attempt }: PendingUpdate) => round === plan.round && attempt === plan.attempt;
  check(plan.kind !== 'train' || !state.kept.some(same), keptIsNotTrainedAgain, () => `round ${plan.round}`);
}

// ---- the end -------------------------------------------------------------------------------------------------------

/** I9: once faults stop, the run ends, well, and in time. */
export function everyRoundFinishes({ status, stage, round, reason }: RunState, quiet: boolean): void {
  check(status === 'completed', everyRoundFinishes, () => `${status} (${reason}) in round ${round}, ${stage.kind}`);
  check(quiet, everyRoundFinishes, () => 'something still goes on');
}

/** Whoever is still here keeps nothing: every update has had its last word. */
export function nothingIsKeptForEver(client: string, { kept }: SessionState, stored: readonly PendingUpdate[]): void {
  check(kept.length === 0, nothingIsKeptForEver, () => `${client} keeps ${kept.map(({ sha256 }) => sha256)}`);
  check(stored.length === 0, nothingIsKeptForEver, () => `${client} stores ${stored.map(({ sha256 }) => sha256)}`);
}
