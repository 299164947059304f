/**
 * A program: a link of 100 ms each way that loses one packet of a hundred. A packet is a datagram: what comes in at one of
 * two ports of this machine leaves, later, by the other one, to whoever was last heard there.
 */
import { createSocket, type RemoteInfo } from 'node:dgram';

const DELAY_MS = 100;
const LOST = 1 / 100;
/** Seed of a linear congruential generator (Park and Miller 1988, CACM 31(10)): which packets are lost is the same again. */
let state = 20_261;

function isLost(): boolean {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647 < LOST;
}

const ends = [9000, 9001].map((port) => {
  const socket = createSocket('udp4').bind(port);
  return { socket, peer: undefined as RemoteInfo | undefined };
});

for (const [i, end] of ends.entries()) {
  const other = ends[1 - i];
  end.socket.on('message', (packet, from) => {
    end.peer = from;
    if (isLost()) return;
    setTimeout(() => other.peer && other.socket.send(packet, other.peer.port, other.peer.address), DELAY_MS);
  });
}
