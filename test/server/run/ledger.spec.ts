/** ledger.jsonl as the coordinator writes it: after the journal, once for each round, whole again after any crash. */
import assert from 'node:assert/strict';
import { readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { parseJournal } from '../../../server/journal/journal.js';
import type { RunRecord } from '../../../server/journal/records.js';
import { checkRun } from '../../../server/run/check.js';
import { LEDGER_FILE, type Ledger, openLedger } from '../../../server/run/ledger.js';
import type { Run } from '../../../server/run/run.js';
import { lineSha256 } from '../../../shared/chain/chain.js';
import type { FlError } from '../../../shared/errors.js';
import { isHeadSignedBy, type LedgerHead } from '../../../shared/ledger/against.js';
import type { RoundEntry } from '../../../shared/ledger/entry.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { entriesOf, ledgerSpec, simulated, toyRun } from '../../support/ledgers.js';
import { coordinatorIdentity, openWorld, Peer, type World } from '../../support/peer.js';
import { toyModel, toySpec } from '../../support/toy.js';
import { failure, MemoryFiles } from '../journal/memory-files.js';

const PATH = `/run/${LEDGER_FILE}`;

async function startRun(world: World, rounds: number): Promise<{ run: Run; directory: string }> {
  const directory = join(world.dataDir, 'elsewhere', 'r'); // a coordinator opens what is below runs/ by itself
  const spec = toySpec({ rounds, evaluateEvery: 0, evaluateClients: 1 });
  return { run: await world.coordinator.createRun(spec, encode(toyModel()), { id: 'r', directory }), directory };
}

async function answerRound(peers: readonly Peer[], run: Run): Promise<void> {
  for (const peer of peers) await peer.answer(peer.plans.findLast(({ kind }) => kind === 'train'));
  await run.idle();
}

const linesIn = async (directory: string) => {
  return (await readFile(join(directory, LEDGER_FILE), 'utf8')).split('\n').slice(0, -1);
};

describe('the ledger of a run', () => {
  it('says who was in each round and what it made of which model, and tells the survivors', async () => {
    const world = await openWorld();
    const { run, directory } = await startRun(world, 3);
    const start = run.model.sha256;
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    assert.equal((await linesIn(directory)).length, 1, 'it is opened with the run');
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    peers[3].say({ kind: 'decline', task, reason: 'failed', detail: 'patient 4711 has a name' });
    await answerRound(peers.slice(0, 3), run);
    const lines = await linesIn(directory);
    const [opened, first] = entriesOf(lines.join('\n')) as [unknown, RoundEntry];
    assert.equal(
      (opened as { coordinatorKey: string }).coordinatorKey,
      Buffer.from(coordinatorIdentity.publicKey).toString('hex'),
    );
    assert.deepEqual([first.modelBefore, first.modelAfter], [start, run.model.sha256]);
    assert.deepEqual([first.round, first.attempt, first.cohort, first.privacy, first.secure], [1, 1, 4, null, []]);
    assert.deepEqual(first.dropped, [{ client: 'c4', reason: 'failed' }], 'and not the detail');
    assert.deepEqual(
      first.survivors.map(({ client, updateSha256 }) => [client, updateSha256]),
      peers.slice(0, 3).map(({ name, receipts }) => [name, receipts[0].updateSha256]),
    );
    for (const peer of peers.slice(0, 3)) {
      const { head, signature } = peer.last('ledger-head')!;
      assert.deepEqual(head, { run: 'r', round: 1, lineSha256: lineSha256(lines[1]) } satisfies LedgerHead);
      assert.ok(isHeadSignedBy({ head, signature }, Buffer.from(coordinatorIdentity.publicKey).toString('hex')));
    }
    assert.equal(peers[3].last('ledger-head'), undefined);
    await world.coordinator.close();
  });

  it('gets the line that a crash kept from it, and goes on from there', async () => {
    const world = await openWorld();
    const { run, directory } = await startRun(world, 2);
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    await answerRound(peers, run);
    await world.coordinator.close();
    const [first, second] = await linesIn(directory);
    await truncate(join(directory, LEDGER_FILE), first.length + 1 + 10); // a crash after the journal's record
    const next = await openWorld();
    const resumed = await next.coordinator.openRun(directory);
    assert.deepEqual(await linesIn(directory), [first, second]);
    const back = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(next, name));
    await resumed.idle();
    await answerRound(back, resumed);
    await next.coordinator.close();
    assert.deepEqual(next.fatal, []);
    const rounds = entriesOf((await linesIn(directory)).join('\n')).map((entry) =>
      entry.kind === 'round' ? entry.round : 0,
    );
    assert.deepEqual(rounds, [0, 1, 2]);
    assert.deepEqual((await linesIn(directory)).slice(0, 2), [first, second]);
  });
});

