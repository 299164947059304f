/**
 * kill -9 of the coordinator and of clients, in the clear, in a secure sum, and in a secure sum with noise under a budget:
 * each time the run goes on by itself and ends as the undisturbed one did: in the clear to the bit, in a secure sum to its
 * rounding, under a budget with as much spent.
 *
 * The kills of each side are spread over a run: the j-th of m is drawn by seed from the j-th of m equal parts of the acts
 * of an undisturbed run, so that they land in training, uploads, commits, evaluations and the end alike.
 */
import assert from 'node:assert/strict';
import { rngFromSeed } from '../../shared/rng.js';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { quantizationStep } from '../support/quantization.js';
import { CLIENTS, Federation, type Outcome, resolved } from './crash-federation.js';

const SECURE = { 'secure-aggregation': true, 'adversary-fraction': 0 };
/** A budget for three rounds and not for four. */
const PRIVATE = {
  privacy: 'example',
  'noise-multiplier': 2,
  'sampling-rate': 0.25,
  'local-steps': 4,
  'epsilon-budget': 2.4,
};

/** With how many rounds each ends. */
const MODES: Readonly<Record<string, { readonly rounds: number; readonly config: object }>> = {
  'in the clear': { rounds: 3, config: { rounds: 3, 'secure-aggregation': false } },
  // one: rounding is drawn anew in each run, and a next round would train from where it ended
  secure: { rounds: 1, config: { ...SECURE, rounds: 1 } },
  'secure and private': { rounds: 3, config: { ...SECURE, ...PRIVATE, rounds: 4 } },
};

/** An even number of kills: half of them of the coordinator, half of clients. */
export function describeKills(kills: number): void {
  let federation: Federation;
  const undisturbed = new Map<string, Awaited<ReturnType<Federation['undisturbed']>>>();
  let privateRuns = 0;

  async function check(mode: string, { report, model, check }: Outcome, where: string): Promise<void> {
    const { privacy, secure } = (await resolved(MODES[mode].config)).spec.work;
    assert.equal(report.status, privacy === undefined ? 'completed' : 'budget-exhausted', `${where}: ${report.reason}`);
    assert.deepEqual(
      report.rounds.map(({ survivors }) => survivors),
      Array(MODES[mode].rounds).fill(CLIENTS),
      where,
    );
    assert.ok(check.ok, `${where}: ${JSON.stringify(check)}`);
    if (privacy !== undefined) return checkSpent(mode, report, where);
    const { report: expected, model: expectedModel } = undisturbed.get(mode)!.outcome;
    if (secure === undefined) return assert.equal(report.modelSha256, expected.modelSha256, where);
    // Each is within a step of the plain mean; then both are added to the first model, in floats below 4.
    const bound = 2 * quantizationStep(secure, CLIENTS) + 2 ** -21;
    for (const [i, value] of model.entries()) {
      const error = Math.abs(value - expectedModel[i]);
      assert.ok(error <= bound, `${where}: element ${i}: ${error} beyond ${bound}`);
    }
  }

  /** Each round once: in the report, and on every client. */
  async function checkSpent(mode: string, report: Report, where: string): Promise<void> {
    privateRuns++;
    const cost = costOf((await resolved(MODES[mode].config)).spec.work)!;
    assert.deepEqual(
      report.rounds.map(({ epsilon }) => epsilon),
      [1, 2, 3].map((rounds) => epsilonAfter(cost, rounds)),
      where,
    );
    for (let client = 1; client <= CLIENTS; client++) {
      const spent = await federation.spent(client);
      assert.equal(spent.length, MODES[mode].rounds * privateRuns, `${where}: records of lab ${client}`);
      assert.equal(new Set(spent).size, spent.length, where);
    }
  }

  before(async () => {
    federation = await Federation.open();
  });

  after(() => federation?.close());

  for (const [mode, { config }] of Object.entries(MODES)) {
    it(`of nobody: the run ${mode}`, async () => {
      undisturbed.set(mode, await federation.undisturbed(config));
      await check(mode, undisturbed.get(mode)!.outcome, 'undisturbed');
    });
  }

  for (let kill = 0; kill < kills; kill++) {
    const rng = rngFromSeed(kill).split('crash');
    const party = kill % 2 === 0 ? 0 : 1 + rng.below(CLIENTS);
    const [part, parts] = [Math.floor(kill / 2), kills / 2];
    const mode = Object.keys(MODES)[part % 3];

    it(`of ${party === 0 ? 'the coordinator' : `client ${party}`} in part ${part + 1} of ${parts} of a run ${mode}`, async () => {
      const of = undisturbed.get(mode)!.acts[party];
      const acts = Math.floor(((part + rng.uniform()) / parts) * of);
      const { outcome, acts: done } = await federation.killed(MODES[mode].config, { party, acts });
      await check(mode, outcome, `killed after ${done.length} acts of ${of}, the last ${done.at(-1)}`);
    });
  }
}
