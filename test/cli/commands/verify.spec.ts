/**
 * `starling verify` on run directories of a toy federation: whatever is changed in one, by whoever, even by the
 * coordinator with all its keys, is told, and where.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LEDGER_HEADS_FILE, ledgerHeads } from '../../../client/store/ledger-heads.js';
import { openJournal, parseJournal } from '../../../server/journal/journal.js';
import { checkRun, type RunCheck } from '../../../server/run/check.js';
import { lineSha256, signLine } from '../../../shared/chain/chain.js';
import { signHead } from '../../../shared/ledger/against.js';
import type { LedgerEntry, OpenedEntry, RoundEntry } from '../../../shared/ledger/entry.js';
import { verifyLedger } from '../../../shared/ledger/verify.js';
import { type StoredRunSpec, storedSpec } from '../../../shared/run/spec.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { inProcess } from '../../support/in-process.js';
import { entriesOf, forged, ledgerSpec, signedLedger, simulated, toyRun, withProof } from '../../support/ledgers.js';
import { toyModel } from '../../support/toy.js';

const CLIENTS = ['c1', 'c2', 'c3', 'c4'];
const stranger = identityFromSeed(new Uint8Array(32).fill(9));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

interface Stored {
  readonly directory: string;
  readonly spec: StoredRunSpec;
  readonly ledger: Buffer;
  readonly opened: OpenedEntry;
  readonly rounds: readonly [RoundEntry, RoundEntry];
}

async function stored(secure: boolean): Promise<Stored> {
  const spec = ledgerSpec(secure);
  const directory = await toyRun(spec);
  const ledger = await readFile(join(directory, 'ledger.jsonl'));
  const [opened, ...rounds] = entriesOf(ledger.toString());
  return {
    directory,
    spec: storedSpec(spec),
    ledger,
    opened: opened as OpenedEntry,
    rounds: rounds as [RoundEntry, RoundEntry] & object,
  };
}

let plain: Stored;
let secure: Stored;

/** What verify says of a copy of the run that `change` was let at. */
async function checked(
  run: Stored,
  change: (directory: string) => Promise<unknown>,
  options: Parameters<typeof checkRun>[1] = {},
): Promise<RunCheck> {
  const parent = await mkdtemp(join(tmpdir(), 'starling-verify-'));
  try {
    const copy = join(parent, 'run');
    await cp(run.directory, copy, { recursive: true });
    await change(copy);
    return await checkRun(copy, options);
  } finally {
    await rm(parent, { recursive: true });
  }
}

const withLedger = (text: string | Uint8Array) => (directory: string) =>
  writeFile(join(directory, 'ledger.jsonl'), text);

/** "FILE LINE: REASON", or "holds". */
const said = (check: RunCheck) => (check.ok ? 'holds' : `${check.file} ${check.line}: ${check.reason}`);

before(async () => {
  plain = await stored(false);
  secure = await stored(true);
});

after(async () => {
  for (const { directory } of [plain, secure]) await rm(directory, { recursive: true });
});

