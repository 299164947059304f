/** What a client that is in says on its stream: each frame goes to the run that it is for, or nowhere. */
import { FlError } from '../shared/errors.js';
import type { ClientFrame } from '../shared/service.js';
import { isAnswerOf } from '../shared/signing/answers.js';
import type { Logger } from './log.js';
import type { Connection } from './login.js';
import type { Registry } from './registry.js';
import type { Run } from './run/run.js';
import type { UpdateReceiver } from './updates/receive.js';

/** Of what a site says about its declining, so many characters are kept. */
const MOST_DETAIL = 500;

/** To whom frames go. */
interface FrameDeps {
  readonly log: Logger;
  readonly registry: Pick<Registry, 'get'>;
  readonly receiver: Pick<UpdateReceiver, 'receiveWhole'>;
  /** Undefined: it is not at work, or not for this client. */
  runOf(id: string, client: string): Run | undefined;
}

/** A frame for a run that is not here, or out of order, is dropped: it cannot hurt a round. */
export function receiveFrame(connection: Connection, frame: ClientFrame, deps: FrameDeps): void {
  if (frame.kind === 'hello' || frame.kind === 'proof') return;
  if (frame.kind === 'small-update') return void receiveSmall(connection, frame, deps);
  const { client, policy } = connection;
  const { task } = frame;
  const run = deps.runOf(task.run, client);
  if (run === undefined) return;
  switch (frame.kind) {
    case 'progress': {
      const { stepsDone, stepsTotal } = frame;
      return run.receiveProgress(client, task, { stepsDone, stepsTotal });
    }
    case 'secure':
      return run.receiveSecure(client, task, frame.frame);
    case 'decline':
    case 'evaluation': {
      if (!isAnswerOf(deps.registry.get(client).publicKey, client, frame)) {
        deps.log.warn({ client, ...task }, `${frame.kind}: not taken, its signature is not by the client`);
        return connection.end.refused?.(`${frame.kind}: the signature is not by client "${client}"`);
      }
      if (frame.kind === 'evaluation') return run.post({ kind: 'evaluated', client, task, metrics: frame.metrics });
      const { reason, detail } = frame;
      return run.post({ kind: 'declined', client, task, reason, detail: detail.slice(0, MOST_DETAIL), policy });
    }
  }
}

/** Its faults are told as if it had come by a call: in the log, by receipt. */
async function receiveSmall(
  { client, end }: Connection,
  { signed, data }: Extract<ClientFrame, { kind: 'small-update' }>,
  { receiver, log }: FrameDeps,
): Promise<void> {
  try {
    await receiver.receiveWhole(client, signed, data);
  } catch (thrown) {
    const { code, message: reason } = FlError.from(thrown);
    log.warn({ client, reason }, 'an update was not taken');
    if (code === 'permission-denied') end.refused?.(reason);
  }
}
