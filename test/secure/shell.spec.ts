/**
 * The shells around the two machines: a client that is asked again, leaves or fails while it trains; what its store keeps;
 * a sum that no honest weights make.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FAILED } from '../../client/round/work.js';
import { fileSecaggStore, memorySecaggStore, type SecaggStore } from '../../client/store/secagg.js';
import type { TaskRunner } from '../../client/training/task.js';
import { SecureAggregation } from '../../server/secagg/aggregation.js';
import { FlError } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import { agree } from '../../shared/run/secagg-params.js';
import {
  type ClientState,
  createEnrolment,
  createKernel,
  nodeSuite,
  startClient,
  stepClient,
} from '../../shared/secagg/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { turns } from '../support/hand-fed.js';
import { toyTrainer } from '../support/toy.js';
import { HostileCoordinator, keyOf, seedOf, taskOf } from './hostile-coordinator.js';
import { NAMES, VICTIM } from './lies.js';
import { ANY, enter, listOf, type Site, type Wired } from './sites.js';

/** A trainer that a test holds back; `asked` counts what it was asked for. */
function heldTrainer() {
  const toy = toyTrainer();
  let go: (error?: FlError) => void = () => {};
  const held = new Promise<void>((resolve, reject) => {
    go = (error) => (error === undefined ? resolve() : reject(error));
  });
  held.catch(() => undefined);
  const trainer = { asked: 0, run: undefined as unknown as TaskRunner['run'], go };
  trainer.run = (async (task, options) => {
    trainer.asked++;
    await held;
    return toy.run(task, options);
  }) as TaskRunner['run'];
  return trainer;
}

describe('a client in a secure round', () => {
  let hostile: HostileCoordinator;
  let wired: Wired[];
  let bundles: Uint8Array;

  beforeEach(async () => {
    hostile = await HostileCoordinator.open();
    wired = [];
  });
  afterEach(async () => {
    for (const client of wired) client.kill();
    await hostile.close();
  });

  async function everyone(victim: Site): Promise<void> {
    for (const name of NAMES) {
      const site = name === VICTIM ? victim : {};
      wired.push(await enter(hostile, name, { enrolled: listOf(NAMES), ...site }));
    }
  }

  /** A round that stands still: the others have sent their vectors, the victim has its bundles and trains. */
  async function untilTraining(trainer: { asked: number }): Promise<RoundPlan> {
    const plan = hostile.planFor(NAMES);
    hostile.deceive = (type, frame, { to }) => {
      if (type === 'bundles' && to === VICTIM) bundles = frame;
      return [frame];
    };
    hostile.begin(plan);
    for (const name of NAMES) hostile.sendPlan(name, plan);
    const others = () => hostile.heard.filter(({ client, type }) => client !== VICTIM && type === 'masked').length;
    await hostile.when(() => others() === NAMES.length - 1);
    while (trainer.asked === 0) await new Promise((resolve) => setImmediate(resolve));
    return plan;
  }

  const typesOf = () => hostile.typesOf(VICTIM);

  it('trains once and answers once, however often it is asked', async () => {
    const trainer = heldTrainer();
    await everyone({ trainer });
    const plan = await untilTraining(trainer);
    for (let i = 0; i < 3; i++) hostile.show(VICTIM, bundles, taskOf(plan));
    trainer.go();
    await hostile.when(() => typesOf().includes('unmask'));
    assert.equal(trainer.asked, 1);
    assert.deepEqual(typesOf(), ['advertise', 'shares', 'masked', 'consistency', 'unmask']);
  });

  it('says the same masked vector again when its plan comes again, without training', async () => {
    const trainer = heldTrainer();
    await everyone({ trainer });
    hostile.withhold = ({ client, type }) => client === VICTIM && type === 'masked';
    const plan = await untilTraining(trainer);
    trainer.go();
    const vectors = () => hostile.heard.filter(({ client, type }) => client === VICTIM && type === 'masked');
    await hostile.when(() => vectors().length === 1);
    hostile.sendPlan(VICTIM, plan);
    await hostile.when(() => vectors().length === 2);
    assert.deepEqual(vectors()[1].bytes, vectors()[0].bytes);
    assert.equal(trainer.asked, 1);
  });

  it('sends no vector once it was withdrawn, even if its training ends after all', async () => {
    const trainer = heldTrainer();
    await everyone({ trainer });
    const plan = await untilTraining(trainer);
    hostile.send(VICTIM, { kind: 'withdrawal', task: taskOf(plan), reason: 'deadline' });
    hostile.sendPlan(VICTIM, hostile.planFor(NAMES, { run: 'other' })); // what it does next shows that it has heard
    await hostile.when(() => hostile.heard.some(({ client, task }) => client === VICTIM && task.run === 'other'));
    trainer.go();
    await hostile.when(() => hostile.reasonOf(VICTIM) !== undefined);
    assert.equal(hostile.reasonOf(VICTIM), 'withdrawn');
    assert.ok(!typesOf().includes('masked'));
  });

  it('that fails to train says so, keeps no key, and answers nothing more', async () => {
    const trainer = heldTrainer();
    const store = memorySecaggStore();
    await everyone({ trainer, store });
    const plan = await untilTraining(trainer);
    trainer.go(new FlError('data-missing', 'no images here'));
    await hostile.when(() => hostile.reasonOf(VICTIM) !== undefined);
    assert.equal(hostile.reasonOf(VICTIM), FAILED);
    assert.match(JSON.stringify(wired.map(({ notices }) => notices)), /no images here/, 'why, in its own log');
    const [id] = hostile.aggregations.keys();
    const { state } = await store.find(id);
    assert.deepEqual(Object.keys(JSON.parse(state!)).sort(), [
      'accepted',
      'aggregationId',
      'lastFrame',
      'phase',
      'reason',
    ]);
    hostile.show(VICTIM, bundles, taskOf(plan));
    hostile.sendPlan(VICTIM, hostile.planFor(NAMES, { run: 'other' }));
    await hostile.when(() => hostile.heard.some(({ client, task }) => client === VICTIM && task.run === 'other'));
    assert.ok(!typesOf().includes('masked'));
  });

  it('that has refused is free for another run, also when it is asked again', async () => {
    await everyone({ policy: { ...ANY, survivorsMin: 3 } });
    const plan = hostile.planFor(NAMES);
    hostile.begin(plan);
    const refusals = () => typesOf().filter((type) => type === 'refusal').length;
    hostile.sendPlan(VICTIM, plan);
    await hostile.when(() => refusals() === 1);
    hostile.sendPlan(VICTIM, plan);
    await hostile.when(() => refusals() === 2);
    hostile.sendPlan(VICTIM, hostile.planFor(NAMES, { run: 'other' }, { survivorsMin: 3 }));
    await hostile.when(() => typesOf().includes('advertise'));
  });
});