for (const secure of [false, true]) {
  describe(`the ledger of a ${secure ? 'secure' : 'plain'} run, opened again`, () => {
    let records: RunRecord[];
    let whole: Buffer;
    const identity = simulated('coordinator');

    before(async () => {
      const directory = await toyRun(ledgerSpec(secure));
      records = parseJournal(await readFile(join(directory, 'journal.log'))).records as RunRecord[];
      whole = await readFile(join(directory, LEDGER_FILE));
      assert.equal((await checkRun(directory)).ok, true);
      await rm(directory, { recursive: true });
    });

    async function reopened(content: Uint8Array | undefined, given = records, by = identity): Promise<string> {
      const files = new MemoryFiles();
      if (content !== undefined) files.names.set(PATH, { content, durable: content });
      await openLedger('/run', { records: given, identity: by, files });
      assert.equal(files.openFiles, 0);
      return Buffer.from(files.names.get(PATH)!.durable).toString();
    }

    it('is the same to the byte, wherever it was cut off', async () => {
      assert.equal(await reopened(undefined), whole.toString());
      for (let size = 0; size <= whole.length; size += secure ? 7 : 1) {
        assert.equal(await reopened(whole.subarray(0, size)), whole.toString(), `${size} bytes were left`);
      }
    });

    it('is the same when a part of its last line reads as zeros', async () => {
      const start = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: start, max: whole.length - 1 }), fc.nat(512), async (at, length) => {
          const content = Buffer.from(whole);
          content.fill(0, at, Math.min(at + length + 1, content.length));
          assert.equal(await reopened(content), whole.toString());
        }),
        { numRuns: 60 },
      );
    });

    it('is refused when a line before the last has changed, and not written to', async () => {
      const [first, second] = whole.toString().split('\n');
      for (const at of [20, first.length + 30, first.length + Math.floor(second.length / 2)]) {
        const content = Buffer.from(whole);
        content[at] ^= 1;
        const files = new MemoryFiles();
        files.names.set(PATH, { content, durable: content });
        const opening = openLedger('/run', { records, identity, files });
        await assert.rejects(
          opening,
          ({ code, message }: FlError) => code === 'corrupt' && /ledger\.jsonl, line [123]: /.test(message),
        );
        assert.deepEqual([files.openFiles, files.datasyncs], [0, 0]);
      }
    });

    it('is refused when it is not of this journal, or of another coordinator', async () => {
      await assert.rejects(
        reopened(
          whole,
          records.filter(({ kind }) => kind !== 'committed'),
        ),
        /line 2: the journal has no such round/,
      );
      const [created, ...rest] = records;
      await assert.rejects(
        reopened(whole, [{ ...created, run: 'other' } as RunRecord, ...rest]),
        /line 1: not the first of run other/,
      );
      const changed = records.map((record) =>
        record.kind === 'committed' ? { ...record, modelSha256: 'a'.repeat(64) } : record,
      );
      await assert.rejects(reopened(whole, changed), /line 2: not round 1 of the journal/);
      const stranger = identityFromSeed(new Uint8Array(32).fill(9));
      await assert.rejects(reopened(whole, records, stranger), ({ code }: FlError) => code === 'failed-precondition');
    });

    it('never has a part of a line, or one line twice, whenever the machine stops', async () => {
      const committed = records.filter((record) => record.kind === 'committed');
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 700 }), async (seed, maxWriteBytes) => {
          const files = new MemoryFiles();
          files.maxWriteBytes = maxWriteBytes;
          const ledger = await openLedger('/run', { records: records.slice(0, 1), identity, files });
          await ledger.append(committed[0]);
          files.fault = (operation) => {
            if (operation === 'datasync') throw failure('EIO', PATH);
          };
          await assert.rejects(ledger.append(committed[1]), ({ code }: FlError) => code === 'internal');
          let bits = seed;
          const after = files.crash(() => {
            bits = (bits * 48_271 + 11) % 2_147_483_647;
            return bits % 2 === 0;
          });
          await openLedger('/run', { records, identity, files: after });
          assert.equal(Buffer.from(after.names.get(PATH)!.durable).toString(), whole.toString());
        }),
        { numRuns: 40 },
      );
    });

    it('takes rounds in their order only', async () => {
      const files = new MemoryFiles();
      const ledger: Ledger = await openLedger('/run', { records, identity, files });
      const last = records.findLast((record) => record.kind === 'committed')!;
      await assert.rejects(ledger.append(last), /expected round 3, got 2/);
    });
  });
}

describe('a run of a version without ledgers', () => {
  it('gets one when it is opened', async () => {
    const world = await openWorld();
    const { run, directory } = await startRun(world, 2);
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    await answerRound(peers, run);
    await world.coordinator.close();
    const before = await readFile(join(directory, LEDGER_FILE), 'utf8');
    await rm(join(directory, LEDGER_FILE));
    const next = await openWorld();
    await next.coordinator.openRun(directory);
    await next.coordinator.close();
    assert.equal(await readFile(join(directory, LEDGER_FILE), 'utf8'), before);
  });
});
