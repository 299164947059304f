/**
 * "Durable before said", for each promise of a participant: while the write is held nothing is said, once it is done all
 * is, and when it fails nothing is said but the failure.
 */
import assert from 'node:assert/strict';
import type { ParticipantOptions } from '../../../client/round/participant.js';
import { FAILED } from '../../../client/round/work.js';
import type { Task } from '../../../client/training/task.js';
import { FlError } from '../../../shared/errors.js';
import { signHead } from '../../../shared/ledger/against.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { turns } from '../../support/hand-fed.js';
import { coordinatorKey, enterOne, type OneClient, planOf, receiptFor, trainedOne } from '../../support/one-client.js';
import type { Write } from '../../support/ordered-disk.js';
import { toySpec, toyTrainer } from '../../support/toy.js';

const full = () => new FlError('resource-exhausted', 'the disk is full');
const PRIVACY: PrivacySpec = { mode: 'local', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 4 };
const privatePlan = () => planOf({ work: { ...toySpec().work, privacy: PRIVACY } });

/** A trainer that has private tensors, too. */
function ownTrainer(): ParticipantOptions['trainer'] {
  const toy = toyTrainer();
  const privateTensors = { head: { shape: [1], data: Float32Array.of(5) } };
  const run = async (task: Task) => {
    if (task.kind === 'evaluate') return toy.run(task);
    return { ...(await toy.run(task)), privateTensors };
  };
  return { run: run as ParticipantOptions['trainer']['run'] };
}

/** Of the log, what came after the client was let in. */
const since = ({ disk }: OneClient) => disk.log.filter((line) => !['said hello', 'said proof'].includes(line));

/** What becomes of a private update, in order. */
const WHOLE = ['disk own', 'disk release', 'disk charge', 'disk update', 'said small-update'];
const WRITES: readonly Write[] = ['own', 'release', 'charge', 'update'];

describe('an update that is ready', () => {
  for (const write of WRITES) {
    const before = WHOLE.slice(0, WHOLE.indexOf(`disk ${write}`));

    it(`is not said before the disk has it (${write})`, async () => {
      const one = await enterOne({ trainer: ownTrainer() });
      const release = one.disk.hold(write);
      one.coordinator.plan(privatePlan());
      await turns();
      assert.equal(one.disk.begun(write), 1);
      assert.deepEqual(since(one), before);
      release();
      await turns();
      assert.deepEqual(since(one), WHOLE);
    });

    it(`is not said when the disk does not take it, and why is at the site alone (${write})`, async () => {
      const one = await enterOne({ trainer: ownTrainer() });
      one.disk.fail(write, full());
      one.coordinator.plan(privatePlan());
      await turns();
      assert.deepEqual(since(one), [...before, 'said decline']);
      const [decline] = one.coordinator.all('decline');
      assert.deepEqual([decline.reason, decline.detail], ['failed', FAILED]);
      assert.equal(one.notices.at(-1)?.message, 'task failed');
      assert.equal(one.notices.at(-1)?.fields.message, 'the disk is full');
      assert.deepEqual(await one.store.list(), []);
      one.coordinator.breakOff();
      one.clock.advance(60_000);
      assert.deepEqual(one.coordinator.all('proof').at(-1)?.pending, [], 'nor is it announced later');
    });
  }

  it('is announced to a coordinator that it comes back to only when the disk has it', async () => {
    const one = await enterOne();
    const release = one.disk.hold('update');
    one.coordinator.plan(planOf());
    await turns();
    one.coordinator.breakOff();
    one.clock.advance(60_000);
    assert.deepEqual(one.coordinator.all('proof').at(-1)?.pending, []);
    one.coordinator.welcome(2);
    assert.equal(one.coordinator.all('small-update').length, 0);
    release();
    await turns();
    assert.equal(one.coordinator.all('small-update').length, 1);
  });

  it('is forgotten, and never said, when its plan was withdrawn while it was being written', async () => {
    const one = await enterOne();
    const release = one.disk.hold('update');
    one.coordinator.plan(planOf());
    await turns();
    one.coordinator.withdraw(planOf());
    release();
    await turns();
    assert.deepEqual(since(one), ['disk update', 'disk forget']);
    assert.deepEqual(await one.store.list(), []);
  });

  it('is not written at all when its plan was withdrawn before', async () => {
    const one = await enterOne();
    const release = one.disk.hold('charge');
    one.coordinator.plan(privatePlan());
    await turns();
    one.coordinator.withdraw(planOf());
    release();
    await turns();
    assert.deepEqual(since(one), ['disk release', 'disk charge']);
  });
});

describe('the last word on an update', () => {
  it('ends the participant when the disk cannot forget, which is not silent, and then nothing more is said', async () => {
    const { header, ...one } = await trainedOne();
    one.disk.fail('forget', full());
    one.coordinator.receipt(receiptFor(header));
    await assert.rejects(one.participant.done, /the disk is full/);
    assert.equal(one.coordinator.closed, 'the client failed');
    assert.equal((await one.store.list()).length, 1);
    const said = one.coordinator.frames.length;
    one.coordinator.plan(planOf({ round: 2 }));
    await turns();
    assert.equal(one.coordinator.frames.length, said);
    assert.equal(one.disk.begun('update'), 1, 'nor does it train');
    one.clock.advance(1e9);
    assert.equal(one.coordinator.all('hello').length, 1, 'it does not come back');
  });

  it('counts at once, however slow the disk is to forget: a coordinator is not told of it again', async () => {
    const { header, ...one } = await trainedOne();
    const release = one.disk.hold('forget');
    one.coordinator.receipt(receiptFor(header));
    one.coordinator.breakOff();
    one.clock.advance(60_000);
    assert.deepEqual(one.coordinator.all('proof').at(-1)?.pending, []);
    release();
    await turns();
    assert.deepEqual(await one.store.list(), []);
  });

  const head = signHead({ run: 'r', round: 1, lineSha256: 'a'.repeat(64) }, coordinatorKey);

  it('lets an update go only when the ledger line that it is in is on the disk', async () => {
    const { header, ...one } = await trainedOne();
    const release = one.disk.hold('head');
    one.coordinator.send({ kind: 'ledger-head', ...head });
    one.coordinator.receipt(receiptFor(header));
    await turns();
    assert.equal(one.disk.begun('forget'), 0);
    release();
    await turns();
    assert.deepEqual(since(one).slice(-2), ['disk head', 'disk forget']);
  });

  it('keeps the update when the disk does not take that line, and ends the participant', async () => {
    const { header, ...one } = await trainedOne();
    one.disk.fail('head', full());
    one.coordinator.send({ kind: 'ledger-head', ...head });
    one.coordinator.receipt(receiptFor(header));
    await assert.rejects(one.participant.done, /the disk is full/);
    await turns();
    assert.equal((await one.store.list()).length, 1);
    assert.equal(one.disk.begun('forget'), 0);
  });
});

describe('a participant that has ended', () => {
  it('says nothing of what it was still writing: the next process announces it', async () => {
    for (const end of ['stopped', 'failed'] as const) {
      const one = await enterOne();
      const release = one.disk.hold('update');
      one.coordinator.plan(planOf());
      await turns();
      one.disk.fail('head', full());
      if (end === 'stopped') one.participant.stop();
      else
        one.coordinator.send({
          kind: 'ledger-head',
          ...signHead({ run: 'r', round: 9, lineSha256: 'a' }, coordinatorKey),
        });
      await turns();
      release();
      await turns();
      assert.equal(one.coordinator.all('small-update').length, 0, end);
      assert.equal((await one.store.list()).length, 1, end);
    }
  });
});
