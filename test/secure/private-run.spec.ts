/**
 * Whole runs with differential privacy: who adds the noise, what the model comes to, what the ledger states, and that a
 * coordinator that signs a smaller ε than its rounds cost is found out.
 */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LEDGER_FILE } from '../../server/run/ledger.js';
import type { RoundEntry } from '../../shared/ledger/entry.js';
import type { RoundPrivacy } from '../../shared/ledger/privacy.js';
import { verifyLedger } from '../../shared/ledger/verify.js';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { type PrivacySpec, type RunSpec, storedSpec } from '../../shared/run/spec.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { entriesOf, ledgerSpec, signedLedger, toyRun } from '../support/ledgers.js';

const CLIENTS = 4;
/** No toy update is longer than 5, so none is clipped; the noise is small enough to see the mean through it. */
const PRIVACY = { clippingBound: 5, noiseMultiplier: 0.01, delta: 1e-5, cohortMax: CLIENTS };

function specOf(mode: PrivacySpec['mode'], secure: boolean, more: Partial<PrivacySpec> = {}): RunSpec {
  const { work, engine } = ledgerSpec(secure, { minClients: CLIENTS });
  const privacy = { mode, ...PRIVACY, ...more };
  return { engine, work: { ...work, privacy, ...(work.secure && { secure: { ...work.secure, weightCap: 1 } }) } };
}

