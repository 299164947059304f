/**
 * Attacks on noise that repeats: a coordinator that asks again, under an old nonce, over other tensors or backwards, and a
 * thief who comes for the keys when the run is over. Each takes the difference of what it got, or draws the noise anew, and
 * sees how near it comes to an update.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exampleCostOf } from '../../client/round/privatize.js';
import { FAILED } from '../../client/round/work.js';
import { openPrivacySite } from '../../client/run.js';
import { ACCOUNT_FILE, openAccount } from '../../client/store/privacy-account.js';
import { fileStore } from '../../client/store/updates.js';
import type { Task, TaskRunner } from '../../client/training/task.js';
import { linesOf } from '../../shared/chain/chain.js';
import { signHead } from '../../shared/ledger/against.js';
import { charge, encodeCharges } from '../../shared/privacy/index.js';
import { rngFromSeed } from '../../shared/rng.js';
import { decodePrivately, encodePrivately } from '../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { identityFromSeed, sha256Hex } from '../../shared/signing/identity.js';
import { bytesOf, sha256Of, valuesOf } from '../../shared/tensors/bytes.js';
import { seededNoise } from '../../simulations/seeded-noise.js';
import { turns } from '../support/hand-fed.js';
import { coordinatorKey, enterOne, type OneClient, planOf, receiptFor } from '../support/one-client.js';
import { TOY_SIZE, toySpec, toyTrainer } from '../support/toy.js';
import { HostileCoordinator, SECURE, seedOf } from './hostile-coordinator.js';
import { sumsKnown } from './knowledge.js';
import { NAMES } from './lies.js';
import { enter, type Wired } from './sites.js';

/** Noise of deviation 4 C in all, for cohorts of five. */
const PRIVACY = { clippingBound: 1, noiseMultiplier: 4, delta: 1e-5, cohortMax: NAMES.length };
const LOCAL: PrivacySpec = { mode: 'local', ...PRIVACY };
const EXAMPLE: PrivacySpec = { mode: 'example', clippingBound: 1, noiseMultiplier: 4, delta: 1e-5, samplingRate: 0.5 };
const privatePlan = (privacy: PrivacySpec, more: Partial<RoundPlan> = {}) =>
  planOf({ work: { ...toySpec({ rounds: 9 }).work, privacy }, ...more });

const minus = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a, (value, i) => value - b[i]);
const norm = (values: readonly number[]) => Math.hypot(...values);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'starling-noise-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** What a deployed client has for privacy, in a home of its own. */
async function siteOf(name: string) {
  const home = join(directory, name);
  await fileStore(home); // which makes it
  return openPrivacySite(home, await openAccount(home, { identity: identityFromSeed(seedOf(name)) }));
}

const chargesOf = async (name: string) => linesOf(await readFile(join(directory, name, ACCOUNT_FILE))).length;

/** The process of a client, from what is in its home. */
async function startLab(trainer: TaskRunner): Promise<OneClient> {
  const privacy = await siteOf('lab');
  return enterOne({ trainer, privacy, store: await fileStore(join(directory, 'lab')) });
}

/** What the client answers a plan with: the bytes of its update, or why it declines. */
async function answer(one: OneClient, plan: RoundPlan): Promise<Uint8Array | string> {
  const [updates, declines] = [one.coordinator.all('small-update').length, one.coordinator.all('decline').length];
  one.coordinator.plan(plan);
  for (;;) {
    const [update, decline] = [one.coordinator.all('small-update')[updates], one.coordinator.all('decline')[declines]];
    if (update !== undefined) return update.data;
    if (decline !== undefined) return decline.detail;
    await turns();
  }
}

/** The same, and the round is said to have failed, so that the client forgets its update. */
async function answerInVain(one: OneClient, plan: RoundPlan): Promise<Uint8Array | string> {
  const answered = await answer(one, plan);
  const { header } = one.coordinator.all('small-update').at(-1)!.signed;
  one.coordinator.receipt(receiptFor(header, { outcome: 'dropped', reason: 'round-aborted', modelSha256: '' }));
  while ((await one.store.list()).length > 0) await turns();
  return answered;
}

