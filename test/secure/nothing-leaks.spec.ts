/**
 * Nothing of a single client is anywhere on the coordinator's side: not in its files, its log, its feed, nor in any byte
 * that crossed the wire in either direction; the sums over all are. Searched for, of each client: every number of its
 * update, its count of examples and its sums of metrics, as text and as float32, float64 and int32 in both byte orders,
 * alone and multiplied by its weight. The plain run is searched first, to see that the search finds them.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGrpc } from '../../client/grpc/participant.js';
import { Participant } from '../../client/round/participant.js';
import { memorySecaggStore } from '../../client/store/secagg.js';
import { memoryStore } from '../../client/store/updates.js';
import type { TaskRunner } from '../../client/training/task.js';
import { Coordinator } from '../../server/coordinator.js';
import { serveGrpc } from '../../server/grpc/server.js';
import { parseJournal } from '../../server/journal/journal.js';
import type { RunRecord } from '../../server/journal/records.js';
import { Registry } from '../../server/registry.js';
import { type Clock, systemClock } from '../../shared/clock.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { simulate } from '../../simulations/simulate.js';
import { toyModel, toySpec, toyWorkload } from '../support/toy.js';
import { ADMIN_TOKEN } from '../transport/fake-coordinator.js';
import { coordinator as identity, seedOf } from './hostile-coordinator.js';
import { ANY } from './sites.js';

/** Five digits each, and no sum of some is another: what is found is what was looked for. */
const EXAMPLES: Readonly<Record<string, number>> = { c1: 17_491, c2: 23_719, c3: 31_547, c4: 40_897 };
const NAMES = Object.keys(EXAMPLES);
const TOTAL = 17_491 + 23_719 + 31_547 + 40_897;

const SECURE: SecureSpec = {
  ...{
    valueRange: 4,
    weightCap: 65_536,
    adversaryFraction: 0,
    dropFraction: 0,
    survivorsMin: 2,
    phaseDeadlineMs: 60_000,
  },
  trainMetrics: [{ name: 'loss', size: 1, max: 16 }],
  testMetrics: [
    { name: 'loss', size: 1, max: 16 },
    { name: 'right', size: 2, max: 1 },
  ],
};

/** What client `name` has, the same in each round: numbers with many digits, so that none is there by chance. */
function secretsOf(name: string) {
  const examples = EXAMPLES[name];
  const values = Float32Array.from({ length: 6 }, (_, i) => Math.fround(Math.sin(examples * (i + 1)) * 3));
  return {
    examples,
    values,
    train: { loss: { sum: [examples * Math.SQRT1_2 + examples / 7], count: examples } },
    test: {
      loss: { sum: [examples * Math.LN2 + examples / 11], count: examples - 1 },
      right: { sum: [Math.floor(examples * 0.61), Math.floor(examples * 0.37)], count: examples - 1 },
    },
  };
}

const trainer: TaskRunner = {
  run: (async (task, { onProgress } = {}) => {
    const { values, examples, train, test } = secretsOf(task.client);
    onProgress?.(Math.floor(examples / 2), examples); // one step for each example
    if (task.kind === 'evaluate') return { kind: 'evaluate', metrics: test };
    return { kind: 'train', contribution: { values, weights: [examples, examples], metrics: train } };
  }) as TaskRunner['run'],
};

function specOf(secure: boolean): RunSpec {
  const plain = toySpec({ rounds: 2 });
  return secure ? { ...plain, work: { ...plain.work, secure: SECURE } } : plain;
}

// ---- the search ----------------------------------------------------------------------------------------------------

interface Needle {
  readonly what: string;
  readonly text: readonly string[];
  readonly bytes: readonly Buffer[];
}

function needlesOf(name: string): Needle[] {
  const { examples, values, train, test } = secretsOf(name);
  const sums = [...train.loss.sum, ...test.loss.sum, ...test.right.sum];
  const counts = [examples, test.loss.count, ...test.right.sum];
  return [
    ...counts.map((count) => needle(`${name}: a count, ${count}`, count)),
    ...sums.map((sum) => needle(`${name}: a sum, ${sum}`, sum)),
    ...[...values].flatMap((value) => [
      needle(`${name}: a value, ${value}`, value),
      needle(`${name}: a weighted value, ${value}`, value * examples),
    ]),
    needle(`${name}: a mean`, train.loss.sum[0] / train.loss.count),
    needle(`${name}: a mean`, test.loss.sum[0] / test.loss.count),
  ];
}

