/** Finished runs lose their bulk by themselves, as the settings say; a kill in the middle loses nothing that is to stay. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Logger, silent } from '../../server/log.js';
import { type Retention, toThin } from '../../server/retention.js';
import { checkRun } from '../../server/run/check.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { playRun } from '../support/answering.js';
import { DyingFiles } from '../support/dying-files.js';
import { openWorld, type World } from '../support/peer.js';
import { toyModel, toySpec } from '../support/toy.js';

const DAY_MS = 86_400_000;
/** With times to the nanosecond, which rows of finished runs go by: Node's own copies have milliseconds. */
const copy = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to]);

describe('which finished runs lose their bulk', () => {
  const over = [5, 1, 3].map((days) => ({ run: `r${days}`, endedAtMs: 100 * DAY_MS - days * DAY_MS }));
  const cases: readonly [Retention, readonly string[]][] = [
    [{}, []],
    [{ keepRuns: 1 }, ['r5', 'r3']],
    [{ keepRuns: 3 }, []],
    [{ keepDays: 1 }, ['r5', 'r3', 'r1']],
    [{ keepDays: 2 }, ['r5', 'r3']],
    [{ keepDays: 6 }, []],
    // what one setting keeps, the other does not take
    [{ keepRuns: 2, keepDays: 1 }, ['r5']],
    [{ keepRuns: 1, keepDays: 4 }, ['r5']],
  ];
  for (const [retention, expected] of cases) {
    it(`${JSON.stringify(retention)}: ${expected.join() || 'none'}`, () => {
      assert.deepEqual(toThin(over, retention, 100 * DAY_MS), expected);
    });
  }
});

