/**
 * docs/operate.md, typed as it stands on three machines: a coordinator, and two sites of two labs behind routers that let them
 * dial out only, south by a link of 200 ms that loses a packet of a hundred. What the page does while a run is on its way is
 * done in the middle of a round: south is not heard until then. Each run ends in the model of a simulation.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parse } from 'yaml';
import type { RunEvent } from '../../shared/run/events.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { CLI } from '../../simulations/local-process.js';
import { HUB, PageWalk } from './page-walk.js';
import { undisturbed } from './undisturbed.js';

const [NORTH, SOUTH] = ['north.example.org', 'south.example.org'];

interface Shown {
  readonly status: string;
  readonly directory: string;
}

describe('docs/operate.md on three machines', function () {
  this.timeout(1_500_000);
  this.bail(true); // one walk: each step begins where the one before has ended
  let walk: PageWalk;
  let heal: () => void;

  before(async () => {
    walk = await PageWalk.open('docs/operate.md', { bad: SOUTH });
  });

  after(() => walk?.close());

  it('has labs join by token, from machines that nobody can dial, and take part when they are approved', async () => {
    await walk.through('for i in 3 4; do starling client run');
    const dial = `
      const end = () => process.exit(3);
      require('node:net').connect(22, '192.0.2.22').setTimeout(1000, end).on('error', end)`;
    assert.throws(() => walk.network.on(HUB, process.execPath, '-e', dial), { status: 3 });
    assert.deepEqual(standings(), ['c1 pending', 'c2 pending', 'c3 pending', 'c4 pending']);
    await walk.through('client approve');
    assert.deepEqual(standings(), ['c1 approved', 'c2 approved', 'c3 approved', 'c4 approved']);
    for (const lab of ['c1', 'c2']) await walk.person(NORTH).line(`${lab}.log`, /: connected/);
    for (const lab of ['c3', 'c4']) await walk.person(SOUTH).line(`${lab}.log`, /: connected/);
  });

  it('has a lab revoked in mid-round: it is dropped with the reason, and the round goes on with the others', async () => {
    heal = walk.network.mute(SOUTH);
    await walk.through('run start run.yaml');
    assert.deepEqual([...(await begun())].sort(), ['c1', 'c2', 'c3', 'c4']);
    await walk.through('client revoke c4');
    const seen = await events(({ kind }) => kind === 'dropped');
    const dropped = seen.find((event) => event.kind === 'dropped')!;
    assert.deepEqual([dropped.client, dropped.reason, dropped.round], ['c4', 'excluded', 1]);
    assert.match(dropped.detail ?? '', /client "c4" is revoked \(laptop stolen\)/);
    assert.ok(!seen.some(({ kind }) => kind === 'round-ended'), 'the round is on its way when c4 is dropped');
    heal();
    await walk.through('run watch "$(cat run)"');
    await walk.person(SOUTH).line('c4.log', /"c4" is revoked \(laptop stolen\)/);
    await assertUndisturbed('run.yaml');
  });

  it('has a certificate renewed, and labs told of an address to come, in mid-round', async () => {
    await walk.through('account list');
    heal = walk.network.mute(SOUTH);
    await walk.through('run start second.yaml');
    assert.deepEqual([...(await begun())].sort(), ['c1', 'c2', 'c3']);
    await later(NORTH, 61, () => walk.through('--name c2 --slice'));
    await walk.person(NORTH).line('c2.log', /certificate renewed/);
    await walk.through('--public-address 192.0.2.77');
    heal();
    await walk.through('run watch "$(cat run)"'); // so all three have heard of it
    await assertUndisturbed('second.yaml');
  });

  it('has the coordinator moved, lost and restored in mid-round, and the run goes on', async () => {
    heal = walk.network.mute(SOUTH);
    await walk.through('run start third.yaml');
    await begun();
    await walk.through('restore ./backup-1');
    heal();
    await walk.through('run watch "$(cat run)"');
    await assertUndisturbed('third.yaml');
    await walk.toTheEnd();
    // the page has rotated the coordinator's key and sealed it: its labs have followed
    const key = ['--key-file', join(walk.hub.folder, 'starling.key')];
    const online = () => clients(...key).filter(({ online }) => online);
    while (online().length < 3) await new Promise((resolve) => setTimeout(resolve, 500)); // within half a minute
  });

  /** Standard output of a command of the operator's that only the test asks. */
  function asked(...args: string[]): string {
    const dataDir = join(walk.hub.folder, 'coordinator');
    return walk.network.on(HUB, process.execPath, CLI, ...args, '--data-dir', dataDir);
  }

  function clients(...more: string[]): { name: string; standing?: string; online: boolean }[] {
    return JSON.parse(asked('client', 'list', '--json', ...more));
  }

  function standings(): string[] {
    return clients()
      .map(({ name, standing = 'approved' }) => `${name} ${standing}`)
      .sort();
  }

  /** The id that the page has written down. */
  async function run(): Promise<string> {
    return (await readFile(join(walk.hub.folder, 'run'), 'utf8')).trim();
  }

  /** Events of the run, up to the first that is meant. */
  async function events(isLast: (event: RunEvent) => boolean): Promise<RunEvent[]> {
    const watch = ['run', 'watch', await run(), '--json', '--data-dir', join(walk.hub.folder, 'coordinator')];
    const [program, ...args] = [...walk.network.at(HUB), process.execPath, CLI, ...watch];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const seen: RunEvent[] = [];
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        seen.push(JSON.parse(line) as RunEvent);
        if (isLast(seen[seen.length - 1])) return seen;
      }
      throw new Error(`the run ended first: ${JSON.stringify(seen)}`);
    } finally {
      child.kill();
    }
  }

  /** The cohort of a run's first round, once there is one. */
  async function begun(): Promise<readonly string[]> {
    const last = (await events(({ kind }) => kind === 'round-started')).at(-1);
    return last?.kind === 'round-started' ? last.cohort : [];
  }

  /** What is begun meanwhile on that machine believes that so many days have passed. */
  async function later(machine: string, days: number, begin: () => Promise<void>): Promise<void> {
    const shift = `const now = Date.now; Date.now = () => now() + ${days * 86_400_000};`;
    const person = walk.person(machine);
    await person.type([`export NODE_OPTIONS='--import=data:text/javascript,${encodeURIComponent(shift)}'`]);
    await begin();
    await person.type(['unset NODE_OPTIONS']);
  }

  /** The run that has ended: each round is that of a simulation with c1, c2 and c3, from the model that it began with. */
  async function assertUndisturbed(file: string): Promise<void> {
    const { status, directory } = JSON.parse(asked('run', 'show', await run(), '--json')) as Shown;
    const all = await events(({ kind }) => kind === 'ended');
    const rounds = all.flatMap((event) => (event.kind === 'round-ended' ? [event.summary] : []));
    const config = parse(await readFile(join(walk.hub.folder, file), 'utf8')) as Readonly<Record<string, unknown>>;
    assert.deepEqual([status, rounds.length], ['completed', config.rounds]);
    assert.ok(
      rounds.every(({ survivors }) => survivors === 3),
      JSON.stringify(rounds),
    );
    const model = async (sha256: string) =>
      decode(await readFile(join(walk.hub.folder, directory, 'models', `${sha256}.safetensors`))).params;
    let before: Awaited<ReturnType<typeof model>> | undefined;
    for (const { round, modelSha256 } of rounds) {
      const after = await model(modelSha256);
      const { values, bound } = await undisturbed({ config, clients: 4, round, before, without: ['c4'] });
      assert.equal(after.values.length, values.length);
      for (const [i, value] of after.values.entries()) {
        assert.ok(
          Math.abs(value - values[i]) <= bound,
          `${file}, round ${round}, element ${i}: ${value}, ${values[i]}`,
        );
      }
      before = after;
    }
  }
});