const task = (round: number, attempt = 1, kind: TaskId['kind'] = 'train', run = 'r'): TaskId => ({
  run,
  kind,
  round,
  attempt,
});

describe('what a client keeps of secure aggregation', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-secure-store-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const stores: readonly [string, () => Promise<SecaggStore>][] = [
    ['in memory', async () => memorySecaggStore()],
    ['on disk', () => fileSecaggStore(join(directory, 'secure'))],
  ];
  for (const [where, open] of stores) {
    it(`is the state of the newest aggregation, and the ids of all (${where})`, async () => {
      const store = await open();
      assert.deepEqual(await store.find('a'), { used: false });
      await store.keep('a', 'a1');
      await store.keep('a', 'a2');
      await store.keep('b', 'b1');
      await store.keep('a', 'a3'); // an older one that ends late
      assert.deepEqual(await store.find('a'), { used: true });
      assert.deepEqual(await store.find('b'), { used: true, state: 'b1' });
      const again = where === 'on disk' ? await open() : store;
      assert.deepEqual(await again.find('a'), { used: true });
      assert.deepEqual(await again.find('b'), { used: true, state: 'b1' });
    });

    it(`is which aggregation has the vector of a task (${where})`, async () => {
      const store = await open();
      assert.equal(await store.bind('a', task(2, 2)), true);
      const check = (from: SecaggStore) => {
        const may = (...[id, of]: Parameters<SecaggStore['mayMask']>) => from.mayMask(id, of);
        assert.equal(may('a', task(2, 2)), true, 'the same again');
        assert.equal(may('b', task(2, 2)), false, 'another for the same');
        assert.equal(may('b', task(2, 1)), false, 'an earlier attempt');
        assert.equal(may('b', task(1, 9)), false, 'an earlier round');
        assert.equal(may('b', task(2, 3)), true, 'a later attempt');
        assert.equal(may('b', task(3, 1)), true, 'a later round');
        assert.equal(may('b', task(2, 2, 'evaluate')), true, 'an evaluation');
        assert.equal(may('b', task(2, 2, 'train', 's')), true, 'another run');
      };
      check(store);
      assert.equal(await store.bind('b', task(2, 2)), false);
      check(where === 'on disk' ? await open() : store);
    });
  }

  it('goes on, and is used, where a crash came before the list of ids was written', async () => {
    await (await fileSecaggStore(directory)).keep('a', 'a1');
    const ids = join(directory, 'used-aggregations');
    const before = await readFile(ids, 'utf8');
    await (await fileSecaggStore(directory)).keep('b', 'b1');
    await writeFile(ids, before);
    const store = await fileSecaggStore(directory);
    assert.deepEqual(await store.find('b'), { used: true, state: 'b1' });
    await store.keep('c', 'c1');
    for (const id of ['a', 'b']) assert.deepEqual(await (await fileSecaggStore(directory)).find(id), { used: true });
  });

  it('is written in the order asked for, and readable by its owner alone', async () => {
    const store = await fileSecaggStore(directory);
    await Promise.all(Array.from({ length: 20 }, (_, i) => store.keep('a', `${i}`)));
    const path = join(directory, 'current-aggregation.json');
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { id: 'a', state: '19' });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
  });
});

