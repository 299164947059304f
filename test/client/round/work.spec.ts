/** One task after another: which of them a word of the coordinator, or an end that comes late, is about. */
import assert from 'node:assert/strict';
import { FAILED } from '../../../client/round/work.js';
import { memorySecaggStore } from '../../../client/store/secagg.js';
import { signHead } from '../../../shared/ledger/against.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { parseFrame } from '../../../shared/secagg/frames.js';
import { sha256Hex } from '../../../shared/signing/identity.js';
import { SECURE } from '../../secure/hostile-coordinator.js';
import { ANY } from '../../secure/sites.js';
import { turns } from '../../support/hand-fed.js';
import { clientKey, coordinatorKey, enterOne, planOf, strangerKey, trainedOne } from '../../support/one-client.js';
import { toySpec, toyTrainer } from '../../support/toy.js';

const keys = Object.entries({ c1: clientKey, c2: strangerKey, c3: coordinatorKey });
const enrolled = Object.fromEntries(keys.map(([id, key]) => [id, Buffer.from(key.publicKey).toString('hex')]));
const masked = { ...toySpec().work, secure: SECURE };
const securePlan = (nonce: string) =>
  planOf({ cohort: 3, work: masked, secure: { nonce: nonce.repeat(32), enrolled } });
const site = () => ({
  signingSeed: new Uint8Array(32).fill(3),
  policy: ANY,
  store: memorySecaggStore(),
  rng: rngFromSeed(2),
});

describe('a task that fails as it begins', () => {
  it('does not stand in the place of the one that begins because of it', async () => {
    const begun: { go(): void; signal?: AbortSignal }[] = [];
    const trainer = toyTrainer((_, { signal }) => new Promise((go) => begun.push({ go, signal })));
    const { coordinator, notices } = await enterOne({ trainer }); // without secure aggregation
    const [held, failing, next] = [planOf(), planOf({ run: 's', work: masked }), planOf({ run: 't', round: 2 })];
    for (const plan of [held, failing, next]) coordinator.plan(plan);
    await turns();
    begun[0].go();
    await turns();
    const [{ task, reason, detail }] = coordinator.all('decline');
    assert.deepEqual([task.run, reason, detail], ['s', 'failed', FAILED]);
    assert.equal(notices.at(-1)?.fields.detail, 'this client has no secure aggregation');
    assert.equal(begun[1].signal?.aborted, false);
    coordinator.withdraw(next);
    assert.equal(begun[1].signal?.aborted, true);
  });
});

describe('an update in an encoding', () => {
  const work = { ...toySpec().work, compression: 'bf16' };

  it('is encoded once: what is kept, hashed and sent, and sent again, are the same bytes', async () => {
    const { coordinator, store, header } = await trainedOne(planOf({ work }));
    const [{ data }] = coordinator.all('small-update');
    assert.equal(Buffer.from(data).toString('hex'), '003f'.repeat(6)); // 0.5 is 0x3f00
    assert.deepEqual([header.sizeBytes, header.sha256], [12, sha256Hex(data)]);
    assert.deepEqual(await store.read(header), { header, bytes: data });
    const { coordinator: next } = await enterOne({ store, trainer: toyTrainer(() => assert.fail('trained again')) });
    next.plan(planOf({ work })); // after a kill: of the next process only the store is the same
    await turns();
    assert.deepEqual(next.all('small-update'), coordinator.all('small-update'));
  });

  it('that is not known here costs no training: the plan is declined by its name', async () => {
    const { coordinator } = await enterOne({ trainer: toyTrainer(() => assert.fail('trained')) });
    coordinator.plan(planOf({ work: { ...work, compression: 'zip' } }));
    await turns();
    const [{ reason, detail }] = coordinator.all('decline');
    assert.deepEqual(
      [reason, detail],
      [
        'failed',
        'compression: expected none, f16, bf16, int8 or top-k:FRACTION, got "zip"; another attempt would fail alike',
      ],
    );
  });
});

describe('a secure task that the coordinator begins again, with another nonce', () => {
  it('is another aggregation, and the end of the first is not its own', async () => {
    const { coordinator, participant } = await enterOne({ secure: site() });
    coordinator.plan(securePlan('a'));
    await turns();
    coordinator.plan(securePlan('a')); // once more: said again, nothing new
    await turns();
    coordinator.plan(securePlan('b'));
    await turns();
    const said = coordinator.all('secure').map(({ frame }) => parseFrame(frame));
    const first = Buffer.from(said[0].aggregationId).toString('hex');
    assert.deepEqual(
      said.map(({ type, aggregationId }) => [type, Buffer.from(aggregationId).toString('hex') === first]),
      [
        ['advertise', true],
        ['advertise', true],
        ['refusal', true], // it leaves the first
        ['advertise', false],
      ],
    );
    assert.deepEqual(coordinator.all('decline'), []);
    participant.stop();
    const [{ reason, task }] = coordinator.all('decline');
    assert.deepEqual([reason, task.run, task.round], ['dropout', 'r', 1], 'it was still at work');
  });
});

describe('a participant that has ended', () => {
  it('takes no ledger line down any more', async () => {
    const kept: unknown[] = [];
    const { coordinator, participant } = await enterOne({ keepHead: async (head) => void kept.push(head) });
    participant.stop();
    const head = { run: 'r', round: 1, lineSha256: 'a'.repeat(64) };
    coordinator.send({ kind: 'ledger-head', ...signHead(head, coordinatorKey) });
    await turns();
    assert.deepEqual(kept, []);
  });
});
