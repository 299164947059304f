/** Whether a coordinator's process can do its work, in words: what its health port says. */
import { probeDisk } from '../shared/disk/probe.js';
import { FlError } from '../shared/errors.js';
import type { Coordinator } from './coordinator.js';
import type { GrpcServer } from './grpc/server.js';
import type { Readiness } from './health.js';

/** Asked again for each answer; what is not there yet is still being started. */
export async function readinessOf(
  dataDir: string,
  { coordinator, server }: { readonly coordinator?: Coordinator; readonly server?: GrpcServer },
): Promise<Readiness> {
  if (coordinator === undefined || server === undefined)
    return { reason: `starting: the runs of ${dataDir} are being read`, running: 0, paused: [], damaged: [] };
  const { running, paused, damaged, why } = coordinator.state;
  const reasons = [
    await probeDisk(dataDir).then(
      () => '',
      (thrown) => FlError.from(thrown).message,
    ),
    paused.length === 0 ? '' : `${paused.length} of ${running} runs are paused: ${why}`,
    server.isFull
      ? `connections are refused: ${server.connections} are open, as many as there are descriptors for`
      : '',
  ];
  return { reason: reasons.filter((reason) => reason !== '').join('; '), running, paused, damaged };
}