describe('a coordinator in a secure round', () => {
  const NAMES3 = ['c1', 'c2', 'c3'];
  const plan: RoundPlan = {
    ...new HostileCoordinator().planFor(NAMES3),
    secure: { nonce: '0'.repeat(32), enrolled: Object.fromEntries(NAMES3.map((name) => [name, keyOf(name)])) },
  };

  /** Three clients, played by their machines; `vectorOf` says what each puts in. */
  async function play(vectorOf: (name: string, elements: number) => Int32Array) {
    const { params, aggregation } = agree(plan);
    const outcome = { failed: [] as string[], done: 0 };
    const inbox: [string, Uint8Array][] = [];
    const listener = {
      send: (client: string, frame: Uint8Array) => void inbox.push([client, frame]),
      dropped: () => {},
      done: () => void outcome.done++,
      failed: (detail: string) => void outcome.failed.push(detail),
    };
    const round = new SecureAggregation(plan, {
      clock: new FakeClock(),
      rng: rngFromSeed(1),
      noise: rngFromSeed(1),
      listener,
      deadlineMs: 1000,
    });
    const states = new Map<string, ClientState>();
    const kernel = createKernel();
    const contextOf = (name: string) => ({
      ...{ suite: nodeSuite, kernel, rng: rngFromSeed(2).split(name), policy: ANY, params, aggregation },
      ...{ identity: { id: name, signingSeed: seedOf(name) }, enrolment: createEnrolment(nodeSuite, listOf(NAMES3)) },
      isUsed: () => false,
    });
    const contexts = new Map(NAMES3.map((name) => [name, contextOf(name)]));
    const take = (name: string, [state, outputs]: ReturnType<typeof startClient>): void => {
      states.set(name, state);
      for (const output of outputs) {
        if (output.kind === 'send') round.receive(name, output.frame);
        if (output.kind === 'vector-wanted') {
          const values = vectorOf(name, params.elements);
          take(name, stepClient(contexts.get(name)!, state, { kind: 'vector', values }));
        }
      }
    };
    for (const name of NAMES3) take(name, startClient(contexts.get(name)!));
    for (let mail = inbox.shift(); mail !== undefined; mail = inbox.shift()) {
      const [name, bytes] = mail;
      take(name, stepClient(contexts.get(name)!, states.get(name)!, { kind: 'frame', bytes }));
    }
    await turns(); // masks come off in a later turn
    return outcome;
  }

  /** Six values, the weight, and a loss with its count. */
  const withWeight = (weight: number, elements: number) =>
    Int32Array.from({ length: elements }, (_, i) => (i === 6 ? weight : 1));

  it('takes a sum whose weights honest clients can have', async () => {
    assert.deepEqual(await play((_, elements) => withWeight(16, elements)), { failed: [], done: 1 });
    assert.equal((await play((_, elements) => withWeight(1, elements))).done, 1);
  });

  it('takes none with others: what a corrupt client adds must not pass for a mean', async () => {
    for (const weight of [-1000, -2, 1000]) {
      const { failed, done } = await play((name, elements) => withWeight(name === 'c3' ? weight : 1, elements));
      assert.equal(done, 0);
      assert.deepEqual(failed, [`secure aggregation: the weights of 3 clients add up to ${weight + 2}`]);
    }
  });
});