describe('starling verify', () => {
  it('is content with what a run has written', async () => {
    for (const run of [plain, secure]) {
      const check = await checkRun(run.directory);
      assert.ok(check.ok, said(check));
      assert.deepEqual([check.rounds, check.modelSha256, check.notes], [2, run.rounds[1].modelAfter, []]);
      assert.equal(check.survivorSignatures, run === secure ? 8 : 0);
      assert.equal(
        said(await checkRun(run.directory, { coordinatorFingerprint: check.coordinatorFingerprint })),
        'holds',
      );
    }
  });

  for (const which of ['plain', 'secure'] as const) {
    it(`sees every byte of a ${which} run's ledger that is changed`, () => {
      const { ledger: whole, spec } = which === 'plain' ? plain : secure;
      const ledger = which === 'plain' ? whole : whole.subarray(0, whole.lastIndexOf(0x0a, whole.length - 2) + 1); // a round less
      assert.ok(verifyLedger(ledger, { spec }).ok);
      for (let at = 0; at < ledger.length; at++) {
        const changed = Buffer.from(ledger);
        changed[at] ^= 1 << (at % 8);
        const line = ledger.subarray(0, at).filter((byte) => byte === 0x0a).length + 1;
        const check = verifyLedger(changed, { spec });
        assert.ok(!check.ok, `byte ${at}`);
        // A line end that is gone joins two lines, a new one makes two; bytes that are no UTF-8 are told of the whole file.
        if (at % 8 < 7 && ledger[at] !== 0x0a && changed[at] !== 0x0a)
          assert.equal(check.line, line, `byte ${at}: ${check.reason}`);
      }
    }).timeout(60_000);
  }

  it('sees lines that are gone, swapped, doubled, cut off or added', async () => {
    for (const run of [plain, secure]) {
      const lines = run.ledger.toString().split('\n').slice(0, -1);
      const arrangements: number[][] = [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0]];
      arrangements.push([0, 0, 1, 2], [0, 1, 1, 2], [0, 1, 2, 2], [0, 1, 2, 0]);
      for (const order of arrangements) {
        const text = order.map((index) => `${lines[index]}\n`).join('');
        assert.match(said(await checked(run, withLedger(text))), /^ledger\.jsonl \d: /, order.join());
      }
      assert.equal(
        said(await checked(run, withLedger(run.ledger.subarray(0, -1)))),
        'ledger.jsonl 0: expected a line end after the last line, got none',
      );
      assert.match(said(await checked(run, withLedger(`${run.ledger}\n`))), /^ledger\.jsonl 4: expected JSON/);
    }
  });

  it('says what it cannot see without the journal', async () => {
    const [first, second] = plain.ledger.toString().split('\n');
    const gone = async (directory: string) => {
      await rm(join(directory, 'journal.log'));
      await rm(join(directory, 'report.json'));
      await rm(join(directory, 'models/final.safetensors')); // it would be seen to be another
    };
    const check = await checked(plain, async (directory) => {
      await gone(directory);
      await withLedger(`${first}\n${second}\n`)(directory);
    });
    assert.ok(check.ok, said(check));
    assert.deepEqual(check.notes, ['journal.log is not here: lines cut off the end of the ledger would not be seen']);
  });

  const otherFiles: Readonly<Record<string, readonly [(directory: string) => Promise<unknown>, RegExp]>> = {
    'a model that is not what its name says': [
      (directory) => writeFile(join(directory, `models/${plain.rounds[1].modelAfter}.safetensors`), encode(toyModel())),
      /^models\/\w+\.safetensors 0: parameters: expected SHA-256/,
    ],
    'two models that have changed places': [
      async (directory) => {
        const [a, b] = plain.rounds.map(({ modelAfter }) => join(directory, `models/${modelAfter}.safetensors`));
        await rename(a, `${a}.x`);
        await rename(b, a);
        await rename(`${a}.x`, b);
      },
      /^models\/\w+\.safetensors 0: parameters: expected SHA-256/,
    ],
    'a model file that is cut short': [
      (directory) => writeFile(join(directory, `models/${plain.rounds[1].modelAfter}.safetensors`), 'x'),
      /^models\/\w+\.safetensors 0: /,
    ],
    'no final model': [
      (directory) => rm(join(directory, `models/${plain.rounds[1].modelAfter}.safetensors`)),
      /^models\/\w+\.safetensors 0: expected the model of the last round, got no file$/,
    ],
    'another learning rate in run.json': [
      (directory) => edit(directory, 'run.json', '"clientLr": 0.5', '"clientLr": 0.25'),
      /^ledger\.jsonl 1: previous: expected \w+, of the specification/,
    ],
    'another name in run.json': [
      (directory) => edit(directory, 'run.json', '"run": "toy-smoke-seed1"', '"run": "toy-smoke-seed2"'),
      /^run\.json 0: run: expected toy-smoke-seed1, got toy-smoke-seed2$/,
    ],
    'no run.json': [(directory) => rm(join(directory, 'run.json')), /^run\.json 0: expected the file/],
    'another model in report.json': [
      (directory) =>
        edit(directory, 'report.json', `"modelSha256": "${plain.rounds[1].modelAfter}"`, '"modelSha256": "00"'),
      /^report\.json 0: modelSha256: expected/,
    ],
    'a report of more rounds': [
      (directory) => edit(directory, 'report.json', '"rounds": [', '"rounds": [{},'),
      /^report\.json 0: rounds: expected 2, got 3$/,
    ],
    'a journal that is damaged': [
      (directory) => edit(directory, 'journal.log', '"round-started"', '"round-stirred"'),
      /^journal\.log 0: /,
    ],
    'a journal with another model': [
      async (directory) => {
        const records = parseJournal(await readFile(join(directory, 'journal.log'))).records as { kind: string }[];
        await rm(join(directory, 'journal.log'));
        const { journal } = await openJournal(join(directory, 'journal.log'));
        for (const record of records) {
          await journal.append(record.kind === 'committed' ? { ...record, modelSha256: 'a'.repeat(64) } : record);
        }
        await journal.close();
      },
      /^ledger\.jsonl 2: modelAfter: expected a+, as in the journal/,
    ],
  };

  for (const [what, [change, says]] of Object.entries(otherFiles)) {
    it(`sees ${what}`, async () => assert.match(said(await checked(plain, change)), says));
  }

  it('waits for the last line of a run that a crash has stopped between journal and ledger', async () => {
    const lines = plain.ledger.toString().split('\n');
    const check = await checked(plain, async (directory) => {
      const records = parseJournal(await readFile(join(directory, 'journal.log'))).records as { kind: string }[];
      const last = records.findLastIndex(({ kind }) => kind === 'committed');
      await rm(join(directory, 'journal.log'));
      await rm(join(directory, 'report.json'));
      await rm(join(directory, 'models/final.safetensors')); // it would be seen to be another
      const { journal } = await openJournal(join(directory, 'journal.log'));
      for (const record of records.slice(0, last + 1)) await journal.append(record);
      await journal.close();
      await withLedger(`${lines[0]}\n${lines[1]}\n`)(directory);
    });
    assert.ok(check.ok, said(check));
    assert.deepEqual(check.notes, ['round 2 is in the journal only: its line was about to be written']);
  });
});

