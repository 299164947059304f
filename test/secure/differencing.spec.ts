/**
 * Two sums over one base model whose survivors differ by one lab, asked for in every way: other runs, later attempts,
 * drop-outs that were none, evaluations, a second coordinator. A lab that remembers declines; and the first case shows that
 * each would give one lab's update if nobody did.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileOpenings, memoryOpenings, noOpenings, type Openings } from '../../client/store/openings.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { setMembers } from '../shared/secagg/hostile.js';
import { toyExamples } from '../support/toy.js';
import { type Aggregation, HostileCoordinator } from './hostile-coordinator.js';
import { setsKnown, sumsKnown } from './knowledge.js';
import { NAMES } from './lies.js';
import { enter, listOf, type Site, type Wired } from './sites.js';

const LEFT_OUT = 'c5';
const ALL = NAMES.join(' ');
const OTHERS = NAMES.filter((name) => name !== LEFT_OUT);
const DECLINED =
  /^policy: min-difference: .*expected the same labs, or at least 2 that are in one sum only, got 1; run it/;

describe('a coordinator that subtracts', () => {
  let hostile: HostileCoordinator;
  let wired: Wired[];

  beforeEach(async () => {
    hostile = await HostileCoordinator.open();
    wired = [];
  });
  afterEach(async () => {
    for (const client of wired) client.kill();
    await hostile.close();
  });

  async function everyone(site: (name: string) => Site = () => ({}), names = NAMES, to = hostile): Promise<void> {
    for (const name of names) wired.push(await enter(to, name, { enrolled: listOf(names), ...site(name) }));
  }

  async function round(plan: RoundPlan, clients: readonly string[] = NAMES, by = hostile): Promise<Aggregation> {
    const aggregation = by.begin(plan);
    for (const name of clients) by.sendPlan(name, plan);
    await by.when(() => by.isOver(aggregation));
    return aggregation;
  }

  /** The plan of the second sum, over all but one. */
  const ATTACKS: Readonly<Record<string, () => RoundPlan>> = {
    'a second run': () => hostile.planFor(OTHERS, { run: 's' }),
    'a second attempt': () => hostile.planFor(OTHERS, { attempt: 2 }),
    'a later round from the same model': () => hostile.planFor(OTHERS, { round: 2 }),
    'a run with another learning rate': () => {
      const { work, ...plan } = hostile.planFor(OTHERS, { run: 's' });
      return { ...plan, work: { ...work, training: { ...work.training, clientLr: 0.25 } } };
    },
  };

  for (const [what, secondPlan] of Object.entries(ATTACKS)) {
    it(`would have one lab's update, to the last step, from ${what}, if nobody remembered`, async () => {
      await everyone(() => ({ openings: noOpenings }));
      await round(hostile.planFor(NAMES));
      await round(secondPlan(), OTHERS);
      const [whole, rest] = sumsKnown(hostile);
      const examples = toyExamples(LEFT_OUT);
      assert.equal(whole.weight - rest.weight, examples);
      for (const [i, value] of whole.values.entries()) {
        const own = (value - rest.values[i]) / examples;
        assert.ok(Math.abs(own - examples / 2) < 1e-3, `${own} for ${examples / 2}`);
      }
    });

    it(`is declined by all before they train: ${what}`, async () => {
      await everyone();
      await round(hostile.planFor(NAMES));
      await round(secondPlan(), OTHERS);
      for (const name of OTHERS) {
        assert.match(hostile.reasonOf(name)!, DECLINED);
        assert.equal(hostile.typesOf(name).at(-1), 'advertise', 'a key is all that it got');
      }
      const declines = hostile.plain.map(({ frame }) => frame.kind === 'decline' && frame.reason);
      assert.deepEqual(
        declines,
        OTHERS.map(() => 'refused'),
      );
      assert.deepEqual(setsKnown(hostile), [ALL]);
    });
  }

  it('is declined for an evaluation', async () => {
    await everyone();
    await round(hostile.planFor(NAMES, { kind: 'evaluate' }));
    await round(hostile.planFor(OTHERS, { kind: 'evaluate', run: 's' }), OTHERS);
    for (const name of OTHERS) assert.match(hostile.reasonOf(name)!, DECLINED);
    assert.deepEqual(setsKnown(hostile), [ALL]);
  });

  it('gets no signature when it invites the same labs and says that one dropped out', async () => {
    await everyone();
    await round(hostile.planFor(NAMES));
    hostile.deceive = (type, frame, { own, others, aggregation }) => {
      if (type !== 'survivors') return [frame];
      const gone = aggregation.roster!.members.findIndex(({ id }) => id === LEFT_OUT);
      return [
        setMembers(
          frame,
          [own, ...others].filter((index) => index !== gone),
        ),
      ];
    };
    const before = hostile.heard.length;
    await round(hostile.planFor(NAMES, { attempt: 2 }));
    const since = hostile.heard.slice(before).filter(({ client }) => client !== LEFT_OUT);
    assert.ok(
      since.some(({ type }) => type === 'masked'),
      'it came as far as the vectors',
    );
    assert.deepEqual(
      since.filter(({ type }) => type === 'consistency' || type === 'unmask'),
      [],
    );
    for (const name of OTHERS) assert.match(hostile.reasonOf(name)!, DECLINED);
    assert.deepEqual(setsKnown(hostile), [ALL]);
  });

  it('gets the sum of the same labs as often as it likes', async () => {
    await everyone();
    await round(hostile.planFor(NAMES));
    await round(hostile.planFor(NAMES, { attempt: 2 }));
    await round(hostile.planFor(NAMES, { run: 's' }));
    assert.deepEqual(setsKnown(hostile), [ALL, ALL, ALL]);
  });

  it('is followed with other labs after an attempt that nobody signed', async () => {
    await everyone();
    hostile.deceive = (type, frame) => (type === 'survivors' ? [] : [frame]);
    const plan = hostile.planFor(NAMES);
    hostile.begin(plan);
    for (const name of NAMES) hostile.sendPlan(name, plan);
    await hostile.when(() => NAMES.every((name) => hostile.typesOf(name).includes('masked')));
    hostile.deceive = (_, frame) => [frame];
    await round(hostile.planFor(OTHERS, { attempt: 2 }), OTHERS);
    assert.deepEqual(setsKnown(hostile), [OTHERS.join(' ')]);
  });

  it('is followed with labs that differ by as many as the site wants', async () => {
    const names = [...NAMES, 'c6', 'c7'];
    await everyone(() => ({ minDifference: 4 }), names);
    await round(hostile.planFor(NAMES), NAMES);
    const four = ['c1', 'c2', 'c3', 'c6', 'c7'];
    await round(hostile.planFor(four, { attempt: 2 }), four);
    const three = ['c1', 'c2', 'c3', 'c4', 'c6', 'c7'];
    await round(hostile.planFor(three, { attempt: 3 }), three);
    assert.deepEqual(setsKnown(hostile), [ALL, four.join(' ')]);
    assert.match(hostile.reasonOf('c1')!, /at least 4 that are in one sum only, got [13];/);
  });

  describe('with labs that come back', () => {
    let directory: string;
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'starling-openings-'));
    });
    afterEach(() => rm(directory, { recursive: true }));

    const home = (number: string) => fileOpenings(join(directory, number, '.openings', 'openings.jsonl'));

    it('is declined by their next processes', async () => {
      for (const change of [{}, { run: 's' }]) {
        const clients = 'run' in change ? OTHERS : NAMES;
        const homes = new Map<string, Openings>();
        for (const name of NAMES) homes.set(name, await home(name));
        await everyone((name) => ({ openings: homes.get(name) }));
        await round(hostile.planFor(clients, change), clients);
        for (const client of wired.splice(0)) client.kill();
        await hostile.when(() => NAMES.every((name) => !hostile.isHere(name)));
      }
      for (const name of OTHERS) assert.match(hostile.reasonOf(name)!, DECLINED);
      assert.deepEqual(setsKnown(hostile), [ALL]);
    });
  });

  describe('together with another coordinator', () => {
    let other: HostileCoordinator;
    beforeEach(async () => {
      other = await HostileCoordinator.open();
    });
    afterEach(() => other.close());

    /** The same labs and data, by other names and keys, as each membership has them. */
    const aliases = (names: readonly string[]) => names.map((name) => name.replace('c', 'd'));

    async function attack(openings: (home: number) => Openings | undefined): Promise<void> {
      const elsewhere = aliases(OTHERS);
      await everyone((name) => ({ openings: openings(toyExamples(name)) }));
      await everyone((name) => ({ openings: openings(toyExamples(name)) }), elsewhere, other);
      await round(hostile.planFor(NAMES));
      await round(other.planFor(elsewhere), elsewhere, other);
    }

    it('would have one lab\u2019s update, if each membership remembered for itself', async () => {
      await attack(() => memoryOpenings());
      const [[whole], [rest]] = [sumsKnown(hostile), sumsKnown(other)];
      assert.equal(whole.weight - rest.weight, toyExamples(LEFT_OUT));
      const own = (whole.values[0] - rest.values[0]) / toyExamples(LEFT_OUT);
      assert.ok(Math.abs(own - toyExamples(LEFT_OUT) / 2) < 1e-3);
    });

    it('is declined by every home that is a member of both', async () => {
      const homes = new Map(NAMES.map((name) => [toyExamples(name), memoryOpenings()]));
      await attack((home) => homes.get(home));
      for (const name of aliases(OTHERS)) assert.match(other.reasonOf(name)!, /min-difference: .*another membership/);
      assert.deepEqual([setsKnown(hostile), setsKnown(other)], [[ALL], []]);
    });
  });
});
