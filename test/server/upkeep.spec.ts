/** Runs are put aside, deleted and mended while the coordinator goes on, and a kill in the middle leaves each here or there. */
import assert from 'node:assert/strict';
import { appendFile, cp, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRun } from '../../server/run/check.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { openWorld, Peer, type World } from '../support/peer.js';
import { toyModel, toySpec } from '../support/toy.js';

const FILE = encode(toyModel());
const MOMENTS = 'fedadam:lr=0.1';

/** A round of the run, by four clients that leave again. */
async function finish(world: World, id: string, strategy?: string): Promise<void> {
  const directory = join(world.dataDir, 'runs', id);
  const spec = toySpec({ rounds: 2, evaluateEvery: 0, ...(strategy && { strategy }) });
  const run = await world.coordinator.createRun(spec, FILE, { id, directory });
  const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
  await run.idle();
  for (const round of [1, 2]) {
    for (const kind of ['train', 'evaluate']) {
      for (const peer of peers) {
        const plan = peer.plans.findLast((plan) => plan.run === id && plan.kind === kind && plan.round === round);
        if (plan !== undefined) await peer.answer(plan);
      }
      await run.idle();
    }
  }
  for (const peer of peers) peer.leave();
  assert.equal(run.state.status, 'completed');
}

const flip = async (path: string, at?: number | 'last') => {
  const bytes = await readFile(path);
  bytes[at === 'last' ? bytes.length - 1 : (at ?? bytes.length >> 1)] ^= 0xff;
  await writeFile(path, bytes);
};
const half = async (path: string) => truncate(path, (await readFile(path)).length >> 1);
const lastModel = async (run: string) => {
  const ledger = (await readFile(join(run, 'ledger.jsonl'), 'utf8')).trimEnd().split('\n');
  return `${JSON.parse(ledger.at(-1)!).entry.modelAfter}.safetensors`;
};

/** Every file, by its name. */
async function contentOf(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(
    await Promise.all(files.sort().map(async (file) => [file, await readFile(file, 'latin1')])),
  );
}

type Damage = { readonly do: (run: string) => Promise<unknown> } & (
  | { readonly mended: RegExp }
  | { readonly beyond: RegExp }
);

const DAMAGES: Readonly<Record<string, Damage>> = {
  'its journal has lost its first bytes': {
    do: (run) => flip(join(run, 'journal.log'), 3),
    mended: /^journal\.log: its first bytes were written again$/,
  },
  'its ledger is flipped in its first line': {
    do: (run) => flip(join(run, 'ledger.jsonl'), 20),
    mended: /^ledger\.jsonl: 3 lines were written from journal\.log$/,
  },
  'its ledger is of another run': {
    do: (run) => cp(join(run, '..', 'good', 'ledger.jsonl'), join(run, 'ledger.jsonl')),
    beyond:
      /^run bad: journal\.log: beyond repair: line 1 of ledger\.jsonl is signed, and says something else; next: put /,
  },
  'its ledger and run.json are noise': {
    do: (run) => Promise.all(['ledger.jsonl', 'run.json'].map((name) => writeFile(join(run, name), '\0\n\0\n'))),
    mended: /^ledger\.jsonl: 3 lines were written from journal\.log\nrun\.json: written from journal\.log$/,
  },
  'its journal is flipped': {
    do: (run) => flip(join(run, 'journal.log')),
    beyond:
      /^run bad: journal\.log: beyond repair: .*bad frame at byte \d+.*; next: put .*journal\.log back from a backup/,
  },
  'its journal has lost its end': {
    do: (run) => half(join(run, 'journal.log')),
    beyond: /^run bad: journal\.log: beyond repair: it has lost round \d, which ledger\.jsonl has, signed; next: put /,
  },
  'its journal is gone': {
    do: (run) => rm(join(run, 'journal.log')),
    beyond: /^run bad: journal\.log: beyond repair: it is gone, .*; next: put .*starling run archive bad$/,
  },
  'its model is flipped': {
    do: async (run) => flip(join(run, 'models', await lastModel(run)), 'last'),
    beyond:
      /^run bad: models\/[0-9a-f]{64}\.safetensors: beyond repair: .*any model file whose parameters have this hash/,
  },
  'what its strategy remembers is flipped': {
    do: async (run) => flip(join(run, 'strategy', await lastModel(run)), 'last'),
    beyond: /^run bad: strategy\/[0-9a-f]{64}\.safetensors: beyond repair: its values: expected /,
  },
  'what its strategy remembers is gone': {
    do: async (run) => rm(join(run, 'strategy', await lastModel(run))),
    beyond: /^run bad: strategy\/[0-9a-f]{64}\.safetensors: beyond repair: expected what fed-adam remembers/,
  },
};

