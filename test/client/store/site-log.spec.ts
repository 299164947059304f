import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  openSiteLog,
  readSiteLog,
  SITE_LOG_FILE,
  type SiteEntry,
  type SiteEvent,
} from '../../../client/store/site-log.js';
import { sha256Hex } from '../../../shared/signing/identity.js';
import { FakeClock } from '../../support/fake-clock.js';
import { turns } from '../../support/hand-fed.js';
import { clientKey, enterOne, planOf, strangerKey } from '../../support/one-client.js';
import { toyTrainer } from '../../support/toy.js';

const TASK = { run: 'r', kind: 'train', attempt: 1 } as const;
const sent = (round: number): SiteEvent => {
  return { event: 'sent', ...TASK, round, what: 'update', sizeBytes: 24, sha256: 'a'.repeat(64) };
};

describe("a site's own log", () => {
  let directory: string;
  const open = (sizes: { fileBytes?: number; keptFiles?: number } = {}) =>
    openSiteLog(directory, { identity: clientKey, clock: new FakeClock(), ...sizes });
  const path = () => join(directory, SITE_LOG_FILE);

  async function read(key = clientKey.publicKey): Promise<SiteEntry[]> {
    const entries: SiteEntry[] = [];
    for await (const entry of readSiteLog(directory, key)) entries.push(entry);
    return entries;
  }
  const rounds = async () => (await read()).map((entry) => ('round' in entry ? entry.round : entry.event));

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-site-log-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('is read as it was written, over restarts, in the order of the calls', async () => {
    const log = await open();
    await Promise.all([log.add(sent(1)), log.add(sent(2))]);
    await (await open()).add(sent(3));
    assert.deepEqual(await rounds(), [1, 2, 3]);
  });

  it('goes on after a kill in the middle of a line', async () => {
    await (await open()).add(sent(1));
    const whole = await readFile(path());
    for (const cut of [1, 40, whole.length - 1]) {
      await writeFile(path(), Buffer.concat([whole, whole.subarray(0, cut)]));
      assert.deepEqual(await rounds(), [1], 'what was cut short is not read');
      await (await open()).add(sent(2));
      assert.deepEqual(await rounds(), [1, 2]);
    }
  });

  it('shows any line that was changed, taken out, or written by another', async () => {
    for (const round of [1, 2, 3]) await (await open()).add(sent(round));
    const lines = (await readFile(path(), 'utf8')).split('\n');
    const changed = [
      [lines[0], lines[1].replace('"round":2', '"round":7'), lines[2]],
      [lines[0], lines[2]],
      [lines[1], lines[0], lines[2]],
    ];
    for (const some of changed) {
      await writeFile(path(), `${some.join('\n')}\n`);
      await assert.rejects(read(), { code: 'corrupt', message: /^site-log\.jsonl, line [12]: / });
    }
    await writeFile(path(), lines.join('\n'));
    await assert.rejects(read(strangerKey.publicKey), { code: 'corrupt' });
    assert.deepEqual(await rounds(), [1, 2, 3]);
  });

  it('stays within its bound, drops the oldest, and is one chain over its files', async () => {
    const sizes = { fileBytes: 1500, keptFiles: 2 };
    for (let round = 1; round <= 20; round++) await (await open(sizes)).add(sent(round));
    const names = (await readdir(directory)).sort();
    assert.equal(names.length, 3);
    for (const name of names) assert.ok((await readFile(join(directory, name))).length <= 1500);
    const kept = await rounds();
    assert.ok(kept.length >= 6);
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, i) => 21 - kept.length + i),
    );
    await rm(join(directory, names[1]));
    await assert.rejects(read(), { code: 'corrupt' }, 'a file taken out of the middle');
  });

  it('goes on in a new file when it was killed between two', async () => {
    const sizes = { fileBytes: 1500, keptFiles: 2 };
    for (let round = 1; round <= 3; round++) await (await open(sizes)).add(sent(round));
    await rename(path(), join(directory, 'site-log.1.jsonl'));
    await (await open(sizes)).add(sent(4));
    assert.deepEqual(await rounds(), [1, 2, 3, 4]);
  });

  describe('of a client at work', () => {
    it('has the plan, the decision and what left, by its hash', async () => {
      const { coordinator } = await enterOne({ siteLog: await open() });
      coordinator.plan(planOf());
      coordinator.plan(planOf({ kind: 'evaluate', run: 's' }));
      await coordinatorHas(
        () => coordinator.all('small-update').length > 0 && coordinator.all('evaluation').length > 0,
      );
      const entries = await read();
      const plans = entries.filter(({ event }) => event === 'plan');
      assert.deepEqual(
        plans.map((entry) => 'decision' in entry && entry.decision),
        ['followed', 'followed'],
      );
      const [{ data }] = coordinator.all('small-update');
      const left = entries.flatMap((entry) => (entry.event === 'sent' ? [entry] : []));
      assert.deepEqual(
        left.map(({ what }) => what),
        ['update', 'evaluation'],
      );
      assert.equal(left[0].sha256, sha256Hex(data));
      assert.equal(left[0].sizeBytes, data.length);
      const keys = [
        'atMs',
        'attempt',
        'event',
        'kind',
        'previous',
        'round',
        'run',
        'sha256',
        'sizeBytes',
        'version',
        'what',
      ];
      for (const entry of left) assert.deepEqual(Object.keys(entry).sort(), keys, 'and nothing of what was in it');
    });

    it('says why a plan was declined, and keeps to itself why a task failed', async () => {
      const declineReason = ({ round }: { round: number }) =>
        round === 1 ? { reason: 'refused' as const, detail: 'policy: workloads: expected mlp, got toy' } : undefined;
      const trainer = toyTrainer(() => Promise.reject(new Error('row 17 is damaged')));
      const log = await open();
      const { coordinator } = await enterOne({ siteLog: log, declineReason, trainer });
      coordinator.plan(planOf());
      coordinator.plan(planOf({ round: 2 }));
      await coordinatorHas(() => coordinator.all('decline').length === 2);
      await log.add(sent(3)); // after all that was asked for before
      const entries = await read();
      assert.ok(entries.some((entry) => entry.event === 'plan' && entry.reason?.startsWith('policy: workloads')));
      assert.match(JSON.stringify(entries.filter(({ event }) => event === 'noticed')), /row 17 is damaged/);
    });

    it('lets nothing leave that it could not take down', async () => {
      const log = { add: async (event: SiteEvent) => event.event === 'sent' && Promise.reject(new Error('disk')) };
      const { coordinator } = await enterOne({ siteLog: log as never });
      coordinator.plan(planOf());
      for (let i = 0; i < 20; i++) await turns();
      assert.deepEqual(coordinator.all('small-update'), []);
    });
  });

  /** The log is on a real disk: as many turns as it takes, up to very many. */
  async function coordinatorHas(condition: () => boolean): Promise<void> {
    for (let i = 0; i < 100_000 && !condition(); i++) await turns();
    assert.ok(condition());
  }
});
