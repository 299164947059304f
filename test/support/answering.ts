/** A run whose clients answer every plan at once: begun, or gone on with, and followed to its end. */
import { join } from 'node:path';
import { encode } from '../../shared/tensors/safetensors.js';
import { openWorld, Peer, type World } from './peer.js';
import { toyModel, toySpec } from './toy.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];

interface Played {
  readonly rounds: number;
  /** Its name; default: r. */
  readonly run?: string;
  readonly strategy?: string;
  /** Of the coordinator: nothing is waited for after it. */
  readonly death?: Promise<void>;
  readonly setting?: Parameters<typeof openWorld>[1];
}

/** The world after the end of a run of `dataDir`, its clients gone, or after the death; its coordinator is not closed. */
export async function playRun(
  dataDir: string,
  { rounds, run = 'r', strategy, death, setting }: Played,
): Promise<World> {
  const world = await openWorld(dataDir, setting);
  const { admin } = world.coordinator;
  const work = async () => {
    if (!(await admin.listRuns()).some((one) => one.run === run)) {
      const where = { id: run, directory: join(dataDir, 'runs', run) };
      const spec = toySpec({ rounds, evaluateEvery: 2, ...(strategy && { strategy }) });
      await world.coordinator.createRun(spec, encode(toyModel()), where);
    }
    const peers = NAMES.map((name) => answering(world, name));
    for await (const _ of admin.watchRun(run));
    for (const peer of peers) peer.leave();
  };
  await Promise.race([work(), ...(death === undefined ? [] : [death])]);
  return world;
}

function answering(world: World, name: string): Peer {
  const peer = new Peer(world, name, (frame) => {
    if (frame.kind === 'plan') queueMicrotask(() => peer.answer().catch(() => undefined)); // of an attempt that is over
  });
  peer.hello();
  peer.prove();
  return peer;
}
