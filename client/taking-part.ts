/** A client takes part, and goes on when its coordinator has another key. */
import { toHex } from '../shared/hex.js';
import { membershipIn } from './directory.js';
import { keepMembership, type Membership } from './join.js';
import type { SiteLog } from './store/site-log.js';

/** Takes part as `joined`, and again whenever the coordinator has another key, which is written down before it counts. */
export async function takingPart(
  take: (
    membership: Membership,
    handedOver: (key: Uint8Array) => void,
  ) => Promise<{ readonly done: Promise<void>; stop(): void }>,
  {
    directory,
    joined,
    siteLog,
  }: { readonly directory: string; readonly joined: Membership; readonly siteLog: SiteLog },
): Promise<{ readonly done: Promise<void>; stop(): Promise<void> }> {
  let isStopped = false;
  let end: (thrown?: unknown) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = (thrown) => (thrown === undefined ? resolve() : reject(thrown));
  });
  done.catch(() => undefined); // it may fail before anybody listens
  let following: Promise<void> | undefined;
  const begin = async (membership: Membership) => {
    let isLeft = false;
    const part = await take(membership, (key) => {
      isLeft = true;
      following = follow(membership, toHex(key)).catch(end);
    });
    part.done.then(
      () => isLeft || end(),
      (thrown) => isLeft || end(thrown),
    );
    return part;
  };
  const follow = async ({ coordinatorKey: from }: Membership, to: string) => {
    current.stop();
    const membership = { ...(await membershipIn(directory)), coordinatorKey: to };
    await keepMembership(directory, membership);
    const message = 'the coordinator has another key, by the word of the one before';
    await siteLog.add({ event: 'noticed', message, fields: { from, to } });
    if (!isStopped) current = await begin(membership);
  };
  let current = await begin(joined);
  return {
    done,
    async stop() {
      isStopped = true;
      await following;
      current.stop();
      end();
    },
  };
}