async function edit(directory: string, file: string, from: string, to: string): Promise<void> {
  const text = await readFile(join(directory, file), 'latin1');
  assert.ok(text.includes(from), `${file} has no ${from}`);
  await writeFile(join(directory, file), text.replace(from, to), 'latin1');
}

describe('a coordinator that signs what is not so', () => {
  type Lie = readonly [(run: Stored) => LedgerEntry[], RegExp];
  const second = (change: Partial<RoundEntry>) => (run: Stored) => [
    run.opened,
    run.rounds[0],
    { ...run.rounds[1], ...change },
  ];
  const proofWith = (change: Parameters<typeof withProof>[1]) => (run: Stored) => {
    return [run.opened, withProof(run.rounds[0], change), run.rounds[1]];
  };
  const proof = () => secure.rounds[0].secure[0];

  const plainLies: Readonly<Record<string, Lie>> = {
    'a round that is skipped': [second({ round: 3 }), /^3: round: expected 2, got 3$/],
    'a round that comes again': [second({ round: 1 }), /^3: round: expected 2, got 1$/],
    'a round of another run': [second({ run: 'other' }), /^3: run: expected toy-smoke-seed1, got other$/],
    'a round that began elsewhere': [second({ modelBefore: 'a'.repeat(64) }), /^3: modelBefore: expected/],
    'a cohort that does not add up': [second({ cohort: 5 }), /^3: cohort: expected 4, got 5$/],
    'a client that is counted twice': [
      (run) => second({ cohort: 5, dropped: [{ client: 'c1', reason: 'deadline' }] })(run),
      /^3: cohort: expected each client once, got a name twice$/,
    ],
    'a second beginning': [
      (run) => [run.opened, run.rounds[0], run.opened],
      /^3: kind: expected opened in the first line only/,
    ],
    'no beginning': [
      (run) => [run.rounds[0], run.rounds[1]],
      /^1: kind: expected opened, in the first line, got round$/,
    ],
    'a proof in a plain run': [(run) => second({ secure: secure.rounds[1].secure })(run), /^3: secure: expected none/],
  };

  const secureLies: Readonly<Record<string, Lie>> = {
    'no proof in a secure run': [second({ secure: [] }), /^3: secure: expected a proof/],
    'a survivor that was none': [
      (run) => {
        const survivors = run.rounds[1].survivors.slice(1);
        return second({ survivors, dropped: [{ client: 'c1', reason: 'deadline' }] })(run);
      },
      /^3: survivors: expected c1,c2,c3,c4, got c2,c3,c4$/,
    ],
    'a proof of another round': [(run) => second({ secure: run.rounds[0].secure })(run), /^3: aggregationId: expected/],
    'another nonce': [proofWith({ nonce: '0'.repeat(32) }), /^2: aggregationId: expected/],
    'other parameters': [proofWith({ paramsHash: 'a'.repeat(64) }), /^2: paramsHash: expected/],
    'a cohort under which the parameters are others': [proofWith({ cohort: 5 }), /^2: paramsHash: expected/],
    'another survivor root': [proofWith({ survivorRoot: 'a'.repeat(64) }), /^2: secure proof: survivor-signature$/],
    'another roster root': [proofWith({ rosterRoot: 'a'.repeat(64) }), /^2: secure proof: survivor-signature$/],
    'fewer sharers than there were': [
      proofWith({ included: '07' }),
      /^2: survivors: expected clients that shared their secrets/,
    ],
    'sharers that are not in the roster': [proofWith({ included: '1f' }), /^2: survivorRoot: expected/],
    'a bitmap of another size': [proofWith({ included: '0f00' }), /^2: included: expected 4 bits/],
    'a key that is not the signer’s': [
      (run) => {
        const roster = proof().roster.map((member) =>
          member.client === 'c1' ? { ...member, key: hex(stranger.publicKey) } : member,
        );
        return proofWith({ roster })(run);
      },
      /^2: secure proof: survivor-signature$/,
    ],
    'a roster in another order': [
      (run) => proofWith({ roster: proof().roster.toReversed() })(run),
      /^2: roster: expected the order/,
    ],
    'a client that is in the roster twice': [
      (run) => proofWith({ roster: [...proof().roster, proof().roster[0]] })(run),
      /^2: roster: expected each client once/,
    ],
    'too few signatures': [
      // Of 4, none of them corrupt, at least floor(3 / 2) + 1 = 2 must sign (docs/secure-aggregation.md)
      (run) => proofWith({ signatures: proof().signatures.slice(0, 1) })(run),
      /^2: secure proof: too-few-signatures$/,
    ],
    'a signer that is not enrolled': [
      (run) =>
        proofWith({ signatures: proof().signatures.map((one, i) => (i === 0 ? { ...one, client: 'c9' } : one)) })(run),
      /^2: secure proof: unenrolled-signer$/,
    ],
    'a signer that is no survivor': [
      (run) => proofWith({ survivors: CLIENTS.slice(1) })(run),
      /^2: signatures: expected survivors only, got c1$/,
    ],
    'a receipt that the coordinator has not signed': [
      (run) => {
        const [{ ...one }] = run.rounds[0].secure;
        return [run.opened, { ...run.rounds[0], secure: [{ ...one, sumHash: 'a'.repeat(64) }] }, run.rounds[1]];
      },
      /^2: secure proof: coordinator-signature$/,
    ],
    'a client with a new key': [
      (run) => {
        const keys = new Map(CLIENTS.map((name) => [name, name === 'c1' ? stranger : simulated(`identity/${name}`)]));
        return second({ secure: [forged(run.rounds[1].secure[0], keys)] })(run);
      },
      /^3: enrolled key of c1: expected \w{64}, got \w{64}$/,
    ],
  };

  for (const [which, lies] of [
    ['plain', plainLies],
    ['secure', secureLies],
  ] as const) {
    for (const [what, [lie, says]] of Object.entries(lies)) {
      it(`is caught with ${what} (${which})`, () => {
        const run = which === 'plain' ? plain : secure;
        const honest = signedLedger([run.opened, ...run.rounds]);
        assert.equal(honest, run.ledger.toString(), 'signing the truth again changes nothing');
        const check = verifyLedger(Buffer.from(signedLedger(lie(run))), { spec: run.spec });
        assert.match(check.ok ? 'holds' : `${check.line}: ${check.reason}`, says);
      });
    }
  }

  it('is caught in a line that does not follow the one before, though all else of it is signed and right', () => {
    const { opened, rounds, spec } = plain;
    const line = (entry: LedgerEntry) => signLine('ledger', entry, simulated('coordinator'));
    const begin = line(opened);
    const check = (entry: LedgerEntry) => {
      const told = verifyLedger(Buffer.from(`${begin}\n${line(entry)}\n`), { spec });
      return told.ok ? 'holds' : `${told.line}: ${told.reason}`;
    };
    assert.equal(check({ ...rounds[0], previous: lineSha256(begin) }), 'holds');
    for (const previous of ['a'.repeat(64), opened.previous, lineSha256(line(rounds[0]))])
      assert.equal(check({ ...rounds[0], previous }), `2: previous: expected ${lineSha256(begin)}, got ${previous}`);
  });

  it('is caught by the enrolment list of a site, and by the fingerprint of a token', () => {
    const { ledger, spec } = secure;
    const keys = new Map(CLIENTS.map((name) => [name, hex(simulated(`identity/${name}`).publicKey)]));
    const withKeys = (enrolment: ReadonlyMap<string, string>) => {
      const check = verifyLedger(ledger, { spec, enrolment });
      return check.ok ? 'holds' : `${check.line}: ${check.reason}`;
    };
    assert.equal(withKeys(keys), 'holds');
    assert.match(withKeys(new Map([...keys].slice(1))), /^2: enrolled key of c1: expected none/);
    assert.match(withKeys(new Map([...keys, ['c2', 'a'.repeat(64)]])), /^2: enrolled key of c2: expected a+/);
    const pinned = verifyLedger(ledger, { spec, coordinatorFingerprint: 'a'.repeat(64) });
    assert.match(
      pinned.ok ? 'holds' : `${pinned.line}: ${pinned.reason}`,
      /^1: coordinatorKey: expected fingerprint a+/,
    );
  });
});

