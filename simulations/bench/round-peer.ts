/**
 * The clients of the round-overhead benchmark, in a process of their own: each has its own connection, keeps its updates
 * in memory and "trains" at once. Told by its parent over the channel that `fork` opens; leaves when that closes.
 */
import { connect, type Socket } from 'node:net';
import { connectGrpc } from '../../client/grpc/participant.js';
import { Participant } from '../../client/round/participant.js';
import { modelReader, planReader } from '../../client/round/verify-signed.js';
import { memoryStore } from '../../client/store/updates.js';
import { systemClock } from '../../shared/clock.js';
import { rngFromSeed } from '../../shared/rng.js';
import { keyPemOf } from '../../shared/signing/identity.js';
import { receiptCheck } from '../../shared/signing/receipts.js';
import { cpuMs } from './rows.js';
import { benchIdentity, benchSeed, COORDINATOR, clientNames, tinyTrainer } from './tiny.js';

/** What the benchmark asks of the process with the clients. */
export type ToPeer =
  /** Log in as these clients, some at a time; answered when all are in. */
  | {
      readonly kind: 'join';
      readonly address: string;
      readonly names: readonly string[];
      readonly tls?: PeerTls;
    }
  /** Connect `count` times, `atOnce` of them at a time, each for one call. */
  | {
      readonly kind: 'handshakes';
      readonly address: string;
      readonly count: number;
      readonly atOnce: number;
      readonly tls?: PeerTls;
    }
  /** Answer every message of `orderBytes` with `answerBytes`, over a bare socket for each client. */
  | {
      readonly kind: 'echo';
      readonly port: number;
      readonly clients: number;
      readonly orderBytes: number;
      readonly answerBytes: number;
    }
  | { readonly kind: 'cpu' };

/** Handshakes that take longer than 10 s are cut, and a machine makes a hundred of them a second. */
const AT_ONCE = 32;

/** PEM: who vouches, and the certificates by client, for the keys of `benchIdentity`. */
export interface PeerTls {
  readonly authorities: readonly string[];
  readonly certificates: Readonly<Record<string, string>>;
}

/** CPU time of this process so far; and how long what was asked for took. */
export type FromPeer = { readonly cpuMs: number; readonly elapsedMs?: number };

function dial(address: string, client: string, tls: PeerTls | undefined) {
  if (tls === undefined) return connectGrpc(address);
  const shown = {
    authorities: tls.authorities,
    certificate: tls.certificates[client],
    key: keyPemOf(benchSeed(client)),
  };
  return connectGrpc(address, { tls: () => shown });
}

async function handshakes({ address, count, atOnce, tls }: Extract<ToPeer, { kind: 'handshakes' }>): Promise<FromPeer> {
  const [client] = clientNames(1);
  const update = { run: 'r', round: 1, attempt: 1, sha256: '0'.repeat(64) };
  const startMs = performance.now();
  let left = count;
  const some = async () => {
    while (left-- > 0) {
      const service = dial(address, client, tls);
      await service.uploadStatus(new Uint8Array(32), update).catch(({ code }) => {
        if (code !== 'permission-denied') throw new Error(code); // of the session, when the certificate was good
      });
      service.close();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, some));
  return { cpuMs: cpuMs(), elapsedMs: performance.now() - startMs };
}

async function join({ address, names, tls }: Extract<ToPeer, { kind: 'join' }>): Promise<FromPeer> {
  const startMs = performance.now();
  const coordinatorKey = benchIdentity(COORDINATOR).publicKey;
  const readPlan = planReader(coordinatorKey);
  const checkReceipt = receiptCheck(coordinatorKey);
  const models = modelReader();
  const left = [...names];
  const one = async (client: string) => {
    let isIn: () => void;
    const connected = new Promise<void>((resolve) => {
      isIn = resolve;
    });
    await Participant.start({
      service: dial(address, client, tls),
      client,
      identity: benchIdentity(client),
      coordinatorKey,
      readPlan,
      checkReceipt,
      models,
      store: memoryStore(),
      trainer: tinyTrainer,
      clock: systemClock,
      rng: rngFromSeed(1).split(`jitter/${client}`),
      version: 'bench',
      notice: (message) => message === 'connected' && isIn(),
    });
    await connected;
  };
  const some = async () => {
    for (let client = left.shift(); client !== undefined; client = left.shift()) await one(client);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
  return { cpuMs: cpuMs(), elapsedMs: performance.now() - startMs };
}

function echo({ port, clients, orderBytes, answerBytes }: Extract<ToPeer, { kind: 'echo' }>): void {
  const answer = Buffer.alloc(answerBytes);
  for (let i = 0; i < clients; i++) {
    const socket: Socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let got = 0;
    socket.on('data', (bytes: Buffer) => {
      got += bytes.length;
      for (; got >= orderBytes; got -= orderBytes) socket.write(answer);
    });
  }
}

process.on('message', (message: ToPeer) => {
  if (message.kind === 'join') void join(message).then((answer) => process.send?.(answer));
  else if (message.kind === 'handshakes') void handshakes(message).then((answer) => process.send?.(answer));
  else if (message.kind === 'echo') echo(message);
  else process.send?.({ cpuMs: cpuMs() } satisfies FromPeer);
});
process.on('disconnect', () => process.exit(0));
