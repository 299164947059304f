/**
 * "Durable before said" in a secure round: no frame leaves before the state that it follows from is on the disk, and no
 * masked vector before the charge and the binding are. The others in the round, and the coordinator, are honest.
 */
import assert from 'node:assert/strict';
import { Participant } from '../../../client/round/participant.js';
import { FAILED } from '../../../client/round/work.js';
import { memoryOpenings } from '../../../client/store/openings.js';
import { memoryReleases } from '../../../client/store/releases.js';
import { memorySecaggStore } from '../../../client/store/secagg.js';
import { memoryStore } from '../../../client/store/updates.js';
import { FlError } from '../../../shared/errors.js';
import { rngFromEntropy, rngFromSeed } from '../../../shared/rng.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { parseFrame } from '../../../shared/secagg/frames.js';
import type { ParticipantService } from '../../../shared/service.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { coordinator, HostileCoordinator, SECURE, seedOf, taskOf } from '../../secure/hostile-coordinator.js';
import { ANY } from '../../secure/sites.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { OrderedDisk, type Write } from '../../support/ordered-disk.js';
import { toySpec, toyTrainer } from '../../support/toy.js';

const NAMES = ['c1', 'c2', 'c3'];
const SELF = 'c1';
const PRIVACY: PrivacySpec = { mode: 'distributed', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 3 };
const WHOLE = [
  ...['disk secure', 'said advertise', 'disk secure', 'said shares'],
  ...['disk secure', 'disk release', 'disk charge', 'disk bind', 'disk secure', 'said masked'],
  ...['disk opening', 'disk secure', 'said consistency', 'disk secure', 'said unmask'],
];

interface Group {
  readonly hostile: HostileCoordinator;
  readonly plan: RoundPlan;
  readonly disk: OrderedDisk;
  readonly participant: Participant;
  readonly notices: string[];
  stop(): void;
}

/** Three clients in memory; what c1 says and writes is on the disk's list. Nothing in it waits for more than its turn. */
async function openGroup(prepare: (disk: OrderedDisk) => void = () => {}, own = memorySecaggStore()): Promise<Group> {
  const [hostile, disk] = [new HostileCoordinator(), new OrderedDisk()];
  const notices: string[] = [];
  prepare(disk);
  const participants: Participant[] = [];
  for (const name of NAMES) {
    const secureStore = name === SELF ? disk.secureStore(own) : memorySecaggStore();
    const signingSeed = seedOf(name);
    const participant = await Participant.start({
      ...{ service: name === SELF ? overheard(hostile, disk) : hostile, client: name, version: '0' },
      ...{ identity: identityFromSeed(signingSeed), coordinatorKey: coordinator.publicKey, store: memoryStore() },
      ...{ trainer: toyTrainer(), clock: new FakeClock(), rng: rngFromSeed(1) },
      privacy: name === SELF ? disk.privacy() : { noiseOf: rngFromEntropy, releases: memoryReleases() },
      secure: {
        ...{ signingSeed, policy: ANY, store: secureStore, rng: rngFromSeed(2).split(name) },
        openings: name === SELF ? disk.openings(memoryOpenings()) : memoryOpenings(),
      },
      notice: (message, fields) => name === SELF && notices.push(`${message} ${JSON.stringify(fields)}`),
    });
    participants.push(participant);
  }
  const work = { ...toySpec().work, secure: { ...SECURE, trainMetrics: [] }, privacy: PRIVACY };
  const plan = hostile.planFor(NAMES, { work });
  hostile.begin(plan);
  for (const name of NAMES) hostile.sendPlan(name, plan);
  await settled();
  const stop = () => {
    for (const one of participants) one.stop();
  };
  return { hostile, plan, disk, participant: participants[0], notices, stop };
}

function overheard(hostile: HostileCoordinator, disk: OrderedDisk): ParticipantService {
  const { identify, enrol, download, uploadStatus, upload } = hostile;
  const connect: ParticipantService['connect'] = (toClient) => {
    const end = hostile.connect(toClient);
    const send: typeof end.send = (frame) => {
      if (frame.kind === 'secure') disk.said(parseFrame(frame.frame).type);
      else if (frame.kind === 'decline') disk.said(`decline: ${frame.detail}`);
      end.send(frame);
    };
    return { send, close: end.close };
  };
  return { connect, identify, enrol, download, uploadStatus, upload };
}

