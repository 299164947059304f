/**
 * A lying coordinator against real clients, over real gRPC. Each lie ends in a refusal whose reason is a named check or a
 * rule on plans; and from all that left honest clients, no sum opens but one that they agreed to.
 */
import assert from 'node:assert/strict';
import { FAILED } from '../../client/round/work.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { FrameType } from '../../shared/secagg/frames.js';
import { toyExamples } from '../support/toy.js';
import { type Aggregation, HostileCoordinator } from './hostile-coordinator.js';
import { setsKnown, sumsKnown } from './knowledge.js';
import { BUNDLES, LENGTHS, type Lie, NAMES, PINNED, PLANS, ROSTERS, SIGNED, SURVIVORS, VICTIM } from './lies.js';
import { enter, type Site, type Wired } from './sites.js';

const ALL = NAMES.join(' ');
const OTHERS = NAMES.filter((name) => name !== VICTIM).join(' ');
const HONEST: readonly FrameType[] = ['advertise', 'shares', 'masked', 'consistency', 'unmask'];

describe('a lying coordinator, at the wire', () => {
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

  async function start(name: string, site: Site = {}): Promise<Wired> {
    const client = await enter(hostile, name, { enrolled: PINNED, ...site });
    wired.push(client);
    return client;
  }

  /** A round with those who are here, to its end. */
  async function round(plan: RoundPlan, clients: readonly string[] = NAMES): Promise<Aggregation> {
    for (const name of clients) if (!hostile.isHere(name)) await start(name);
    const aggregation = hostile.begin(plan);
    for (const name of clients) hostile.sendPlan(name, plan);
    await hostile.when(() => hostile.isOver(aggregation));
    return aggregation;
  }

  /** One aggregation in which the victim is lied to; to the end, as far as the others carry it. */
  async function mount({ site, plan = (same) => same, deceive }: Lie): Promise<void> {
    for (const name of NAMES) await start(name, name === VICTIM ? site : {});
    if (deceive !== undefined) {
      hostile.deceive = (type, frame, target) => (target.to === VICTIM ? deceive(type, frame, target) : [frame]);
    }
    const honest = hostile.planFor(NAMES);
    const aggregation = hostile.begin(honest);
    for (const name of NAMES) hostile.sendPlan(name, name === VICTIM ? plan(honest) : honest);
    await hostile.when(() => hostile.isOver(aggregation) && hostile.reasonOf(VICTIM) !== undefined);
  }

  /** The refusal itself, what was said before it, and what it all is worth to the coordinator. */
  function assertRefused(lie: Lie, { sent, known }: { sent: readonly FrameType[]; known: readonly string[] }): void {
    const { reason } = lie;
    const got = hostile.reasonOf(VICTIM)!;
    const said = wired[0].notices.flatMap(({ fields }) => ('detail' in fields ? [fields.detail] : []));
    if (typeof reason === 'string') assert.equal(got, reason);
    else assert.match(got === FAILED ? said.join() : got, reason);
    const isCheck = typeof reason === 'string';
    assert.deepEqual(hostile.typesOf(VICTIM), isCheck ? [...sent, 'refusal'] : sent);
    if (isCheck) assert.deepEqual(said, [reason], 'the site knows why, too');
    assert.deepEqual(setsKnown(hostile), lie.known ?? known);
    assertSumsTrue();
  }

  /** What opens is what clients sent: i/2 in every element with weight i, so sums of i*i/2, within the grid. */
  function assertSumsTrue(): void {
    for (const { clients, values, weight } of sumsKnown(hostile)) {
      const examples = clients.map(toyExamples);
      assert.equal(
        weight,
        examples.reduce((sum, i) => sum + i, 0),
      );
      const expected = examples.reduce((sum, i) => sum + (i * i) / 2, 0);
      for (const value of values) assert.ok(Math.abs(value - expected) < 1e-3, `${value} for ${expected}`);
    }
  }

  it('that tells no lie gets the sum over all, and no other', async () => {
    const aggregation = await round(hostile.planFor(NAMES));
    assert.equal(aggregation.state.phase, 'done');
    for (const name of NAMES) assert.deepEqual(hostile.typesOf(name), HONEST);
    assert.deepEqual(setsKnown(hostile), [ALL]);
    assertSumsTrue();
  });

  const groups: readonly [string, readonly Lie[], readonly FrameType[], readonly string[]][] = [
    ['before a key leaves', PLANS, [], [OTHERS]],
    ['before a share leaves', ROSTERS, ['advertise'], [OTHERS]],
    ['before the vector leaves', BUNDLES, ['advertise', 'shares'], [OTHERS]],
    ['before it signs', SURVIVORS, ['advertise', 'shares', 'masked'], [ALL]],
    ['before it returns a share', SIGNED, ['advertise', 'shares', 'masked', 'consistency'], [ALL]],
  ];
  for (const [stage, lies, sent, known] of groups) {
    for (const lie of lies) {
      it(`is refused ${stage}: ${lie.lie}`, async () => {
        await mount(lie);
        assertRefused(lie, { sent, known });
      });
    }
  }

  for (const { type, lie } of LENGTHS) {
    it(`is refused: ${lie.lie}`, async () => {
      await mount(lie);
      const sent = HONEST.slice(0, 1 + ['roster', 'bundles', 'survivors', 'signatures'].indexOf(type));
      assertRefused(lie, { sent, known: sent.includes('masked') ? [ALL] : [OTHERS] });
    });
  }
});