describe('starling verify --against', () => {
  const lineOf = (entry: LedgerEntry, identity = simulated('coordinator')) =>
    `${signLine('ledger', entry, identity)}\n`;
  const against = (text: string) => checkRun(secure.directory, { against: Buffer.from(text) });
  const coordinator = simulated('coordinator');

  it('is content with what agrees: the ledger itself, a part of it, a client’s receipts', async () => {
    const lines = secure.ledger.toString().split('\n');
    const folder = await mkdtemp(join(tmpdir(), 'starling-heads-'));
    const keep = await ledgerHeads(folder);
    await Promise.all(
      [1, 2].map((round) =>
        keep(signHead({ run: secure.opened.run, round, lineSha256: lineSha256(lines[round]) }, coordinator)),
      ),
    );
    const heads = await readFile(join(folder, LEDGER_HEADS_FILE), 'utf8');
    assert.equal(heads.split('\n').length, 3);
    for (const text of [secure.ledger.toString(), `${lines[2]}\n`, heads])
      assert.equal(said(await against(text)), 'holds');
    await rm(folder, { recursive: true });
  });

  it('goes on in a client’s file after a line that a crash has cut short', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'starling-heads-'));
    const [one, two] = [1, 2].map((round) => signHead({ run: 'r', round, lineSha256: 'a'.repeat(64) }, coordinator));
    await (await ledgerHeads(folder))(one);
    const whole = await readFile(join(folder, LEDGER_HEADS_FILE), 'utf8');
    await writeFile(join(folder, LEDGER_HEADS_FILE), `${whole}${whole.slice(0, 40)}`);
    await (await ledgerHeads(folder))(two);
    const rounds = (await readFile(join(folder, LEDGER_HEADS_FILE), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).head.round);
    assert.deepEqual(rounds, [1, 2]);
    await rm(folder, { recursive: true });
  });

  it('shows two lines about one round, both signed', async () => {
    const [first] = secure.rounds;
    const other = lineOf({ ...first, dropped: [], modelAfter: 'b'.repeat(64) });
    const check = await against(other);
    assert.ok(!check.ok);
    assert.equal(
      said(check),
      'ledger.jsonl 2: the coordinator has told two stories: round 1: two different lines, both signed',
    );
    const own = secure.ledger.toString().split('\n')[1];
    assert.deepEqual(check.evidence, [
      { round: 1, ours: own, theirs: other.trimEnd(), what: 'two different lines, both signed' },
    ]);
  });

  it('shows a client’s receipt that the ledger does not bear out', async () => {
    const head = (round: number) =>
      `${JSON.stringify(signHead({ lineSha256: 'b'.repeat(64), round, run: secure.opened.run }, coordinator))}\n`;
    assert.match(said(await against(head(2))), /^ledger\.jsonl 3: .* round 2: two different lines, both signed$/);
    assert.match(said(await against(head(3))), /^ledger\.jsonl 4: .* round 3: signed, and not in this ledger$/);
  });

  it('takes nobody else’s word for evidence', async () => {
    const forgery = lineOf({ ...secure.rounds[0], modelAfter: 'b'.repeat(64) }, stranger);
    const check = await against(secure.ledger.toString() + forgery);
    assert.ok(check.ok, said(check));
    assert.deepEqual(check.notes, ['1 of the lines compared are not signed by this coordinator']);
    await assert.rejects(
      against(forgery),
      /against: expected statements about run toy-smoke-seed1, got 0 of this coordinator .*, 1 by others/,
    );
    const elsewhere = lineOf({ ...secure.rounds[0], run: 'other' });
    await assert.rejects(against(elsewhere), /got 1 of this coordinator about other runs, 0 by others/);
    await assert.rejects(against('{}\n'), /against: line 1: /);
    await assert.rejects(against('{"head":1}\n'), /against: line 1: expected a head/);
  });
});

