/**
 * The stores of a client when the disk does not take a line and then does again: what was not written is not known, what was
 * promised before still holds, and the next write goes on from what is there. The disk fails by a folder in a file's place.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Opening } from '../../../client/round/differencing.js';
import { exampleSamplerErrorOf } from '../../../client/round/privatize.js';
import { BEGUN_RUNS_FILE, type BegunRun, openBegunRuns, readBegunRuns } from '../../../client/store/begun-runs.js';
import { fileOpenings, memberIdOf, memoryOpenings, OPENINGS_FILE } from '../../../client/store/openings.js';
import { ACCOUNT_FILE, openAccount } from '../../../client/store/privacy-account.js';
import { fileReleases } from '../../../client/store/releases.js';
import { fileSecaggStore } from '../../../client/store/secagg.js';
import { openSiteLog, readSiteLog, SITE_LOG_FILE, type SiteEvent } from '../../../client/store/site-log.js';
import { epsilonOf } from '../../../shared/privacy/index.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { FakeClock } from '../../support/fake-clock.js';
import { clientKey } from '../../support/one-client.js';
import { privatePlan } from '../../support/private-plan.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'starling-failing-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** While `act` runs there is a folder where the file was, or would be. */
async function without(name: string, act: () => Promise<void>): Promise<void> {
  const [path, aside] = [join(directory, name), join(directory, 'aside')];
  const wasThere = await rename(path, aside).then(
    () => true,
    () => false,
  );
  await mkdir(path, { recursive: true });
  await act();
  await rmdir(path);
  if (wasThere) await rename(aside, path);
}

describe('runs that were begun', () => {
  const run = (name: string): BegunRun => ({
    ...{ run: name, workSha256: '0'.repeat(64), month: '2026-11', workload: 'cnn', roles: {}, isPrivate: false },
  });
  const names = (runs: readonly BegunRun[]) => runs.map((one) => one.run);

  it('are known when the disk has them, and not before', async () => {
    const begun = await openBegunRuns(directory);
    await begun.add(run('a'));
    await without(BEGUN_RUNS_FILE, async () => {
      await assert.rejects(begun.add(run('b')), { message: /runs\.jsonl: EISDIR/ });
      assert.deepEqual(names(begun.all), ['a']);
    });
    const adding = begun.add(run('c'));
    assert.deepEqual(names(begun.all), ['a']);
    await adding;
    assert.deepEqual(
      [names(begun.all), names(await readBegunRuns(directory))],
      [
        ['a', 'c'],
        ['a', 'c'],
      ],
    );
  });

  it('are read only as a client writes them', async () => {
    await writeFile(join(directory, BEGUN_RUNS_FILE), `${JSON.stringify({ ...run('a'), month: 'November' })}\n`);
    await assert.rejects(openBegunRuns(directory), { code: 'invalid-argument', message: /runs\.jsonl.*month/ });
  });
});

describe('a site’s log', () => {
  const TASK = { run: 'r', kind: 'train', attempt: 1 } as const;
  const sent = (round: number): SiteEvent => {
    return { event: 'sent', ...TASK, round, what: 'update', sizeBytes: 24, sha256: 'a'.repeat(64) };
  };
  const open = (sizes = {}) => openSiteLog(directory, { identity: clientKey, clock: new FakeClock(), ...sizes });
  async function rounds(): Promise<unknown[]> {
    const found: unknown[] = [];
    for await (const entry of readSiteLog(directory, clientKey.publicKey))
      found.push((entry as { round?: number }).round);
    return found;
  }

  it('goes on from the last line that the disk has, whatever failed in between', async () => {
    const log = await open();
    await log.add(sent(1));
    await without(SITE_LOG_FILE, async () => {
      const [second, third] = [log.add(sent(2)), log.add(sent(3))];
      await assert.rejects(second, { message: /EISDIR/ });
      await assert.rejects(third, { message: /EISDIR/ });
    });
    await log.add(sent(4));
    assert.deepEqual(await rounds(), [1, 4], 'a chain');
  });

  it('fills its files to the last byte, puts any line into an empty one, and is read by number', async () => {
    await (await open({ fileBytes: 1 })).add(sent(1));
    assert.deepEqual(await readdir(directory), [SITE_LOG_FILE], 'no file is set aside for being empty');
    const { size } = await stat(join(directory, SITE_LOG_FILE)); // as long as every line below
    const log = await open({ fileBytes: 2 * size, keptFiles: 20 });
    await log.add(sent(2));
    assert.equal((await readdir(directory)).length, 1);
    await log.add(sent(3));
    assert.equal((await readdir(directory)).length, 2);
    const one = await open({ fileBytes: size, keptFiles: 20 });
    for (let round = 4; round <= 9; round++) await one.add(sent(round));
    for (let i = 0; i < 6; i++) await one.add(sent(1));
    assert.ok((await readdir(directory)).includes('site-log.12.jsonl'), (await readdir(directory)).join());
    assert.deepEqual(await rounds(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 1, 1, 1, 1, 1]);
    await (await open({ fileBytes: size, keptFiles: 3 })).add(sent(2));
    assert.equal((await readdir(directory)).length, 4, 'so many full ones, and the one that is written');
  });
});

