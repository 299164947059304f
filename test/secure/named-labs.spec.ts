/**
 * A run names its labs. Another lab of the same coordinator, enrolled and connected over TLS, which even knows the run's
 * name and the hash of its model, asks for all that it can think of: each answer is the one to a run that has never been.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEvent } from '../../shared/run/events.js';
import type { ClientFrame, CoordinatorFrame, SignedUpdateHeader } from '../../shared/service.js';
import { sha256Hex, signedBytes } from '../../shared/signing/identity.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { resolveForLabs } from '../../simulations/config/for-labs.js';
import { openWorld, Peer } from '../support/peer.js';
import { toyExpected, toyModel, toySpec } from '../support/toy.js';
import { Door, NAMES } from './door.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const LABS = ['c-1', 'c-2', 'c-3'];
const FOREIGN = 'c-4';

describe('a run that names its labs', () => {
  let door: Door;
  /** What the foreign lab was sent. */
  let heard: CoordinatorFrame[];
  /** Sends what no honest client would. */
  let say: (frame: ClientFrame) => void;

  beforeEach(async () => {
    door = await Door.open();
    heard = [];
    door.heard = (client, frame) => {
      if (client === FOREIGN) heard.push(frame);
    };
    door.sent = (client, frame, send) => {
      if (client === FOREIGN && frame.kind === 'proof') say = send;
    };
    for (const [client, { tls }] of door.homes) await door.start(client, door.dial(tls));
    while (door.sessions.size < NAMES.length) await turn();
  });
  afterEach(() => door.close());

  const told = (call: Promise<unknown>) =>
    call.then(
      () => 'taken',
      ({ code, message }) => `${code}: ${message}`,
    );

  /** A whole update for a run, as the lab would sign it. */
  function updateFor(run: string): { readonly signed: SignedUpdateHeader; readonly data: Uint8Array } {
    const data = new Uint8Array(new Float32Array(6).fill(9).buffer);
    const about = { run, round: 1, attempt: 1, sha256: sha256Hex(data), sizeBytes: data.length };
    const header = { ...about, weights: [4, 4], metrics: { loss: { sum: [1], count: 4 } } };
    return {
      signed: { header, signature: door.homes.get(FOREIGN)!.identity.sign(signedBytes('update', header)) },
      data,
    };
  }

  /** What the foreign lab is answered about a run that it knows the name and the model of. */
  async function probe(run: string, modelSha256: string): Promise<string[]> {
    const { session, service } = door.sessions.get(FOREIGN)!;
    const download = async (sha256: string, offset: number) => {
      for await (const piece of service.download(session, { run, sha256, offset })) return `${piece.length} bytes`;
      return 'nothing';
    };
    const { signed, data } = updateFor(run);
    const whole = async function* () {
      yield data;
    };
    const answers = [
      await told(download(modelSha256, 0).then((got) => Promise.reject(new Error(got)))),
      await told(download('0'.repeat(64), 0).then((got) => Promise.reject(new Error(got)))),
      await told(download(modelSha256, 10 ** 9).then((got) => Promise.reject(new Error(got)))),
      await told(service.upload(session, signed, 0, whole())),
      await told(service.uploadStatus(session, signed.header)),
    ];
    return answers.map((answer) => answer.replaceAll(`"${run}"`, '"RUN"'));
  }

  async function* events(): AsyncGenerator<RunEvent> {
    for await (const line of door.coordinator.admin.watchRun('r')) yield JSON.parse(line) as RunEvent;
  }

  it('is made of them alone, and to another lab it is a run that has never been: before, in and after it', async () => {
    const { engine, work } = toySpec({ rounds: 2, minClients: 3, evaluateEvery: 1, clients: LABS });
    let during: string[] | undefined;
    let never: string[] | undefined;
    let asked: Promise<void> | undefined;
    door.duringRound = () => {
      asked ??= (async () => {
        const { modelSha256 } = JSON.parse((await door.coordinator.admin.getRun('r')).report);
        during = await probe('r', modelSha256);
        never = await probe('q', modelSha256);
        const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
        say({ kind: 'progress', task, stepsDone: 1, stepsTotal: 2 });
        say({ kind: 'secure', task, frame: new Uint8Array(40) });
        say({ kind: 'small-update', ...updateFor('r') });
      })();
      return asked;
    };
    await door.coordinator.createRun({ engine, work }, encode(toyModel()), {
      id: 'r',
      directory: join(door.directory, 'run'),
    });
    let modelSha256 = '';
    for await (const event of events()) {
      assert.ok(!JSON.stringify(event).includes(FOREIGN), JSON.stringify(event));
      if (event.kind === 'round-started') assert.deepEqual(event.cohort, LABS);
      if (event.kind === 'round-ended') {
        assert.deepEqual([event.summary.survivors, event.summary.dropped], [3, []]);
        modelSha256 = event.summary.modelSha256!;
      }
    }
    assert.deepEqual(during, never);
    const asking = door.refusals.filter((reason) => reason === 'run "r" is not known here');
    assert.equal(asking.length, 3, 'each download has its line in the security log');
    assert.match(
      during!.join(),
      /^not-found: run "RUN" is not known here,.*not-found: run "RUN" is not known here,taken$/,
    );
    while ((await door.coordinator.admin.listRuns())[0].status !== 'completed') await turn();
    assert.deepEqual(await probe('r', modelSha256), never, 'after its end');
    assert.deepEqual(
      heard.map(({ kind }) => kind).filter((kind) => kind !== 'challenge' && kind !== 'welcome'),
      [],
      'no plan, no word',
    );
    const model = decode(await readFile(join(door.directory, 'run', 'models', `${modelSha256}.safetensors`)));
    assert.deepEqual([...model.params.values], new Array(6).fill(toyExpected(LABS, 2)));
  });

  it('says so in its file, as a list of names; the names of a simulation are a number', async () => {
    const { spec } = await resolveForLabs({ workload: 'cnn', scale: 'smoke', clients: LABS, cohort: 3 }, 'run.yaml');
    assert.deepEqual(spec.engine.clients, LABS);
    for (const clients of [[], ['c-1', 'c-1'], ['C'], 0, 'all']) {
      await assert.rejects(resolveForLabs({ workload: 'cnn', scale: 'smoke', clients }, 'run.yaml'), /clients/);
    }
  });

  it('tells another lab of updates that it says it keeps what it is told of a run that has never been', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'starling-named-'));
    const world = await openWorld(folder);
    const spec = toySpec({ minClients: 3, clients: ['c1', 'c2', 'c3'] });
    await world.coordinator.createRun(spec, encode(toyModel()), { id: 'r', directory: join(folder, 'run') });
    const kept = (run: string) => ({ run, round: 1, attempt: 1, sha256: '0'.repeat(64) });
    const peer = Peer.enter(world, 'c4', [kept('r'), kept('q')]);
    const receipts = peer.frames.flatMap((frame) => (frame.kind === 'receipt' ? [frame.receipt] : []));
    assert.deepEqual(
      receipts.map(({ run, outcome, reason }) => [run, outcome, reason]),
      ['r', 'q'].map((run) => [run, 'dropped', 'unknown']),
    );
    await assert.rejects(
      world.coordinator.admin.startRun(toySpec({ clients: ['c1', 'c2', 'c3', 'c9'] }), encode(toyModel())),
      /clients: expected clients that are enrolled, got "c9"/,
    );
    await assert.rejects(
      world.coordinator.admin.startRun(toySpec({ clients: ['c1', 'c2', 'c3'] }), encode(toyModel())),
      /minClients: expected at most as many as the run names \(3\), got 4/,
    );
    await world.coordinator.close();
    await rm(folder, { recursive: true });
  });
});