async function run(spec: RunSpec) {
  const directory = await toyRun(spec, CLIENTS);
  try {
    const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as Report;
    const ledger = await readFile(join(directory, LEDGER_FILE));
    const journal = await readFile(join(directory, 'journal.log'));
    const model = await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`));
    return { report, ledger, journal, values: decode(model).params.values };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** m <- m + mean over clients of (i - m) / 2, every client weighing one, for two rounds from 0. */
const EXPECTED = [1, 2].reduce((model) => model + (2.5 - model) / 2, 0);

describe('a run with differential privacy', () => {
  for (const [mode, secure] of [
    ['central', false],
    ['central', true],
    ['local', false],
    ['local', true],
    ['distributed', true],
  ] as const) {
    it(`${mode}, ${secure ? 'masked' : 'in the clear'}: ends near the mean of its clients, with noise on every number`, async () => {
      const { report, values } = await run(specOf(mode, secure));
      assert.equal(report.status, 'completed');
      // z C per sum, from one place or from four, over four clients, in two rounds of which the first is halved
      const deviation = ((0.01 * 5) / CLIENTS) * (mode === 'central' ? 1 : 2) * Math.hypot(1, 0.5);
      for (const value of values) {
        assert.ok(Math.abs(value - EXPECTED) < 7 * deviation, `${value} against ${EXPECTED}`);
        assert.notEqual(value, Math.fround(EXPECTED));
      }
      assert.equal(new Set(values).size, values.length, 'each number has noise of its own');
    });
  }

  it('is the same again from one seed', async () => {
    const spec = specOf('distributed', true);
    assert.equal((await run(spec)).report.modelSha256, (await run(spec)).report.modelSha256);
  });

  it('states what it costs, round by round, in report and ledger alike', async () => {
    const spec = specOf('central', false, { noiseMultiplier: 2, epsilonBudget: 5 });
    const { report, ledger } = await run(spec);
    const expected = [1, 2].map((rounds) => epsilonAfter(costOf(spec.work)!, rounds));
    assert.deepEqual(
      report.rounds.map(({ epsilon }) => epsilon),
      expected,
    );
    assert.deepEqual(report.privacy, {
      ...{ mode: 'central', epsilon: expected[1], delta: 1e-5, accountant: 'rdp', budget: 5 },
    });
    const stated = entriesOf(ledger.toString()).flatMap((entry) => (entry.kind === 'round' ? [entry.privacy] : []));
    assert.deepEqual(
      stated.map((privacy) => [privacy?.mostRounds, privacy?.epsilon]),
      [
        [1, expected[0]],
        [2, expected[1]],
      ],
    );
    assert.deepEqual(verifyLedger(ledger, { spec: storedSpec(spec) }).ok, true);
  });

  for (const secure of [false, true]) {
    const way = secure ? 'masked' : 'in the clear';
    it(`central, ${way}: writes down no hash by which a guess of what had no noise yet could be confirmed`, async () => {
      const written = async (mode: 'central' | 'local') => {
        const { ledger, journal } = await run(specOf(mode, secure));
        const rounds = entriesOf(ledger.toString()).flatMap((entry) => (entry.kind === 'round' ? [entry] : []));
        assert.equal(rounds.length, 2);
        assert.ok(verifyLedger(ledger, { spec: storedSpec(specOf(mode, secure)) }).ok);
        return {
          updates: rounds.flatMap(({ survivors }) => survivors.flatMap(({ updateSha256 = [] }) => updateSha256)),
          sums: rounds.flatMap((round) => round.secure.map(({ sumHash }) => sumHash)),
          journaled: journal.toString('latin1').match(/"(updateSha256|sumHash)":"[0-9a-f]*[1-9a-f][0-9a-f]*"/g) ?? [],
        };
      };
      // what has its noise already when it comes is hashed, so that a client can find its own
      const noised = await written('local');
      assert.equal(secure ? noised.sums.length : noised.updates.length, secure ? 2 : 2 * CLIENTS);
      assert.ok(noised.journaled.length > 0);
      const { updates, sums, journaled } = await written('central');
      assert.deepEqual([updates, journaled], [[], []]);
      assert.deepEqual(sums, secure ? Array(2).fill('0'.repeat(64)) : []);
    });
  }

  it('tells no training metric of anybody', async () => {
    const { report } = await run(specOf('central', false));
    assert.deepEqual(
      report.rounds.map(({ metrics }) => Object.keys(metrics).filter((name) => name.startsWith('train'))),
      [[], []],
    );
  });

  it('adapts the clipping bound from round to round, and says which it was', async () => {
    const spec = specOf('central', false, { adaptive: true, clippingBound: 0.1 });
    const { ledger } = await run(spec);
    const bounds = entriesOf(ledger.toString()).flatMap((entry) =>
      entry.kind === 'round' ? [entry.privacy!.clippingBound] : [],
    );
    // nobody fits under 0.1: C exp(-η (0 - 1/2)) with η = 0.2, up to the noise on the count
    assert.equal(bounds[0], 0.1);
    assert.ok(Math.abs(bounds[1] / (0.1 * Math.exp(0.1)) - 1) < 0.1, String(bounds));
    assert.equal(verifyLedger(ledger, { spec: storedSpec(spec) }).ok, true);
  });

  describe('whose coordinator lies and signs it', () => {
    const lies: Record<string, { change: Partial<RoundPrivacy> | null; caught: RegExp }> = {
      'a smaller epsilon': { change: { epsilon: 0.1 }, caught: /privacy\.epsilon: expected/ },
      'fewer rounds': { change: { mostRounds: 1 }, caught: /privacy\.mostRounds: expected 2, got 1/ },
      'more noise': {
        change: { spend: { release: { mechanism: 'zcdp', rho: 1e-9 }, count: 1 } },
        caught: /privacy: expected/,
      },
      'a better sampler': { change: { samplerError: 1e-30 }, caught: /privacy: expected/ },
      'a larger delta': { change: { delta: 0.1 }, caught: /privacy: expected/ },
      'another unit': { change: { unit: 'example' }, caught: /privacy: expected/ },
      'a tighter clipping bound': { change: { clippingBound: 0.5 }, caught: /privacy\.clippingBound: expected 5/ },
      'no account': { change: null, caught: /privacy: expected an account, got none/ },
    };
    const spec = specOf('central', false, { noiseMultiplier: 2 });
    let ledger: Buffer;
    before(async () => {
      ledger = (await run(spec)).ledger;
    });

    it('is believed without the error of its samplers, which older versions did not charge', () => {
      const entries = entriesOf(ledger.toString()).map((entry) => {
        if (entry.kind !== 'round') return entry;
        const { samplerError, ...privacy } = entry.privacy!;
        assert.ok(samplerError! > 0);
        const epsilon = epsilonAfter({ ...costOf(spec.work)!, samplerError: 0 }, privacy.mostRounds);
        return { ...entry, privacy: { ...privacy, epsilon } };
      });
      assert.equal(verifyLedger(Buffer.from(signedLedger(entries)), { spec: storedSpec(spec) }).ok, true);
    });

    for (const [name, { change, caught }] of Object.entries(lies)) {
      it(`is found out: ${name}`, () => {
        const entries = entriesOf(ledger.toString());
        const last = entries.at(-1) as RoundEntry;
        const privacy = change === null ? null : { ...last.privacy!, ...change };
        const changed = signedLedger([...entries.slice(0, -1), { ...last, privacy }]);
        const checked = verifyLedger(Buffer.from(changed), { spec: storedSpec(spec) });
        assert.ok(!checked.ok);
        assert.match(checked.reason, caught);
      });
    }

    it('is found out on any changed byte that nobody signed', () => {
      for (let at = 0; at < ledger.length; at += 3) {
        const changed = Buffer.from(ledger);
        changed[at] ^= 1;
        assert.equal(verifyLedger(changed, { spec: storedSpec(spec) }).ok, false, `byte ${at}`);
      }
    });
  });
});