describe('a coordinator with retention settings', () => {
  let made: string;
  let dataDir: string;
  let world: World;
  const logged: { readonly said: string; readonly about: Record<string, unknown> }[] = [];
  const note = (about: object, said: string) => void logged.push({ said, about: about as Record<string, unknown> });
  const log = { ...silent, info: note, warn: note } as Logger;
  const path = (...names: string[]) => join(dataDir, ...names);
  const admin = () => world.coordinator.admin;
  const namesIn = async (directory: string) => (await readdir(directory, { recursive: true })).sort();

  const STAYS = (model: string) => [
    ...['kept.json', 'ledger.jsonl', 'models', `models/${model}`, 'models/final.safetensors'],
    ...['report.html', 'report.json', 'run.json'],
  ];

  /** `a`, with moments and a history, and `b`, which are completed, and one that was stopped. */
  before(async () => {
    made = await mkdtemp(join(tmpdir(), 'starling-retention-'));
    const setting = { journalBytes: 2000 };
    const first = await playRun(made, { run: 'a', rounds: 4, strategy: 'fedadam:lr=0.1', setting });
    await first.coordinator.close();
    const second = await playRun(made, { run: 'b', rounds: 2 });
    const directory = join(made, 'runs', 'stopped');
    await second.coordinator.createRun(toySpec(), encode(toyModel()), { id: 'stopped', directory });
    await second.coordinator.admin.stopRun('stopped', 'enough');
    await second.coordinator.close();
  });
  after(() => rm(made, { recursive: true }));

  beforeEach(async () => {
    logged.length = 0;
    dataDir = await mkdtemp(join(tmpdir(), 'starling-retention-'));
    await copy(`${made}/.`, dataDir);
  });
  afterEach(async () => {
    await world.coordinator.close();
    await rm(dataDir, { recursive: true });
  });

  const statuses = async () => Object.fromEntries((await admin().listRuns()).map(({ run, status }) => [run, status]));
  const said = (what: RegExp) => logged.filter(({ said }) => what.test(said));
  /** What a coordinator with these settings says of the one run that is to go: no start waits for it. */
  const open = async (retention: Retention) => {
    world = await openWorld(dataDir, { log, retention });
    while (said(/^run (not )?archived/).length === 0) await new Promise(setImmediate);
    await world.coordinator.close();
    const done = said(/archived/);
    world = await openWorld(dataDir, { log });
    return done;
  };
  const modelOf = async (directory: string) => `${await lastModel(directory)}.safetensors`;
  const lastModel = async (directory: string) => {
    const lines = (await readFile(join(directory, 'ledger.jsonl'), 'utf8')).trimEnd().split('\n');
    return JSON.parse(lines.at(-1)!).entry.modelAfter as string;
  };

  it('keeps the last, and of the one before it what it came to', async () => {
    const model = await modelOf(path('runs', 'a'));
    const whole = await checkRun(path('runs', 'a'));
    const ledger = await readFile(path('runs', 'a', 'ledger.jsonl'));
    world = await openWorld(dataDir);
    const { report } = await admin().getRun('a');
    await world.coordinator.close();
    const [done, ...more] = await open({ keepRuns: 1 });
    assert.deepEqual(more, []);
    assert.equal(done.said, 'run archived without its journal, by the retention settings');
    assert.deepEqual([done.about.run, done.about.directory], ['a', path('archive', 'a')]);
    assert.ok(Number(done.about.freedBytes) > 2000, `${done.about.freedBytes}`);
    assert.deepEqual(await namesIn(path('archive', 'a')), STAYS(model));
    assert.deepEqual(await readFile(path('archive', 'a', 'ledger.jsonl')), ledger);
    assert.deepEqual(JSON.parse(await readFile(path('archive', 'a', 'report.json'), 'utf8')), JSON.parse(report));
    const note = 'journal.log is not here: lines cut off the end of the ledger would not be seen';
    assert.deepEqual(await checkRun(path('archive', 'a')), { ...whole, notes: [note] });
    assert.deepEqual(await statuses(), { b: 'completed', stopped: 'stopped' });
    const [row] = await admin().listRuns({ archived: true });
    assert.deepEqual([row.run, row.status, row.round, row.rounds], ['a', 'completed', 4, 4]);
    assert.match(row.reason, /^journal removed on \d{4}-\d\d-\d\d; kept: report, ledger, final model$/);
    assert.deepEqual(await admin().getRun('a'), {
      info: row,
      report: await readFile(path('archive', 'a', 'report.json'), 'utf8'),
    });
    const told =
      /^run a is archived in .*, without its journal, so it cannot come back; its report, ledger and models\/final/;
    for (const call of ['resumeRun', 'archiveRun', 'repairRun'] as const)
      await assert.rejects(admin()[call]('a'), { code: 'failed-precondition', message: told });
    await admin().deleteRun('a');
    assert.deepEqual(await readdir(path('archive')), []);
  });

  it('keeps what ended in the last days, looks again every hour, and when a run ends', async () => {
    await utimes(path('runs', 'a', 'journal.log'), 500, 500); // the clock of this world begins at 1000 s
    await utimes(path('runs', 'b', 'journal.log'), 5000, 5000);
    world = await openWorld(dataDir, { log, retention: { keepDays: 1 } });
    const thinned = () => said(/retention/).map(({ about }) => about.run);
    const archivedNext = async () => {
      const before = thinned().length;
      while (thinned().length === before) {
        world.clock.advance(3_600_000);
        await new Promise(setImmediate);
      }
      return world.clock.nowMs();
    };
    const firstMs = await archivedNext();
    assert.deepEqual(thinned(), ['a']);
    assert.ok(firstMs >= 500_000 + DAY_MS, `${firstMs}`);
    await archivedNext();
    assert.deepEqual(thinned(), ['a', 'b']);
    assert.deepEqual(await statuses(), { stopped: 'stopped' });
  });

  it('never takes a run that may go on, or one whose files are not what they should be', async () => {
    const model = await modelOf(path('runs', 'a'));
    await writeFile(path('runs', 'a', 'models', 'final.safetensors'), 'no model'); // its row does not stand for this file
    const before = await namesIn(path('runs', 'a'));
    const [done] = await open({ keepRuns: 1 });
    assert.equal(done.said, 'run not archived by the retention settings; it stays');
    assert.match(String(done.about.reason), /^run a: models\/final\.safetensors: /);
    assert.ok(before.includes(`models/${model}`));
    assert.deepEqual(await namesIn(path('runs', 'a')), before);
    assert.deepEqual(await statuses(), { a: 'completed', b: 'completed', stopped: 'stopped' });
  });

  it('loses nothing that is to stay, whenever it is killed in the middle', async function () {
    this.timeout(600_000);
    const model = await modelOf(path('runs', 'a'));
    const stays = ['ledger.jsonl', join('models', model)];
    const whole = await Promise.all(stays.map((name) => readFile(path('runs', 'a', name))));
    let kills = 0;
    for (let isKilled = true; isKilled; kills++) {
      await rm(dataDir, { recursive: true });
      await mkdir(path('runs'), { recursive: true });
      for (const run of ['a', 'b']) {
        await copy(join(made, 'runs', run), path('runs', run));
      }
      const files = new DyingFiles(kills);
      logged.length = 0;
      const dying = await openWorld(dataDir, { log, files, retention: { keepRuns: 1 } });
      isKilled = false;
      void files.died.then(() => {
        isKilled = true;
      });
      while (!isKilled && said(/archived/).length === 0) await new Promise(setImmediate);
      if (!isKilled) await dying.coordinator.close();
      logged.length = 0;
      world = await openWorld(dataDir, { log, retention: { keepRuns: 1 } }); // goes on with it, or begins anew
      while ((await admin().listRuns()).length > 1) await new Promise(setImmediate);
      await world.coordinator.close();
      assert.deepEqual(await readdir(path('archive')), ['a'], `${kills} changes`);
      assert.deepEqual(await namesIn(path('archive', 'a')), STAYS(model), `${kills} changes`);
      assert.deepEqual(await Promise.all(stays.map((name) => readFile(path('archive', 'a', name)))), whole);
      const [row] = await admin().listRuns({ archived: true });
      assert.deepEqual([row.run, row.status], ['a', 'completed']);
      assert.deepEqual(await statuses(), { b: 'completed' });
    }
    assert.ok(kills > 15, `${kills} kills`);
    assert.ok((await checkRun(path('archive', 'a'))).ok);
  });

  it('does not overwrite what is in the archive, and says so', async () => {
    await cp(path('runs', 'a'), path('archive', '.thin-b'), { recursive: true });
    await cp(path('runs', 'a'), path('archive', 'b'), { recursive: true });
    await cp(path('runs', 'a'), path('archive', 'a'), { recursive: true });
    const [passed, stays] = await open({ keepRuns: 1 });
    assert.equal(passed.said, 'passed over: half archived, and the archive has this run already');
    assert.match(`${stays?.about.reason}`, /^run a: .*archive\/a is there already; move that folder away$/);
    assert.deepEqual(await readdir(path('archive')), ['.thin-b', 'a', 'b']);
    assert.ok((await readdir(path('runs'))).includes('a'));
  });
});
