/**
 * What /metrics says of a federation whose labs have names that nobody could mistake: a run that names them, under secure
 * aggregation, in which one declines and one is revoked; read over HTTP before, in and after the run. No lab is in it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { connectGrpc } from '../../client/grpc/participant.js';
import { IDENTITY_FILE, joinClient } from '../../client/join.js';
import { Participant } from '../../client/round/participant.js';
import { memorySecaggStore } from '../../client/store/secagg.js';
import { memoryStore } from '../../client/store/updates.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { systemClock } from '../../shared/clock.js';
import { fromHex, toHex } from '../../shared/hex.js';
import { rngFromEntropy } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { toyModel, toySpec, toyTrainer } from '../support/toy.js';
import { ANY } from './sites.js';

const LABS = ['charite-berlin', 'tum-klinikum', 'lmu-grosshadern', 'ukb-bonn', 'uke-hamburg'];
const [DECLINES, IS_REVOKED] = LABS;
const SECURE: SecureSpec = {
  ...{ valueRange: 4, weightCap: 65_536, adversaryFraction: 0, dropFraction: 0, survivorsMin: 3 },
  ...{ phaseDeadlineMs: 60_000, trainMetrics: [{ name: 'loss', size: 1, max: 1_000 }] },
  testMetrics: [{ name: 'loss', size: 1, max: 1_000 }],
};

describe('metrics of a federation', () => {
  let folder: string;
  let coordinator: CoordinatorProcess;
  let admin: GrpcAdmin;
  const stops: (() => void)[] = [];
  /** Whatever a lab is known by here. */
  const marks: string[] = [];
  let duringRound: (round: number) => Promise<void> | void = () => {};

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-lab-names-'));
    const dataDir = join(folder, 'coordinator');
    coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', healthPort: '0', logLevel: 'silent' });
    admin = await openAdmin({ dataDir });
    for (const lab of LABS) await start(lab);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) stop();
    admin.close();
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  async function start(client: string): Promise<void> {
    const clientsDir = join(folder, 'clients');
    const token = await admin.createToken({ name: client, uses: 1, expiresMs: 60_000 });
    const { coordinatorKey } = await joinClient({ token, clientsDir });
    const signingSeed = new Uint8Array(await readFile(join(clientsDir, client, IDENTITY_FILE)));
    const identity = identityFromSeed(signingSeed);
    marks.push(client, toHex(identity.publicKey));
    const service = connectGrpc(coordinator.address);
    const participant = await Participant.start({
      ...{ service, client, identity, coordinatorKey: fromHex(coordinatorKey), version: '0', store: memoryStore() },
      ...{ clock: systemClock, rng: rngFromEntropy(), notice: () => {} },
      trainer: toyTrainer(({ round }) => duringRound(round)),
      secure: { signingSeed, policy: ANY, store: memorySecaggStore(), rng: rngFromEntropy() },
      declineReason: () => (client === DECLINES ? { reason: 'refused', detail: `not at ${client}` } : undefined),
    });
    participant.done.catch(() => undefined); // one is revoked
    stops.push(
      () => participant.stop(),
      () => service.close(),
    );
  }

  const scraped = async () => (await fetch(`http://${coordinator.healthAddress}/metrics`)).text();
  const marksIn = (text: string) => marks.filter((mark) => text.toLowerCase().includes(mark));

  it('tell what became of its rounds under secure aggregation, and name no lab', async () => {
    const texts = [await scraped()];
    let revoked: Promise<void> | undefined;
    duringRound = (round) => {
      if (round !== 2) return;
      revoked ??= admin
        .setStanding({ client: IS_REVOKED, change: 'revoke', reason: `${IS_REVOKED} has left` })
        .then(async () => void texts.push(await scraped()));
      return revoked;
    };
    const { engine, work } = toySpec({ rounds: 3, cohort: 5, minClients: 3, minSurvivors: 3, clients: LABS });
    const spec: RunSpec = { engine, work: { ...work, secure: SECURE } };
    while ((await admin.listClients()).filter(({ online }) => online).length < LABS.length);
    const run = await admin.startRun(spec, encode(toyModel()));
    const events: string[] = [];
    for await (const line of admin.watchRun(run)) {
      events.push(line);
      if ((JSON.parse(line) as RunEvent).kind === 'round-ended') texts.push(await scraped());
    }
    texts.push(await scraped());
    const last = texts.at(-1)!;
    assert.match(last, /^starling_rounds_total\{workload="toy",outcome="committed"\} 3$/m);
    assert.match(last, /^starling_dropped_total\{reason="refused"\} [1-9]/m);
    assert.match(last, /^starling_dropped_total\{reason="excluded"\} 1$/m);
    assert.match(last, /^starling_clients\{online="yes"\} 4$/m);
    assert.deepEqual(texts.map(marksIn), Array(texts.length).fill([]));
    const known = JSON.stringify([events, await admin.listClients()]);
    for (const lab of LABS) assert.ok(marksIn(known).includes(lab), 'this search finds names where they are');
  });
});
