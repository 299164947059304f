/**
 * A coordinator that compacts its journal again and again, and is killed before a change of its disk that is chosen by its
 * number: the run goes on to the model of the undisturbed one, and report and ledger tell every round.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRun } from '../../../server/run/check.js';
import { readRun } from '../../../server/run/directory.js';
import type { Report } from '../../../shared/run/report.js';
import { playRun } from '../../support/answering.js';
import { DyingFiles } from '../../support/dying-files.js';
import { openWorld } from '../../support/peer.js';

export const ROUNDS = 4;
/** A checkpoint takes some 500 bytes beside the specification: each second round, the journal is compacted. */
export const setting = { journalBytes: 2000 };

/** The model of a run whose journal is never compacted. */
export async function undisturbedSha256(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'starling-plain-'));
  const { coordinator } = await playRun(dataDir, { rounds: ROUNDS });
  await coordinator.close();
  const { state } = await readRun(join(dataDir, 'runs', 'r'));
  await rm(dataDir, { recursive: true });
  return state.modelSha256;
}

/** That the run of `dataDir` is over, and every file of it tells all of it. */
export async function assertWhole(dataDir: string, modelSha256: string): Promise<void> {
  const directory = join(dataDir, 'runs', 'r');
  const { state, history } = await readRun(directory);
  assert.equal(state.status, 'completed');
  assert.equal(state.modelSha256, modelSha256);
  assert.deepEqual(
    history.summaries.map(({ round, survivors }) => [round, survivors]),
    Array.from({ length: ROUNDS }, (_, i) => [i + 1, 4]),
  );
  const check = await checkRun(directory);
  assert.ok(check.ok && check.rounds === ROUNDS, JSON.stringify(check));
  const { coordinator } = await openWorld(dataDir);
  const report = JSON.parse((await coordinator.admin.getRun('r')).report) as Report;
  assert.deepEqual([report.status, report.rounds.length, report.modelSha256], ['completed', ROUNDS, modelSha256]);
  await coordinator.close();
}

/** Kills before the changes 0, `every`, 2 `every` ... of the disk, until there are no so many; how many kills that were. */
export async function killAtEach(every: number): Promise<number> {
  const modelSha256 = await undisturbedSha256();
  for (let changes = 0; ; changes += every) {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-killed-'));
    const files = new DyingFiles(changes);
    let isKilled = false;
    const death = files.died.then(() => {
      isKilled = true;
    });
    const { coordinator } = await playRun(dataDir, { rounds: ROUNDS, death, setting: { ...setting, files } });
    if (!isKilled) await coordinator.close();
    const next = await playRun(dataDir, { rounds: ROUNDS, setting });
    await next.coordinator.close();
    assert.deepEqual(next.fatal, []);
    await assertWhole(dataDir, modelSha256);
    await rm(dataDir, { recursive: true });
    if (!isKilled) return changes / every;
  }
}