/** Trains on tensors of its own that every training changes; `updates` is what it has given. */
function drifting() {
  const updates: Float32Array[] = [];
  const run = async (task: Task) => {
    if (task.kind === 'evaluate') return toyTrainer().run(task);
    const times = task.privateTensors?.head.data[0] ?? 0;
    const rng = rngFromSeed(times);
    const values = new Float32Array(TOY_SIZE).map(() => 0.2 * rng.normal()); // shorter than C: nothing is clipped
    updates.push(values);
    const privateTensors = { head: { shape: [1], data: Float32Array.of(times + 1) } };
    return { kind: 'train', contribution: { values, weights: [1, 1], metrics: {} }, privateTensors };
  };
  return { updates, trainer: { run: run as TaskRunner['run'] } };
}

describe('noise in mode distributed', () => {
  /** Of two attempts under one nonce, of which the second is without c5. */
  const RUNS = 10;

  it('is fresh for a second attempt under the nonce of the first, and both are charged', async () => {
    const hostile = await HostileCoordinator.open();
    const wired: Wired[] = [];
    try {
      for (const name of NAMES) wired.push(await enter(hostile, name, { privacy: await siteOf(name) }));
      const secure = { ...SECURE, survivorsMin: 4, weightCap: 1, trainMetrics: [] };
      const work = { ...toySpec().work, secure, privacy: { ...LOCAL, mode: 'distributed' as const } };
      const others = NAMES.filter((name) => name !== 'c5');
      const sumOf = async (plan: RoundPlan, clients: readonly string[]) => {
        const aggregation = hostile.begin(plan);
        for (const name of clients) hostile.sendPlan(name, plan);
        await hostile.when(() => hostile.isOver(aggregation));
        const [sum] = sumsKnown(hostile);
        hostile.aggregations.clear();
        assert.deepEqual(sum.clients, clients);
        return decodePrivately(plan, Int32Array.from(sum.values), rngFromSeed(1)).sums;
      };
      const left: number[] = [];
      for (let i = 0; i < RUNS; i++) {
        const first = hostile.planFor(NAMES, { run: `run-${i}`, work });
        const { enrolled } = hostile.planFor(others).secure!;
        const again = { ...first, attempt: 2, cohort: 4, secure: { nonce: first.secure!.nonce, enrolled } };
        const difference = minus(await sumOf(first, NAMES), await sumOf(again, others));
        // c5's update is 2.5 in every element: clipped, it has norm 1
        left.push(...difference.map((value) => value - 1 / Math.sqrt(TOY_SIZE)));
      }
      // A share has deviation 4 C / sqrt(4) = 2 C. Left on c5: its own, and of four others two that differ, sqrt(9) x 2 C.
      const deviation = norm(left) / Math.sqrt(left.length);
      // 60 normal draws have a standard error of 1 / sqrt(120) = 9.1 %; five of them are allowed
      assert.ok(Math.abs(deviation / 6 - 1) < 0.46, `expected 6 C of noise on c5, got ${deviation.toFixed(2)} C`);
      assert.equal(await chargesOf('c1'), 2 * RUNS);
      assert.equal(await chargesOf('c5'), RUNS);
    } finally {
      for (const client of wired) client.kill();
      await hostile.close();
    }
  });
});