/** Several: each frame of the round may be answered in a later turn. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await turns();
}

/** Each thing that must be durable in a round: which write of its kind it is, and where it stands in the whole. */
const promises: readonly { what: string; write: Write; from: number; at: number }[] = [
  { what: 'keys', write: 'secure', from: 1, at: 0 },
  { what: 'shares', write: 'secure', from: 2, at: 2 },
  { what: 'the shares of others', write: 'secure', from: 3, at: 4 },
  { what: 'what was drawn', write: 'release', from: 1, at: 5 },
  { what: 'the charge', write: 'charge', from: 1, at: 6 },
  { what: 'where the vector goes', write: 'bind', from: 1, at: 7 },
  { what: 'which vector it is', write: 'secure', from: 4, at: 8 },
  { what: 'whose sum it helps to open', write: 'opening', from: 1, at: 10 },
  { what: 'which survivors were signed for', write: 'secure', from: 5, at: 11 },
  { what: 'which shares were shown', write: 'secure', from: 6, at: 13 },
];

describe('a client in a secure round', () => {
  it('writes, and says, in one order', async () => {
    const { disk, hostile, stop } = await openGroup();
    assert.deepEqual(disk.log, WHOLE);
    assert.ok([...hostile.aggregations.values()].every((one) => one.state.phase === 'done'));
    stop();
  });

  for (const { what, write, from, at } of promises) {
    it(`says nothing that follows from ${what} before the disk has it`, async () => {
      let release = () => {};
      const group = await openGroup((disk) => {
        release = disk.hold(write, from);
      });
      assert.equal(group.disk.begun(write), from);
      assert.deepEqual(group.disk.log, WHOLE.slice(0, at));
      release();
      await settled();
      assert.deepEqual(group.disk.log, WHOLE);
      group.stop();
    });

    it(`says nothing that follows from ${what} when the disk does not take it, but that it failed`, async () => {
      const { disk, notices, stop } = await openGroup((one) => {
        one.fail(write, new FlError('resource-exhausted', 'the disk is full'), from);
      });
      const said = disk.log.filter((line) => line.startsWith('said'));
      const before = WHOLE.slice(0, at).filter((line) => line.startsWith('said'));
      assert.deepEqual(said, [...before, `said decline: ${FAILED}`]);
      assert.match(notices.join('\n'), /refused .*the disk is full/);
      stop();
    });
  }
});

describe('a client that is asked to leave a secure round while its disk is slow', () => {
  for (const [what, write, from] of [
    ['where the vector goes', 'bind', 1],
    ['which vector it is', 'secure', 4],
  ] as const) {
    it(`gives no vector any more, although it was writing ${what}`, async () => {
      let release = () => {};
      const { hostile, plan, disk, stop } = await openGroup((one) => {
        release = one.hold(write, from);
      });
      hostile.send(SELF, { kind: 'withdrawal', task: taskOf(plan), reason: 'deadline' });
      release();
      await settled();
      assert.ok(!disk.log.includes('said masked'));
      assert.equal(disk.log.at(-1), 'said refusal');
      stop();
    });
  }

  it('does not even say where its vector would have gone, if it leaves before', async () => {
    let release = () => {};
    const { hostile, plan, disk, stop } = await openGroup((one) => {
      release = one.hold('charge');
    });
    hostile.send(SELF, { kind: 'withdrawal', task: taskOf(plan), reason: 'deadline' });
    release();
    await settled();
    assert.equal(disk.begun('bind'), 0);
    assert.equal(disk.log.at(-1), 'said refusal');
    stop();
  });

  it('gives no vector when another aggregation has taken its place meanwhile', async () => {
    let release = () => {};
    const store = memorySecaggStore();
    const { plan, disk, notices, stop } = await openGroup((one) => {
      release = one.hold('bind');
    }, store);
    assert.equal(await store.bind('another', taskOf(plan)), true);
    release();
    await settled();
    assert.equal(disk.log.at(-1), `said decline: ${FAILED}`);
    assert.match(notices.join('\n'), /second-vector: train round 1 attempt 1: /);
    stop();
  });

  it('says nothing more once it was stopped', async () => {
    let release = () => {};
    const { participant, disk, stop } = await openGroup((one) => {
      release = one.hold('bind');
    });
    participant.stop();
    const said = disk.log.filter((line) => line.startsWith('said'));
    assert.equal(said.at(-1), 'said decline: the client shuts down');
    release();
    await settled();
    assert.deepEqual(
      disk.log.filter((line) => line.startsWith('said')),
      said,
    );
    stop();
  });
});
