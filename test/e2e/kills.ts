/**
 * kill -9 of the coordinator and of clients, in the clear, in a secure sum, and in a secure sum with noise under a budget:
 * each time the run goes on by itself and ends as the undisturbed one did: in the clear to the bit, in a secure sum to its
 * rounding, under a budget with as much spent.
 *
 * The kills are dealt evenly over the phases of a run's life, from its creation to its deletion (kill-phases.ts), and in each
 * phase over its acts, as an undisturbed run has them. Several come in each run. A table by phase is printed, and no
 * phase may be empty.
 */
import assert from 'node:assert/strict';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { quantizationStep } from '../support/quantization.js';
import { type Acts, Federation, type Kill } from './crash-federation.js';
import { CLIENTS, type Outcome, resolved } from './crash-run.js';
import { actsIn, isDoneWithRun, markOf, PHASES, type Phase, type Slot, schedule } from './kill-phases.js';

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

/** What a slot comes to, where the undisturbed run had these acts. */
function killIn(slot: Slot, acts: Acts, rounds: number): Kill {
  const { phase, at } = slot;
  const party = phase.startsWith('client') ? slot.client : 0;
  const mark = markOf(slot, rounds);
  const lone = isDoneWithRun(phase) || phase === 'start again';
  const count = lone ? acts.after[phase]!.length : actsIn(phase, mark, acts.inRun[party]);
  assert.ok(count > 0, `an undisturbed run has acts in ${phase}`);
  return { phase, party, mark, acts: Math.floor(at * count) };
}

/** So many kills, in three runs at least. */
export function describeKills(kills: number): void {
  let federation: Federation;
  const undisturbed = new Map<string, Awaited<ReturnType<Federation['undisturbed']>>>();
  const table = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>;
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

  const runs = schedule(kills, { least: Object.keys(MODES).length, clients: CLIENTS });
  for (const [i, slots] of runs.entries()) {
    const mode = Object.keys(MODES)[i % 3];
    const { rounds, config } = MODES[mode];
    it(`${slots.length} in run ${i + 1}, ${mode}: ${slots.map(({ phase }) => phase).join(' · ')}`, async () => {
      const { acts } = undisturbed.get(mode)!;
      const planned = slots.map((slot) => killIn(slot, acts, rounds));
      const { outcome, deaths } = await federation.killed(config, { kills: planned, rounds });
      assert.equal(deaths.length, slots.length);
      for (const phase of deaths) table[phase]++;
      const where = planned.map(({ party, phase, mark, acts }) => `${party}: ${phase}, ${acts} acts after "${mark}"`);
      await check(mode, outcome, `kills ${where.join('; ')}`);
    });
  }

  it('came in every phase', () => {
    process.stderr.write(`      kills by phase: ${JSON.stringify(table)}\n`);
    const dealt = new Set(runs.flatMap((slots) => slots.map(({ phase }) => phase)));
    // few kills are of one run each: a secure run has no later round
    const wanted =
      kills >= 3 * PHASES.length ? PHASES : PHASES.filter((phase) => dealt.has(phase) && phase !== 'later round');
    assert.deepEqual(
      wanted.filter((phase) => table[phase] === 0),
      [],
    );
    assert.equal(
      Object.values(table).reduce((sum, count) => sum + count),
      kills,
    );
  });
}
