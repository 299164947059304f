/** How a service of the command line (`coordinator`, `client run`) ends: told to, or by a failure, which ends the process. */
import { adviceOn, faultOf } from '../../shared/disk/faults.js';
import { FlError } from '../../shared/errors.js';
import { onInterrupt } from './options.js';

/** What a service that has failed may take to close; then the process ends all the same, as by a kill. */
export const CLOSE_LIMIT_MS = 5_000;

/** A service at work. `done` resolves when it was stopped and rejects when it has failed; `stop` closes it. */
interface Service {
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Resolves when `service` was told to stop and did. `name` is for a person: "the coordinator of DIR".
 * @throws FlError what it failed with, when it is closed or has had its time
 */
export async function serve(service: Service, name: string, closeLimitMs = CLOSE_LIMIT_MS): Promise<void> {
  let fail: (error: unknown) => void = () => {};
  const stopFailed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const release = onInterrupt(() => void service.stop().catch(fail));
  try {
    await Promise.race([service.done, stopFailed]);
  } catch (thrown) {
    await closed(service, closeLimitMs);
    throw endOf(name, thrown);
  } finally {
    release();
  }
}

/** Never rejects: the first error is the one to tell. */
async function closed(service: Service, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([service.stop().catch(() => undefined), limit]);
  clearTimeout(timer);
}

/** Names a service that has failed or did not start, when its machine is at fault: other errors name what they are about. */
export function endOf(name: string, thrown: unknown): FlError {
  return adviceOn(thrown) === undefined ? FlError.from(thrown) : faultOf(`${name} cannot go on`, thrown);
}
