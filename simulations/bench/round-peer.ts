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
import { receiptCheck } from '../../shared/signing/receipts.js';
import { cpuMs } from './rows.js';
import { benchIdentity, COORDINATOR, clientNames, tinyTrainer } from './tiny.js';

/** What the benchmark asks of the process with the clients. */
export type ToPeer =
  | { readonly kind: 'join'; readonly address: string; readonly clients: number }
  /** Answer every message of `orderBytes` with `answerBytes`, over a bare socket for each client. */
  | {
      readonly kind: 'echo';
      readonly port: number;
      readonly clients: number;
      readonly orderBytes: number;
      readonly answerBytes: number;
    }
  | { readonly kind: 'cpu' };

/** CPU time of this process so far. */
export type FromPeer = { readonly cpuMs: number };

async function join(address: string, clients: number): Promise<void> {
  const coordinatorKey = benchIdentity(COORDINATOR).publicKey;
  const readPlan = planReader(coordinatorKey);
  const checkReceipt = receiptCheck(coordinatorKey);
  const models = modelReader();
  for (const client of clientNames(clients)) {
    await Participant.start({
      service: connectGrpc(address),
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
    });
  }
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
  if (message.kind === 'join') void join(message.address, message.clients);
  else if (message.kind === 'echo') echo(message);
  else process.send?.({ cpuMs: cpuMs() } satisfies FromPeer);
});
process.on('disconnect', () => process.exit(0));