describe('noise in a run that goes backwards', () => {
  it('is not on two updates: rounds 5, 3, 5 give one release, and words that say what to do', async () => {
    const { trainer, updates } = drifting();
    const one = await startLab(trainer);
    const asked = (round: number, attempt: number) => privatePlan(LOCAL, { round, attempt });
    const first = await answerInVain(one, asked(5, 1));
    const backwards = await answerInVain(one, asked(3, 1));
    const again = await answerInVain(one, asked(5, 2));
    assert.ok(first instanceof Uint8Array && again instanceof Uint8Array);
    const ofTwo = updates[2] && minus(updates[2], updates[0]);
    const got = minus(integersIn(again, asked(5, 1)), integersIn(first, asked(5, 1)));
    const error = ofTwo === undefined ? 1 : norm(minus(got, ofTwo)) / norm(ofTwo);
    assert.ok(error > 0.9, `the difference of two updates is rebuilt to ${(100 * error).toFixed(2)} %`);
    assert.deepEqual(again, first);
    assert.equal(updates.length, 1, 'trained once');
    assert.equal(await chargesOf('lab'), 1);
    const words =
      /^run r: round 3 attempt 1 is asked for after round 5 attempt 1 had its release: .* only forwards; .*backup.* new one/;
    assert.match(String(backwards), words);
    const [{ fields }] = one.notices.filter(({ message }) => message === 'plan declined');
    assert.match(String(fields.detail), words);
    one.participant.stop();
  });

  /** As numbers of the model. */
  function integersIn(update: Uint8Array, plan: RoundPlan): Float64Array {
    return decodePrivately(plan, Int32Array.from(valuesOf(update)), rngFromSeed(1)).sums;
  }

  it('is refused by the next process too, and for a round whose model is made', async () => {
    const { trainer } = drifting();
    const one = await startLab(trainer);
    await answerInVain(one, privatePlan(LOCAL, { round: 5 }));
    one.participant.stop();
    const next = await startLab(trainer);
    assert.match(
      String(await answer(next, privatePlan(LOCAL, { round: 4 }))),
      /after round 5 attempt 1 had its release/,
    );
    await finish(next, privatePlan(LOCAL, { round: 6 }));
    const late = await answer(next, privatePlan(LOCAL, { round: 6, attempt: 2 }));
    assert.match(String(late), /round 6 attempt 2 is asked for after round 6 attempt 1 came into a model/);
    assert.ok((await answer(next, privatePlan(LOCAL, { round: 7 }))) instanceof Uint8Array);
    next.participant.stop();
  });

  it('is refused for another model in the same attempt, and drawn and charged anew for another attempt', async () => {
    const one = await startLab(toyTrainer());
    const other = { work: { ...privatePlan({ ...LOCAL, noiseMultiplier: 5 }).work } };
    await answerInVain(one, privatePlan(LOCAL));
    assert.match(String(await answer(one, privatePlan(LOCAL, other))), /a second time with another model, work or/);
    assert.ok((await answer(one, privatePlan(LOCAL, { ...other, attempt: 2 }))) instanceof Uint8Array);
    assert.equal(await chargesOf('lab'), 2);
    assert.match(
      String(await answer(one, privatePlan(LOCAL, { attempt: 1 }))),
      /after round 1 attempt 2 had its release/,
    );
    one.participant.stop();
  });

  it('is not drawn again when the folder of releases is lost: what was charged may have left', async () => {
    const one = await startLab(toyTrainer());
    await answerInVain(one, privatePlan(LOCAL));
    one.participant.stop();
    await rm(join(directory, 'lab', 'releases'), { recursive: true });
    const next = await startLab(toyTrainer());
    assert.equal(await answer(next, privatePlan(LOCAL, { attempt: 2 })), FAILED);
    assert.match(JSON.stringify(next.notices), /was charged and is not kept here any more/);
    assert.ok((await answer(next, privatePlan(LOCAL, { round: 2 }))) instanceof Uint8Array);
    next.participant.stop();
  });
});

for (const privacy of [LOCAL, EXAMPLE]) {
  describe(`a back end whose repeats differ by a bit, in mode ${privacy.mode}`, () => {
    it('sends one release of a round, however often and by whichever process', async () => {
      let times = 0;
      const run = async () => {
        const values = new Float32Array(TOY_SIZE).fill(0.1 + ++times * 2 ** -24);
        return { kind: 'train', contribution: { values, weights: [1, 1], metrics: {} } };
      };
      const trainer = { run: run as unknown as TaskRunner['run'] };
      const one = await startLab(trainer);
      const first = await answerInVain(one, privatePlan(privacy));
      const second = await answerInVain(one, privatePlan(privacy, { attempt: 2 }));
      one.participant.stop();
      const next = await startLab(trainer);
      const third = await answerInVain(next, privatePlan(privacy, { attempt: 3 }));
      next.participant.stop();
      assert.ok(first instanceof Uint8Array);
      assert.deepEqual([second, third], [first, first]);
      assert.deepEqual([times, await chargesOf('lab')], [1, 1]);
    });
  });
}