describe('aggregations of a client', () => {
  const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;

  it('have their state before their id counts as used: a client that dies in between goes on', async () => {
    const store = await fileSecaggStore(directory);
    await store.keep('zero', 'state');
    await without('used-aggregations', async () => {
      await assert.rejects(store.keep('one', 'keys'), { message: /EISDIR/ });
    });
    const again = await fileSecaggStore(directory);
    assert.deepEqual(await again.find('one'), { used: true, state: 'keys' });
    await again.keep('two', 'keys');
    assert.deepEqual(await again.find('one'), { used: true }, 'though the list of the used did not have it');
    assert.deepEqual(await (await fileSecaggStore(directory)).find('one'), { used: true });
  });

  it('are written again after a write that failed', async () => {
    const store = await fileSecaggStore(directory);
    await without('masked-vectors.json', async () => {
      await assert.rejects(store.bind('one', task), { message: /EISDIR/ });
    });
    assert.equal(await store.bind('one', task), true);
    assert.equal((await fileSecaggStore(directory)).mayMask('two', task), false);
  });
});

describe('a release that the disk did not take', () => {
  it('leaves the run where it stood: an earlier round is not drawn any more, the same one may be', async () => {
    const store = await fileReleases(directory);
    const nameOf = (round: number, id = 'x') => ({ run: 'r', round, attempt: 1, id, isByAggregation: false });
    const released = { values: Float32Array.of(1), weights: [1], metrics: {} };
    await without('r.release', async () => {
      await assert.rejects(store.keep(nameOf(5), released), { message: /EISDIR/ });
    });
    assert.match(store.refusalOf(nameOf(3)) ?? '', /^run r: round 3 attempt 1 is asked for after round 5 attempt 1/);
    assert.equal(await store.find(nameOf(5)), undefined);
    assert.deepEqual(await store.keep(nameOf(5), released), released);
  });
});

describe('what a home has helped to open', () => {
  const idOf = (name: string) => memberIdOf(new TextEncoder().encode(name));
  const opening = (members: string, change: { own?: string; isNoised?: boolean; model?: string } = {}): Opening => ({
    ...{ kind: 'train', modelSha256: (change.model ?? 'a').repeat(64), isNoised: change.isNoised ?? false },
    ...{ own: idOf(change.own ?? members[0]), members: members.split('').map(idOf).sort() },
  });
  const path = () => join(directory, OPENINGS_FILE);

  for (const [where, make] of [
    ['in memory', async () => memoryOpenings()],
    ['on disk', () => fileOpenings(path())],
  ] as const) {
    it(`is remembered exact beside noised, and by each membership (${where})`, async () => {
      const openings = await make();
      await openings.admit(opening('abc', { isNoised: true }), 2);
      await openings.admit(opening('abc'), 2);
      // noised: beside the noised one it would be allowed, beside the exact one it is not
      const next = opening('abcd', { isNoised: true });
      assert.deepEqual(await openings.admit(next, 2), { kind: 'differs', labs: 1 });
      await openings.admit(opening('abc', { own: 'b' }), 2);
      // x is of a third membership, in a set with a and without b: comparable with a's sum, and not with b's
      assert.deepEqual(await openings.admit(opening('axyz', { own: 'x' }), 2), { kind: 'incomparable' });
    });
  }

  it('grows by no line for what was declined at once', async () => {
    const openings = await fileOpenings(path());
    await openings.admit(opening('abc'), 2);
    const before = await readFile(path());
    await openings.admit(opening('abcd'), 2);
    assert.deepEqual(await readFile(path()), before);
  });

  it('is decided one after the other, also within a process, and goes on after a failure', async () => {
    const openings = await fileOpenings(path());
    const found = await Promise.all(
      [opening('abc'), opening('abcd'), opening('abc')].map((one) => openings.admit(one, 2)),
    );
    assert.deepEqual(found, [undefined, { kind: 'differs', labs: 1 }, undefined]);
    const lines = (await readFile(path(), 'utf8')).split('\n').filter((line) => line !== '');
    assert.equal(lines.length, 1);
    const another = { model: 'b' };
    await without(OPENINGS_FILE, async () => {
      await assert.rejects(openings.admit(opening('abc', another), 2), { message: /EISDIR/ });
    });
    assert.equal(await openings.admit(opening('abc', another), 2), undefined);
    assert.deepEqual(await openings.admit(opening('abcd', another), 2), { kind: 'differs', labs: 1 });
  });
});

describe('the sampler error of an account', () => {
  const noise: PrivacySpec = { mode: 'example', clippingBound: 1, noiseMultiplier: 1.5, delta: 1e-5, samplingRate: 1 };
  const plan = (round: number) => privatePlan(round, noise);
  const spends = [{ release: { mechanism: 'gaussian', noiseMultiplier: 1.5 }, count: 45 }] as const; // 5 steps, 9 rounds
  const each = exampleSamplerErrorOf(plan(1));

  it('is that of all that was charged and all that is ahead', async () => {
    const figure = (delta: number, rounds: number) =>
      epsilonOf(spends, { unit: 'example', delta, accountant: 'pld' }, rounds * each);
    // a δ of which 2^-10 covers the error of three rounds and not of nine: (1 + e^ε) 3 η = 2^-10 δ
    let delta = 1e-8;
    for (let i = 0; i < 20; i++) delta = 2 ** 10 * (1 + Math.exp(figure(delta, 0))) * 4 * each;
    delta = Number(delta.toPrecision(3));
    const [few, all] = [figure(delta, 1), figure(delta, 9)];
    assert.ok(all > few * 1.0001, `${few} ${all} at ${delta}`);
    const account = await openAccount(directory, { identity: clientKey, delta });
    assert.equal(account.epsilonAfterRun(plan(1)), all);
    for (let round = 1; round < 9; round++) await account.charge(plan(round));
    assert.equal(account.epsilonAfterRun(plan(9)), all);
    const [line] = (await readFile(join(directory, ACCOUNT_FILE), 'utf8')).split('\n');
    assert.equal(JSON.parse(line).entry.samplerError, each);
  });
});
