/** A ledger that goes on under another key of its coordinator, and under another key of a client. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseJournal } from '../../../server/journal/journal.js';
import { createdIn, type RunRecord } from '../../../server/journal/records.js';
import { LEDGER_FILE, ledgerLines, openLedger } from '../../../server/run/ledger.js';
import { signLine } from '../../../shared/chain/chain.js';
import { toHex } from '../../../shared/hex.js';
import { parseLine, type RoundEntry } from '../../../shared/ledger/entry.js';
import { type LedgerVerification, verifyLedger } from '../../../shared/ledger/verify.js';
import { signHandOver } from '../../../shared/signing/hand-over.js';
import { type Identity, identityFromSeed, sha256Hex } from '../../../shared/signing/identity.js';
import { ledgerSpec, simulated, toyRun } from '../../support/ledgers.js';

for (const secure of [false, true]) {
  describe(`the ledger of a ${secure ? 'secure' : 'plain'} run whose coordinator rotates its key after the first round`, () => {
    const old = simulated('coordinator');
    const next = identityFromSeed(new Uint8Array(32).fill(7));
    const rotated: Identity = { ...next, handOvers: [signHandOver('coordinator', old, next)] };
    let records: RunRecord[];
    let directory: string;
    let lines: string[];

    before(async () => {
      const ran = await toyRun(ledgerSpec(secure));
      records = parseJournal(await readFile(join(ran, 'journal.log'))).records as RunRecord[];
      await rm(ran, { recursive: true });
      directory = await mkdtemp(join(tmpdir(), 'starling-rotated-'));
      await mkdir(directory, { recursive: true });
      const second = records.findLastIndex(({ kind }) => kind === 'committed');
      await openLedger(directory, { records: records.slice(0, second), identity: old });
      await openLedger(directory, { records, identity: rotated });
      lines = (await readFile(join(directory, LEDGER_FILE), 'utf8')).trimEnd().split('\n');
    });

    after(() => rm(directory, { recursive: true, force: true }));

    const check = (texts: readonly string[], trust = {}): LedgerVerification =>
      verifyLedger(Buffer.from(texts.map((text) => `${text}\n`).join('')), { spec: createdIn(records).spec, ...trust });
    const reason = (texts: readonly string[], trust = {}) => {
      const verdict = check(texts, trust);
      return verdict.ok ? 'ok' : verdict.reason;
    };
    const forged = (by: Identity, change: (entry: RoundEntry) => RoundEntry) => {
      const { entry } = parseLine(lines[2]);
      return [...lines.slice(0, 2), signLine('ledger', change(entry as RoundEntry), by)];
    };

    it('verifies to the end, by the fingerprint of either key', () => {
      assert.equal(reason(lines), 'ok');
      for (const { publicKey } of [old, next]) {
        assert.equal(reason(lines, { coordinatorFingerprint: sha256Hex(publicKey) }), 'ok');
      }
      const stranger = sha256Hex(identityFromSeed(new Uint8Array(32).fill(9)).publicKey);
      assert.match(reason(lines, { coordinatorFingerprint: stranger }), /coordinatorKey: expected fingerprint/);
      assert.match(reason(lines.slice(0, 2), { coordinatorFingerprint: sha256Hex(next.publicKey) }), /coordinatorKey/);
      const handOvers = rotated.handOvers;
      assert.equal(reason(lines.slice(0, 2), { coordinatorFingerprint: sha256Hex(next.publicKey), handOvers }), 'ok');
    });

    it('is opened again as it is, and not by who has the new key without the word of the old one', async () => {
      const whole = await readFile(join(directory, LEDGER_FILE));
      await openLedger(directory, { records, identity: rotated });
      assert.deepEqual(await readFile(join(directory, LEDGER_FILE)), whole);
      await assert.rejects(openLedger(directory, { records, identity: next }), /begun under another coordinator/);
    });

    it('is mended to the byte: what the old key has signed stays', () => {
      assert.deepEqual(ledgerLines(records, rotated, lines.map(parseLine)), lines);
    });

    it('has no line by the stolen old key, and none whose word is forged, missing or older', () => {
      const word = rotated.handOvers![0];
      assert.match(reason(forged(old, (entry) => entry)), /signature: expected one by the coordinator/);
      assert.match(reason(forged(next, ({ handOvers: _, ...entry }) => entry)), /signature: expected one by/);
      const thief = identityFromSeed(new Uint8Array(32).fill(9));
      const bad = { ...word, to: toHex(thief.publicKey) };
      assert.match(
        reason(forged(thief, (entry) => ({ ...entry, handOvers: [bad] }))),
        /handOvers: expected words by which/,
      );
      const third = { ...(parseLine(lines[2]).entry as RoundEntry), round: 3, handOvers: undefined };
      const again = [...lines, signLine('ledger', JSON.parse(JSON.stringify(third)), old)];
      assert.match(reason(again), /handOvers: expected those of the lines before/);
    });

    if (!secure) return;
    it('holds against a list that names the keys of now and of before, and not against one of the key of now alone', () => {
      const { entry } = parseLine(lines[2]);
      const [first] = (entry as RoundEntry).secure[0].roster;
      const listed = new Map((entry as RoundEntry).secure[0].roster.map(({ client, key }) => [client, [key]]));
      assert.equal(reason(lines, { enrolment: listed }), 'ok');
      const now = toHex(identityFromSeed(new Uint8Array(32).fill(5)).publicKey);
      const enrolment = new Map([...listed, [first.client, [now, first.key]]]);
      assert.equal(reason(lines, { enrolment }), 'ok', 'a list from after it has rotated names the key of before, too');
      assert.match(reason(lines, { enrolment: new Map([...listed, [first.client, [now]]]) }), /enrolled key of/);
    });
  });
}