/** A number in every form in which it could stand somewhere. */
function needle(what: string, number: number): Needle {
  const bytes: Buffer[] = [];
  for (const [size, write] of [
    [4, (b: Buffer) => b.writeFloatLE(number)],
    [4, (b: Buffer) => b.writeFloatBE(number)],
    [8, (b: Buffer) => b.writeDoubleLE(number)],
    [8, (b: Buffer) => b.writeDoubleBE(number)],
    ...(Number.isInteger(number)
      ? ([
          [4, (b: Buffer) => b.writeInt32LE(number)],
          [4, (b: Buffer) => b.writeInt32BE(number)],
        ] as const)
      : []),
  ] as const) {
    const buffer = Buffer.alloc(size);
    write(buffer);
    bytes.push(buffer);
  }
  const text = Number.isInteger(number)
    ? [String(number)]
    : [String(number), String(Math.fround(number)), number.toPrecision(7)];
  return { what, text, bytes };
}

/** Which needles are in the hay; a number counts only when it is not part of a longer one. */
function found(needles: readonly Needle[], hay: Buffer): string[] {
  const words = hay.toString('latin1');
  return needles
    .filter(
      ({ text, bytes }) => bytes.some((wanted) => hay.includes(wanted)) || text.some((word) => standsIn(words, word)),
    )
    .map(({ what }) => what);
}

function standsIn(words: string, word: string): boolean {
  const isPart = (char: string | undefined) => char !== undefined && /[0-9a-zA-Z.]/.test(char);
  for (let at = words.indexOf(word); at >= 0; at = words.indexOf(word, at + 1)) {
    if (!isPart(words[at - 1]) && !isPart(words[at + word.length])) return true;
  }
  return false;
}

async function filesOf(directory: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file)] as const)));
}

/** What the sums must be, and are: the global model and the pooled metrics of the last evaluation. */
async function assertSumsThere(directory: string): Promise<void> {
  const files = await filesOf(directory);
  const journal = [...files].find(([path]) => path.endsWith('journal.log'))![1];
  const records = parseJournal(journal).records as RunRecord[];
  const last = records.findLast((record) => record.kind === 'round-ended')!;
  assert.ok(last.kind === 'round-ended');
  assert.deepEqual(last.perClient, {});
  const expected = NAMES.reduce((sum, name) => sum + secretsOf(name).test.loss.sum[0], 0);
  const step = (16 * 2 ** 20) / (2 ** 23 - 1); // an evaluation's grid, for each of the four
  assert.ok(
    Math.abs(last.pooled.loss.sum[0] - expected) <= NAMES.length * step,
    `${last.pooled.loss.sum[0]} for ${expected}`,
  );
  assert.ok(Math.abs(last.pooled.loss.count - (TOTAL - NAMES.length)) <= 1);
  const model = [...files].find(([path]) => path.includes(last.summary.modelSha256))![1];
  const { values } = decode(model).params;
  for (const [i, value] of values.entries()) {
    const mean = NAMES.reduce((sum, name) => sum + EXAMPLES[name] * secretsOf(name).values[i], 0) / TOTAL;
    assert.ok(Math.abs(value - 2 * mean) < 2e-3, 'two rounds of the same mean, on a grid of 4 / (2^13 - 1)');
  }
}

const ALL_NEEDLES = NAMES.flatMap(needlesOf);