describe('starling verify, the command', () => {
  it('ends with 0 and a summary, with 1 and the line, or with 2', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'starling-verify-'));
    const good = await inProcess(['verify', secure.directory]);
    assert.equal(good.code, 0, good.stderr);
    assert.match(
      good.stdout,
      /^toy-smoke-seed1: the ledger holds: 2 rounds, 8 signatures of survivors\ncoordinator {2}\w{64}\n/,
    );
    const bad = join(cwd, 'bad');
    await cp(secure.directory, bad, { recursive: true });
    await edit(bad, 'ledger.jsonl', '"round":1,', '"round":2,');
    const { code, stdout, stderr } = await inProcess(['verify', bad, '--json']);
    assert.equal(code, 1);
    assert.equal(stderr, 'starling: ledger.jsonl, line 2: signature: expected one by the coordinator, got another\n');
    const { ok, file, line } = JSON.parse(stdout);
    assert.deepEqual({ ok, file, line }, { ok: false, file: 'ledger.jsonl', line: 2 });

    const other = join(cwd, 'other.jsonl');
    await writeFile(other, `${signLine('ledger', { ...secure.rounds[0], atMs: 1 }, simulated('coordinator'))}\n`);
    const twice = await inProcess(['verify', secure.directory, '--against', other]);
    assert.equal(twice.code, 1);
    assert.match(twice.stdout, /^in the ledger: \{"entry".*\nelsewhere: {5}\{"entry".*\n$/);

    const enrolment = join(cwd, 'enrolment.json');
    await writeFile(enrolment, JSON.stringify({ c1: 'a'.repeat(64) }));
    const keys = await inProcess(['verify', secure.directory, '--enrolment', enrolment]);
    assert.match(keys.stderr, /^starling: ledger\.jsonl, line 2: enrolled key of c/);

    const nothing = await inProcess(['verify', cwd]);
    assert.match(nothing.stderr, /is no run directory: it has no ledger\.jsonl/);
    const ofFile = await inProcess(['verify', other]);
    assert.match(ofFile.stderr, /other\.jsonl is no run directory: it is a file\n/);
    const wrong: [string[], RegExp][] = [
      [['--coordinator', 'x'], /coordinator: expected 64 lower-case hex digits, got "x"/],
      [['--against', 'nowhere'], /nowhere: expected a readable file, got ENOENT/],
      [['--enrolment', other], /other\.jsonl: entry: expected 64 lower-case hex digits/],
    ];
    for (const [args, says] of wrong) {
      const ended = await inProcess(['verify', secure.directory, ...args]);
      assert.match(ended.stderr, says);
      assert.equal(ended.code, 2);
    }
    await rm(cwd, { recursive: true });
  });
});