describe('the upkeep of runs', () => {
  let healthy: string;
  let dataDir: string;
  let world: World;

  before(async () => {
    const first = await openWorld();
    await finish(first, 'bad', MOMENTS);
    await finish(first, 'good');
    await first.coordinator.close();
    healthy = first.dataDir;
  });
  after(() => rm(healthy, { recursive: true }));

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'starling-upkeep-'));
    await cp(healthy, dataDir, { recursive: true });
  });
  afterEach(async () => {
    await world?.coordinator.close();
    await rm(dataDir, { recursive: true });
  });

  const path = (...names: string[]) => join(dataDir, ...names);
  const admin = () => world.coordinator.admin;
  const statuses = async () => Object.fromEntries((await admin().listRuns()).map(({ run, status }) => [run, status]));

  for (const [name, damage] of Object.entries(DAMAGES)) {
    it(`mends a run, or says what to do, when ${name}`, async () => {
      const whole = await readFile(path('runs', 'bad', 'ledger.jsonl'));
      await damage.do(path('runs', 'bad'));
      const left = await contentOf(path('runs', 'bad'));
      world = await openWorld(dataDir);
      assert.deepEqual(await statuses(), { bad: 'damaged', good: 'completed' });
      if ('beyond' in damage) {
        await assert.rejects(admin().repairRun('bad'), { code: 'corrupt', message: damage.beyond });
        const { reason } = (await admin().getRun('bad')).info;
        assert.match(`run bad: ${reason}`, damage.beyond, 'and the list says so from then on');
        assert.deepEqual(await contentOf(path('runs', 'bad')), left, 'nothing was changed');
        for (const name of await readdir(path('runs', 'bad'))) await rm(path('runs', 'bad', name), { recursive: true });
        await cp(join(healthy, 'runs', 'bad'), path('runs', 'bad'), { recursive: true }); // as it was told
        assert.deepEqual(await admin().repairRun('bad'), []);
      } else assert.match((await admin().repairRun('bad')).join('\n'), damage.mended);
      assert.deepEqual(await statuses(), { bad: 'completed', good: 'completed' });
      assert.deepEqual(await readFile(path('runs', 'bad', 'ledger.jsonl')), whole, 'byte for byte what was signed');
      assert.ok((await checkRun(path('runs', 'bad'))).ok);
      await finish(world, 'next');
      await world.coordinator.close();
      world = await openWorld(dataDir);
      assert.deepEqual(await statuses(), { bad: 'completed', good: 'completed', next: 'completed' });
    });
  }

  it('keeps what it replaces', async () => {
    await writeFile(path('runs', 'bad', 'ledger.jsonl'), 'of value to somebody');
    await appendFile(path('runs', 'bad', 'ledger.jsonl'), '\n\n');
    world = await openWorld(dataDir);
    await admin().repairRun('bad');
    const kept = (await readdir(path('runs', 'bad'))).filter((name) => name.startsWith('ledger.jsonl.damaged-'));
    assert.equal(kept.length, 1);
    assert.equal(await readFile(path('runs', 'bad', kept[0]), 'utf8'), 'of value to somebody\n\n');
  });

  it('archives a run in one rename: it is neither loaded nor listed, can be looked at, and comes back', async () => {
    world = await openWorld(dataDir);
    const { info, report } = await admin().getRun('good');
    await writeFile(path('runs', 'good', 'report.json'), report);
    const directory = await admin().archiveRun('good');
    assert.equal(directory, path('archive', 'good'));
    for (const again of [false, true]) {
      if (again) {
        await world.coordinator.close();
        world = await openWorld(dataDir);
      }
      assert.deepEqual(await statuses(), { bad: 'completed' });
      const archived = { ...info, directory, activity: '' };
      assert.deepEqual(await admin().listRuns({ archived: true }), [archived]);
      assert.deepEqual(await admin().getRun('good'), { info: archived, report });
      const told = {
        code: 'failed-precondition',
        message: /^run good is archived in .*; to have it back, move .* repair /,
      };
      for (const call of ['resumeRun', 'archiveRun', 'repairRun'] as const)
        await assert.rejects(admin()[call]('good'), told);
      const pending = ['good', 'never'].map((run) => ({ run, round: 1, attempt: 1, sha256: 'a'.repeat(64) }));
      const peer = Peer.enter(world, 'c1', pending);
      const receipts = peer.frames.flatMap((frame) => (frame.kind === 'receipt' ? [frame.receipt.run] : []));
      assert.deepEqual(receipts, ['never'], 'it may come back: no client is told that it is unknown');
      peer.leave();
    }
    await rename(path('archive', 'good'), path('runs', 'good'));
    assert.deepEqual(await admin().repairRun('good'), []);
    assert.deepEqual(await statuses(), { bad: 'completed', good: 'completed' });
    assert.deepEqual(await admin().listRuns({ archived: true }), []);
  });

  it('archives and deletes a damaged run and a stray folder, and no run that runs', async () => {
    await rm(path('runs', 'bad', 'journal.log'));
    await cp(path('runs', 'good'), path('runs', 'A copy'), { recursive: true });
    world = await openWorld(dataDir);
    const stray = Object.keys(await statuses()).find((run) => run.startsWith('a-copy-'))!;
    assert.equal(await admin().archiveRun('bad'), path('archive', 'bad'));
    assert.equal((await admin().getRun('bad')).info.status, 'damaged');
    await admin().deleteRun(stray);
    await world.coordinator.createRun(toySpec(), FILE, { id: 'busy', directory: path('runs', 'busy') });
    for (const call of ['archiveRun', 'deleteRun', 'repairRun'] as const)
      await assert.rejects(admin()[call]('busy'), {
        code: 'failed-precondition',
        message: 'run busy is running; first: starling run stop busy',
      });
    await admin().deleteRun('bad');
    await admin().stopRun('busy', 'enough');
    await admin().deleteRun('busy');
    assert.deepEqual(await statuses(), { good: 'completed' });
    assert.deepEqual(await readdir(path('archive')), []);
    assert.deepEqual(await readdir(path('runs')), ['good']);
    for (const call of ['archiveRun', 'deleteRun', 'repairRun'] as const)
      await assert.rejects(admin()[call]('busy'), { code: 'not-found', message: 'run "busy" is not known here' });
  });

  for (const call of ['archiveRun', 'deleteRun', 'repairRun'] as const) {
    it(`does not take a run away that is resumed in the same moment (${call})`, async () => {
      world = await openWorld(dataDir);
      await world.coordinator.createRun(toySpec(), FILE, { id: 'busy', directory: path('runs', 'busy') });
      await admin().stopRun('busy', 'lunch');
      const both = await Promise.allSettled([admin().resumeRun('busy'), admin()[call]('busy')]);
      assert.deepEqual(
        both.map((one) => (one.status === 'fulfilled' ? 'done' : one.reason.message)),
        ['done', 'run busy is running; first: starling run stop busy'],
      );
      assert.equal((await statuses()).busy, 'running');
      await admin().stopRun('busy', 'enough');
      await admin().deleteRun('busy');
    });
  }

  it('forgets at its next start what a kill left half deleted, and answers two calls at once one after the other', async () => {
    world = await openWorld(dataDir);
    const both = await Promise.allSettled([
      admin().archiveRun('bad'),
      admin().deleteRun('bad'),
      admin().resumeRun('bad'),
    ]);
    assert.deepEqual(
      both.map((one) => (one.status === 'fulfilled' ? 'done' : one.reason.message)),
      ['done', ...Array(2).fill('run bad is being put away or mended')],
    );
    await world.coordinator.close();
    await rename(path('archive', 'bad'), path('archive', '.gone-bad'));
    await rename(path('runs', 'good'), path('runs', '.gone-good'));
    world = await openWorld(dataDir);
    assert.deepEqual([await statuses(), await admin().listRuns({ archived: true })], [{}, []]);
    assert.deepEqual([await readdir(path('runs')), await readdir(path('archive'))], [[], []]);
  });
});