describe('a single client', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-leaks-'));
  });
  after(() => rm(directory, { recursive: true }));

  async function simulated(secure: boolean): Promise<Map<string, Buffer>> {
    const events: string[] = [];
    const result = await simulate({
      ...{ spec: specOf(secure), model: toyModel(), clients: 4, workload: toyWorkload, trainer },
      ...({ backend: 'none', workers: 2, transport: 'memory', dropout: 0, baselines: 'none' } as const),
      directory: join(directory, secure ? 'secure' : 'plain'),
      onEvent: (event) => events.push(JSON.stringify(event)),
    });
    assert.equal(result.report.status, 'completed');
    const files = await filesOf(result.directory);
    return files.set('events', Buffer.from(events.join('\n')));
  }

  it('is found by this search where there is no secure aggregation', async () => {
    const hay = Buffer.concat([...(await simulated(false)).values()]);
    const seen = found(ALL_NEEDLES, hay);
    for (const name of NAMES)
      assert.ok(
        seen.some((what) => what.startsWith(`${name}: a sum`)),
        name,
      );
  });

  it('is nowhere in the files and events of a secure simulation; the sums are', async () => {
    const files = await simulated(true);
    assert.ok([...files.keys()].some((path) => path.endsWith('report.json')));
    for (const [path, hay] of files) assert.deepEqual(found(ALL_NEEDLES, hay), [], path);
    await assertSumsThere(join(directory, 'secure'));
  });

  it('is on the wire of a plain run, and nowhere in a secure one: not in one byte to or from the coordinator', async () => {
    const plain = await deployed(join(directory, 'deployed-plain'), false);
    const seen = found(ALL_NEEDLES, plain.wire);
    for (const name of NAMES) {
      for (const kind of ['a value', 'a sum'])
        assert.ok(
          seen.some((what) => what.startsWith(`${name}: ${kind}`)),
          `${name} ${kind}`,
        );
    }
    const secure = await deployed(join(directory, 'deployed-secure'), true);
    assert.ok(secure.wire.length > 10_000);
    assert.deepEqual(found(ALL_NEEDLES, secure.wire), [], 'wire');
    assert.deepEqual(found(ALL_NEEDLES, Buffer.from(secure.log)), [], 'log');
    assert.deepEqual(found(ALL_NEEDLES, Buffer.from(secure.events)), [], 'events');
    assert.match(secure.events, /"kind":"progress"/, 'progress is told');
    assert.match(plain.events, new RegExp(`"stepsTotal":${EXAMPLES.c1}`), 'and would tell, if it counted steps');
    for (const [path, hay] of await filesOf(join(directory, 'deployed-secure')))
      assert.deepEqual(found(ALL_NEEDLES, hay), [], path);
    await assertSumsThere(join(directory, 'deployed-secure'));
  });
});

// ---- a deployed run, listened to -------------------------------------------------------------------------------------

/** A second passes whenever a client looks, so that no progress is kept back as too soon. */
function hastyClock(): Clock {
  let nowMs = 0;
  return { nowMs: () => (nowMs += 2000), after: systemClock.after };
}

async function deployed(directory: string, secure: boolean) {
  const log: string[] = [];
  const say = (fields: object, message: string) => void log.push(JSON.stringify({ ...fields, message }));
  const registry = new Registry({ append: async () => undefined }, []);
  let tap: Tap | undefined;
  const coordinator = await Coordinator.open({
    ...{ dataDir: directory, identity, registry, clock: systemClock, rng: rngFromSeed(5) },
    addresses: () => (tap === undefined ? [] : [tap.address]),
    log: { debug: say, info: say, warn: say },
    fatal: (error) => {
      throw error;
    },
  });
  const server = await serveGrpc({
    participant: coordinator,
    admin: coordinator,
    adminToken: ADMIN_TOKEN,
    listen: '127.0.0.1:0',
  });
  tap = await Tap.start(server.port);
  const clients: { stop(): void }[] = [];
  try {
    for (const client of NAMES) {
      const signingSeed = seedOf(client);
      await registry.enrolTrusted(client, identityFromSeed(signingSeed).publicKey, 0);
      const service = connectGrpc(tap.address);
      const participant = await Participant.start({
        ...{ service, client, identity: identityFromSeed(signingSeed), coordinatorKey: identity.publicKey, trainer },
        ...{ store: memoryStore(), clock: hastyClock(), rng: rngFromSeed(2), version: '0' },
        secure: { signingSeed, policy: ANY, store: memorySecaggStore(), rng: rngFromSeed(3).split(client) },
      });
      clients.push({
        stop() {
          participant.stop();
          service.close();
        },
      });
    }
    const run = await coordinator.startRun(specOf(secure), encode(toyModel()));
    const events: string[] = [];
    for await (const event of coordinator.watchRun(run)) events.push(event);
    return { wire: tap.recorded(), log: log.join('\n'), events: events.join('\n') };
  } finally {
    for (const client of clients) client.stop();
    await tap.close();
    await server.close();
    await coordinator.close();
  }
}

/** A wire that keeps every byte that crosses it. gRPC here is HTTP/2 without TLS or compression of messages. */
class Tap {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #streams: Buffer[][] = [];

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      const target = connect(targetPort, '127.0.0.1');
      for (const [from, to] of [
        [client, target],
        [target, client],
      ] as const) {
        const stream: Buffer[] = [];
        this.#streams.push(stream);
        this.#sockets.add(from);
        from.on('data', (bytes: Buffer) => stream.push(bytes));
        from.on('error', () => to.destroy());
        from.pipe(to);
      }
    });
  }

  static async start(targetPort: number): Promise<Tap> {
    const tap = new Tap(targetPort);
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  recorded(): Buffer {
    return Buffer.concat(this.#streams.flat());
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
