/**
 * kill -9 between any two of the writes of a release: what was drawn and kept before it is what leaves afterwards, and it
 * is charged once. What was drawn and not kept never leaves.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releaseNameOf } from '../../client/round/privatize.js';
import { openPrivacySite } from '../../client/run.js';
import { ACCOUNT_FILE, openAccount } from '../../client/store/privacy-account.js';
import { fileReleases } from '../../client/store/releases.js';
import { fileSecaggStore } from '../../client/store/secagg.js';
import { fileStore } from '../../client/store/updates.js';
import type { Task } from '../../client/training/task.js';
import { linesOf } from '../../shared/chain/chain.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { bytesOf } from '../../shared/tensors/bytes.js';
import { turns } from '../support/hand-fed.js';
import { enterOne, planOf, receiptFor } from '../support/one-client.js';
import { OrderedDisk, type Write } from '../support/ordered-disk.js';
import { toySpec, toyTrainer } from '../support/toy.js';
import { HostileCoordinator, hex, SECURE, seedOf } from './hostile-coordinator.js';
import { setsKnown } from './knowledge.js';
import { NAMES, VICTIM } from './lies.js';
import { enter } from './sites.js';

const LOCAL: PrivacySpec = { mode: 'local', clippingBound: 1, noiseMultiplier: 4, delta: 1e-5, cohortMax: 5 };

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'starling-killed-'));
});
afterEach(() => rm(home, { recursive: true }));

const openSite = async () =>
  openPrivacySite(home, await openAccount(home, { identity: identityFromSeed(seedOf(VICTIM)) }));
const charges = async () => linesOf(await readFile(join(home, ACCOUNT_FILE))).length;

/** What lies on the disk, as bytes in hex; undefined: nothing. */
async function keptFor(plan: RoundPlan): Promise<string | undefined> {
  const kept = await (await fileReleases(join(home, 'releases'))).find(releaseNameOf(plan));
  return kept && hex(bytesOf(kept.values));
}

/** Counts what it trained, and has a tensor of its own. */
function countedTrainer() {
  const counted = { times: 0, run: undefined as unknown as ReturnType<typeof toyTrainer>['run'] };
  counted.run = (async (task: Task) => {
    counted.times++;
    return { ...(await toyTrainer().run(task)), privateTensors: { head: { shape: [1], data: Float32Array.of(5) } } };
  }) as typeof counted.run;
  return counted;
}

describe('a client that is killed while it releases an update', () => {
  const plan = planOf({ work: { ...toySpec().work, privacy: LOCAL } });
  const open = async (trainer: ReturnType<typeof countedTrainer>) =>
    enterOne({ trainer, privacy: await openSite(), store: await fileStore(home) });

  for (const { write, isKept } of [
    { write: 'own', isKept: false },
    { write: 'release', isKept: false },
    { write: 'charge', isKept: true },
    { write: 'update', isKept: true },
  ] satisfies readonly { write: Write; isKept: boolean }[]) {
    describe(`before its write of ${write}`, () =>
      it('gives one release and charges it once', async () => {
        const trainer = countedTrainer();
        const dying = await open(trainer);
        dying.disk.hold(write);
        dying.coordinator.plan(plan);
        while (dying.disk.begun(write) === 0) await turns();
        dying.participant.stop(); // and the write never comes
        assert.deepEqual(dying.coordinator.all('small-update'), []);
        const kept = await keptFor(plan);
        assert.equal(kept !== undefined, isKept);

        const next = await open(trainer);
        const said = () => next.coordinator.all('small-update').map(({ data }) => hex(data));
        for (const attempt of [1, 2]) {
          next.coordinator.plan({ ...plan, attempt });
          while (said().length < attempt) await turns();
          const { header } = next.coordinator.all('small-update').at(-1)!.signed;
          next.coordinator.receipt(
            receiptFor(header, { outcome: 'dropped', reason: 'round-aborted', modelSha256: '' }),
          );
          while ((await next.store.list()).length > 0) await turns();
        }
        next.participant.stop();
        assert.deepEqual(said(), Array(2).fill(kept ?? said()[0]));
        assert.deepEqual([trainer.times, await charges()], [isKept ? 1 : 2, 1]);
      }));
  }
});

describe('a client that is killed while it gives its share of distributed noise', () => {
  for (const { write, isKept } of [
    { write: 'release', isKept: false },
    { write: 'charge', isKept: true },
    { write: 'bind', isKept: true },
  ] satisfies readonly { write: Write; isKept: boolean }[]) {
    describe(`before its write of ${write}`, () =>
      it('gives one vector and charges it once', async () => {
        const hostile = await HostileCoordinator.open();
        const trainer = countedTrainer();
        const process = async () => {
          const disk = new OrderedDisk();
          const store = disk.secureStore(await fileSecaggStore(join(home, 'secure')));
          return { disk, site: { store, trainer, privacy: disk.privacy(await openSite()) } };
        };
        try {
          const first = await process();
          first.disk.hold(write);
          const dying = await enter(hostile, VICTIM, first.site);
          const wired = [dying];
          for (const name of NAMES.slice(1)) {
            wired.push(await enter(hostile, name, { privacy: new OrderedDisk().privacy() }));
          }
          const secure = { ...SECURE, weightCap: 1, trainMetrics: [] };
          const plan = hostile.planFor(NAMES, {
            work: { ...toySpec().work, secure, privacy: { ...LOCAL, mode: 'distributed' } },
          });
          const aggregation = hostile.begin(plan);
          for (const name of NAMES) hostile.sendPlan(name, plan);
          while (first.disk.begun(write) === 0) await turns();
          dying.kill();
          await hostile.when(() => !hostile.isHere(VICTIM));
          const kept = await keptFor(plan);
          assert.equal(kept !== undefined, isKept);

          wired.push(await enter(hostile, VICTIM, (await process()).site));
          hostile.sendPlan(VICTIM, plan);
          hostile.step(aggregation, { kind: 'resume' });
          await hostile.when(() => hostile.isOver(aggregation));
          for (const client of wired) client.kill();
          assert.deepEqual(setsKnown(hostile), [NAMES.join(' ')]);
          const vectors = hostile.heard.filter(({ client, type }) => client === VICTIM && type === 'masked');
          assert.equal(new Set(vectors.map(({ body }) => hex(body))).size, 1);
          if (isKept) assert.equal(await keptFor(plan), kept);
          assert.deepEqual([trainer.times, await charges()], [isKept ? 1 : 2, 1]);
        } finally {
          await hostile.close();
        }
      }));
  }
});
