/**
 * What leaves is in the site's log before it leaves, whatever it is; and what does not leave is not there: while a line is
 * held nothing is said, when it fails nothing is, and a client that has ended takes nothing down.
 */
import assert from 'node:assert/strict';
import { memorySecaggStore } from '../../../client/store/secagg.js';
import type { SiteEvent, SiteLog } from '../../../client/store/site-log.js';
import { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { ANY } from '../../secure/sites.js';
import { turns } from '../../support/hand-fed.js';
import { clientKey, coordinatorKey, enterOne, planOf, strangerKey, uploadingOne } from '../../support/one-client.js';
import { toySpec } from '../../support/toy.js';

/** A log whose lines about what leaves wait for the test: each is durable, or fails, when it says so. */
function heldLog() {
  const lines: SiteEvent[] = [];
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];
  const siteLog: SiteLog = {
    async add(event) {
      if (event.event === 'sent') await new Promise<void>((resolve, reject) => waiting.push({ resolve, reject }));
      lines.push(event);
    },
  };
  const sent = () => lines.flatMap((line) => (line.event === 'sent' ? [line.what] : []));
  return { siteLog, waiting, sent };
}

const enrolled = Object.fromEntries(
  Object.entries({ c1: clientKey, c2: strangerKey, c3: coordinatorKey }).map(([id, key]) => [
    id,
    Buffer.from(key.publicKey).toString('hex'),
  ]),
);

const LEAVING = {
  update: { plan: planOf(), kind: 'small-update' },
  evaluation: { plan: planOf({ kind: 'evaluate' }), kind: 'evaluation' },
  advertise: {
    plan: planOf({
      cohort: 3,
      work: { ...toySpec().work, secure: SECURE },
      secure: { nonce: 'a'.repeat(32), enrolled },
    }),
    kind: 'secure',
  },
} as const;

const secure = () => ({
  ...{ signingSeed: new Uint8Array(32).fill(3), policy: ANY, store: memorySecaggStore(), rng: rngFromSeed(2) },
});

describe('what leaves a client', () => {
  for (const [what, { plan, kind }] of Object.entries(LEAVING)) {
    it(`is in the site's log first (${what})`, async () => {
      const { siteLog, waiting, sent } = heldLog();
      const { coordinator } = await enterOne({ siteLog, secure: secure() });
      coordinator.plan(plan);
      await turns();
      assert.deepEqual([waiting.length, coordinator.all(kind).length], [1, 0]);
      waiting[0].resolve();
      await turns();
      assert.deepEqual([sent(), coordinator.all(kind).length], [[what], 1]);
    });

    it(`does not leave when the log's disk is full (${what})`, async () => {
      const { siteLog, waiting } = heldLog();
      const { coordinator, participant } = await enterOne({ siteLog, secure: secure() });
      coordinator.plan(plan);
      await turns();
      const cause = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      waiting[0].reject(new FlError('resource-exhausted', 'the disk is full', { cause }));
      await assert.rejects(participant.done, /the disk is full/);
      await turns();
      assert.equal(coordinator.all(kind).length, 0);
    });
  }

  it('is not in the log of a client that was stopped before it left', async () => {
    const { siteLog, waiting, sent } = heldLog();
    const { coordinator, participant, disk, store } = await enterOne({ siteLog });
    const release = disk.hold('update');
    coordinator.plan(planOf());
    await turns();
    participant.stop();
    release();
    await turns();
    assert.deepEqual([waiting.length, sent(), coordinator.all('small-update')], [0, [], []]);
    assert.equal((await store.list()).length, 1, 'the next process announces it');
  });
});

describe('an update whose plan comes again', () => {
  it('is sent by one call at a time, and once more when that call is over', async () => {
    const { coordinator } = await uploadingOne();
    coordinator.plan(planOf());
    await turns();
    assert.equal(coordinator.uploads.length, 1);
    coordinator.uploads[0].resolve({ outcome: 'accepted', detail: '' });
    await turns();
    coordinator.plan(planOf());
    await turns();
    assert.equal(coordinator.uploads.length, 2);
  });
});