describe('a home that version 0.1 left in a private round', () => {
  it('sends what it had drawn again; what is drawn now is drawn anew, and its old charge does not pay for it', async () => {
    const home = join(directory, 'lab');
    const plan = privatePlan(LOCAL);
    const { run, round, attempt, modelSha256, work } = plan;
    const store = await fileStore(home);
    const old = new Float32Array(TOY_SIZE).fill(3);
    const header = { run, round, attempt, weights: [1, 1], metrics: {}, sha256: sha256Of({ values: old }) };
    await store.keep({ header: { ...header, sizeBytes: old.byteLength }, bytes: bytesOf(old) });
    const release = {
      ...{
        runId: sha256Hex(canonicalJson({ run, round, modelSha256, work })),
        round,
        clippingBound: 1,
        noiseStdDev: 4,
      },
      ...({ spends: [exampleCostOf(plan)!], sampling: 'all', survivors: 1 } as const),
    };
    const terms = { unit: 'example', delta: 1e-5, accountant: 'rdp' } as const;
    const charged = encodeCharges(charge([], release, terms, identityFromSeed(seedOf('lab'))));
    await writeFile(join(home, ACCOUNT_FILE), charged);

    const one = await startLab(toyTrainer());
    assert.deepEqual(await answerInVain(one, plan), new Uint8Array(bytesOf(old)));
    assert.equal(await chargesOf('lab'), 1);
    const again = await answerInVain(one, { ...plan, attempt: 2 });
    assert.notDeepEqual(again, new Uint8Array(bytesOf(old)));
    assert.equal(await chargesOf('lab'), 2);
    assert.deepEqual(await answerInVain(one, { ...plan, attempt: 3 }), again);
    assert.equal(await chargesOf('lab'), 2);
    one.participant.stop();
  });
});

describe('a thief of a home', () => {
  it('finds nothing that noise was drawn from, and no release once its round is in a model', async () => {
    const home = join(directory, 'lab');
    await fileStore(home);
    await writeFile(join(home, 'identity.key'), seedOf('lab'));
    const update = new Float32Array(TOY_SIZE).fill(0.1);
    const run = async () => ({ kind: 'train', contribution: { values: update, weights: [1, 1], metrics: {} } });
    const one = await startLab({ run: run as unknown as TaskRunner['run'] });
    const plan = privatePlan(LOCAL);
    const sent = await answer(one, plan);
    assert.ok(sent instanceof Uint8Array);
    /** Names that version 0.1 drew noise under, for every 32 bytes that lie anywhere. */
    const fits = (secret: Uint8Array) => {
      const drawn = encodePrivately(plan, update, seededNoise(secret, plan));
      return Buffer.from(sent).equals(bytesOf(Float32Array.from(drawn)));
    };
    assert.ok(contains(await stolen(home), sent), 'kept until then');
    await settle(one, plan);
    const loot = await stolen(home);
    assert.ok(
      loot.some(({ length }) => length === 32),
      'the key is among it',
    );
    assert.deepEqual(loot.flatMap(secretsIn).filter(fits), []);
    assert.ok(!contains(loot, sent), 'a release lies in the home');
    one.participant.stop();
  });

  async function stolen(home: string): Promise<Buffer[]> {
    const entries = await readdir(home, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return Promise.all(files.map((file) => readFile(join(file.parentPath, file.name))));
  }

  const contains = (files: readonly Buffer[], bytes: Uint8Array) =>
    files.some((file) => file.includes(Buffer.from(bytes)));

  /** Whole files of 32 bytes, and whatever is written in hex. */
  function secretsIn(file: Buffer): Uint8Array[] {
    const hex = file.toString('latin1').match(/[0-9a-f]{64}/g) ?? [];
    return [...(file.length === 32 ? [file] : []), ...hex.map((text) => Buffer.from(text, 'hex'))];
  }
});

/** The client's answer to the plan is in a model: its receipt comes, and the head of the ledger. */
async function finish(one: OneClient, plan: RoundPlan): Promise<void> {
  assert.ok((await answer(one, plan)) instanceof Uint8Array);
  await settle(one, plan);
}

async function settle(one: OneClient, { run, round }: RoundPlan): Promise<void> {
  const { header } = one.coordinator.all('small-update').at(-1)!.signed;
  one.coordinator.send({
    kind: 'ledger-head',
    ...signHead({ run, round, lineSha256: 'a'.repeat(64) }, coordinatorKey),
  });
  one.coordinator.receipt(receiptFor(header));
  while ((await one.store.list()).length > 0) await turns();
}
