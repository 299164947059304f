/** What a client keeps of a coordinator's ledger, and of nobody else's. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LEDGER_HEADS_FILE, ledgerHeads } from '../../../client/store/ledger-heads.js';
import { FlError } from '../../../shared/errors.js';
import { type SignedHead, signHead } from '../../../shared/ledger/against.js';
import { turns } from '../../support/hand-fed.js';
import { coordinatorKey, enterOne, strangerKey } from '../../support/one-client.js';

const head = { run: 'r', round: 1, lineSha256: 'a'.repeat(64) };

async function start(keepHead: (head: SignedHead) => Promise<void>) {
  const { participant, notices, coordinator } = await enterOne({ keepHead });
  return { participant, notices, send: (frame: SignedHead) => coordinator.send({ kind: 'ledger-head', ...frame }) };
}

describe('a participant that is told of a ledger line', () => {
  it('keeps what its coordinator has signed, and only that', async () => {
    const kept: SignedHead[] = [];
    const { participant, notices, send } = await start(async (one) => void kept.push(one));
    const good = signHead(head, coordinatorKey);
    send(good);
    send(signHead(head, strangerKey));
    send({ ...good, head: { ...head, lineSha256: 'b'.repeat(64) } });
    await turns();
    assert.deepEqual(kept, [good]);
    assert.deepEqual(
      notices.map(({ message }) => message).filter((message) => message.startsWith('ledger head')),
      Array(2).fill('ledger head ignored: not signed by the coordinator'),
    );
    participant.stop();
    await participant.done;
  });

  it('ends when its disk does not take it', async () => {
    const { participant, send } = await start(() => Promise.reject(new FlError('resource-exhausted', 'disk full')));
    send(signHead(head, coordinatorKey));
    await assert.rejects(participant.done, /disk full/);
  });
});

describe('the ledger heads of a client', () => {
  const [first, second] = [1, 2].map((round) => signHead({ ...head, round }, coordinatorKey));
  const linesIn = async (directory: string, file = LEDGER_HEADS_FILE) =>
    (await readFile(join(directory, file), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  /** A home in which a client of version 0.1 has kept the first. */
  async function oldHome(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'starling-heads-'));
    await (await ledgerHeads(directory))(first);
    await rename(join(directory, LEDGER_HEADS_FILE), join(directory, 'receipts.jsonl'));
    return directory;
  }

  it('stand in one file, over restarts', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'starling-heads-'));
    for (const one of [first, second]) await (await ledgerHeads(directory))(one);
    assert.deepEqual(await linesIn(directory), [first, second]);
  });

  it('of version 0.1, under the old name, are kept and added to', async () => {
    const directory = await oldHome();
    await (await ledgerHeads(directory))(second);
    assert.deepEqual(await linesIn(directory), [first, second]);
    assert.deepEqual(await readdir(directory), [LEDGER_HEADS_FILE]);
  });

  it('of both names stay where they are: neither file is written over', async () => {
    const directory = await oldHome();
    const old = await readFile(join(directory, 'receipts.jsonl'));
    await (await ledgerHeads(directory))(second);
    await writeFile(join(directory, 'receipts.jsonl'), old); // the old version ran once more
    await (await ledgerHeads(directory))(second);
    assert.deepEqual(await linesIn(directory, 'receipts.jsonl'), [first]);
    assert.deepEqual(await linesIn(directory), [first, second, second]);
  });
});
