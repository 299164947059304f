/**
 * Files that the first version wrote: two run ledgers with the journals they follow from, heads of one as a client keeps
 * them, and a client's account of privacy. They verify, and the same records give them again to the byte.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LEDGER_HEADS_FILE, ledgerHeads } from '../../../client/store/ledger-heads.js';
import { openAccount } from '../../../client/store/privacy-account.js';
import { parseJournal } from '../../../server/journal/journal.js';
import type { RunRecord } from '../../../server/journal/records.js';
import { LEDGER_FILE, openLedger } from '../../../server/run/ledger.js';
import { signLine } from '../../../shared/chain/chain.js';
import { signHead, statementsOf } from '../../../shared/ledger/against.js';
import { parseLine } from '../../../shared/ledger/entry.js';
import { verifyLedger } from '../../../shared/ledger/verify.js';
import { verifyCharges } from '../../../shared/privacy/index.js';
import { identityFromSeed, sha256Hex } from '../../../shared/signing/identity.js';
import { MemoryFiles } from '../../server/journal/memory-files.js';
import { simulated } from '../../support/ledgers.js';
import { exampleSpec, privatePlan } from '../../support/private-plan.js';

const FIXTURES = new URL('../../../../test/shared/chain/fixtures/', import.meta.url); // from dist/ to the source tree
const stored = (name: string) => readFile(new URL(name, FIXTURES));
const linesOf = (content: Buffer) => content.toString().trimEnd().split('\n');
const coordinator = simulated('coordinator');

/** SHA-256 of the last line of each file, as that version said it. */
const HEADS = {
  plain: '156b5c9e5c3301a4652a0714b867905bc6a94c7c446de208569a60166790a227',
  secure: '05b3b58fff2f346a06422db84f69906a11403e7f934615712c805bd1a796a99f',
};

for (const kind of ['plain', 'secure'] as const) {
  describe(`the ledger of a ${kind} run of the first version`, () => {
    it('verifies against its specification, and ends where it did', async () => {
      const records = parseJournal(await stored(`${kind}/journal.log`)).records as RunRecord[];
      const [created] = records;
      assert.ok(created.kind === 'created');
      const ledger = verifyLedger(await stored(`${kind}/ledger.jsonl`), {
        spec: created.spec,
        coordinatorFingerprint: sha256Hex(coordinator.publicKey),
      });
      assert.ok(ledger.ok, JSON.stringify(ledger));
      assert.equal(ledger.rounds.length, 2);
      assert.equal(ledger.hashes.at(-1), HEADS[kind]);
    });

    it('is written again to the byte, from its entries and from its journal', async () => {
      const content = await stored(`${kind}/ledger.jsonl`);
      for (const line of linesOf(content)) assert.equal(signLine('ledger', parseLine(line).entry, coordinator), line);
      const records = parseJournal(await stored(`${kind}/journal.log`)).records as RunRecord[];
      const files = new MemoryFiles();
      await openLedger('/run', { records, identity: coordinator, files });
      assert.equal(Buffer.from(files.names.get(`/run/${LEDGER_FILE}`)!.durable).toString(), content.toString());
    });
  });
}

describe('the files of a client of the first version', () => {
  const identity = identityFromSeed(new Uint8Array(32).fill(1));
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-stored-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('hold an account of privacy that goes on with the figure of one begun today', async () => {
    const content = await stored('client/privacy.jsonl');
    const entries = linesOf(content).map((text) => JSON.parse(text).entry);
    for (const [i, line] of linesOf(content).entries()) {
      assert.equal(signLine('privacy-charge', entries[i], identity), line);
    }
    const checked = verifyCharges(content, identity.publicKey, { recompute: 'all' });
    assert.ok(checked.ok && checked.epsilon === 1.0908438478872753); // by Rényi accounting, as that version said it
    await cp(new URL('client/privacy.jsonl', FIXTURES), join(directory, 'privacy.jsonl'));
    const account = await openAccount(directory, { identity });
    const charged = [privatePlan(1), privatePlan(1, exampleSpec, { run: 'another é' }), privatePlan(2)]; // by that version
    const written = async () => (await readFile(join(directory, 'privacy.jsonl'))).toString();
    assert.equal(await written(), content.toString());

    const other = await mkdtemp(join(directory, 'other-'));
    const fresh = await openAccount(other, { identity, delta: 1e-5 });
    for (const plan of charged) await fresh.charge(plan);
    assert.equal(account.delta, 1e-5);
    assert.ok(Math.abs(account.epsilon / fresh.epsilon - 1) < 1e-3, `${account.epsilon} for ${fresh.epsilon}`);
    for (const each of [account, fresh]) await each.charge(privatePlan(3));
    assert.equal(account.epsilon, fresh.epsilon);
    assert.ok((await written()).startsWith(content.toString()));
    assert.equal((await openAccount(directory, { identity })).epsilon, fresh.epsilon);
    // asked for again, what it had charged would be drawn anew: its charge does not pay for that
    await account.charge(charged[0]);
    assert.ok(account.epsilon > fresh.epsilon, `${account.epsilon} after ${fresh.epsilon}`);
  });

  it('hold the heads that its coordinator has signed', async () => {
    const keep = await ledgerHeads(directory);
    for (const [round, line] of linesOf(await stored('plain/ledger.jsonl')).entries()) {
      if (round > 0)
        await keep(signHead({ run: parseLine(line).entry.run, round, lineSha256: sha256Hex(line) }, coordinator));
    }
    const content = await stored('client/receipts.jsonl');
    assert.equal((await readFile(join(directory, LEDGER_HEADS_FILE))).toString(), content.toString());
    const { statements, foreign } = statementsOf(content, [Buffer.from(coordinator.publicKey).toString('hex')]);
    assert.deepEqual([statements.map(({ round }) => round), foreign], [[1, 2], 0]);
    assert.equal(statements.at(-1)!.lineSha256, HEADS.plain);
  });
});
