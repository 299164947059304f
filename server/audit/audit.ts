/**
 * What a coordinator's process does with what is worth a line of its security log: writes it there, and says it in the log
 * of the process, as JSON, for whoever collects that. A line that the disk does not take is said there alone, as a warning.
 */
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import type { Identity } from '../../shared/signing/identity.js';
import { addressOf } from '../grpc/address.js';
import type { Witness } from '../grpc/witness.js';
import type { Logger } from '../log.js';
import { Counted, type More, REFUSALS } from './counted.js';
import { openSecurityLog, type SecurityEvent } from './log.js';

/** Some of it is a stranger's text. */
const MAX_REASON_CHARS = 300;

/** One that listens. */
export interface Audit extends Witness {
  /** Somebody was turned away: a connection, a join, a login or a call. */
  refused(peer: string, reason: string): void;
  /** Durable, or warned of, when it resolves; never rejects. */
  add(event: SecurityEvent): Promise<void>;
  /** Says what was counted. Nothing is to come after it. */
  close(): Promise<void>;
}

/** Of a process. @throws FlError: the disk failed */
export async function openAudit(
  dataDir: string,
  { identity, clock, log }: { readonly identity: Identity; readonly clock: Clock; readonly log: Logger },
): Promise<Audit> {
  const chain = await openSecurityLog(dataDir, { identity, clock });
  const counted = new Counted();
  let stopTimer = () => {};
  let isTiming = false;

  async function add(event: SecurityEvent): Promise<void> {
    const isBad = event.event.startsWith('refused') || (event.event === 'action' && event.outcome !== 'ok');
    if (isBad) log.warn({ audit: event }, wordsOf(event));
    else log.info({ audit: event }, wordsOf(event));
    await chain.add(event).catch((thrown) => {
      log.warn({ audit: event, reason: FlError.from(thrown).message }, 'the security log has no line of this');
    });
  }
  const addMore = async (more: More | undefined) => {
    if (more !== undefined) await add({ event: 'refused-more', ...more });
  };
  /** Those that were counted last are told of when nobody comes after them, too. */
  function flushLater(): void {
    if (isTiming) return;
    isTiming = true;
    stopTimer = clock.after(REFUSALS.windowMs, () => {
      isTiming = false;
      void addMore(counted.flush());
    });
  }

  return {
    add,
    refused(peer, reason) {
      const { isOwn, more } = counted.add(addressOf(peer), clock.nowMs());
      void addMore(more);
      if (isOwn) void add({ event: 'refused', peer, reason: reason.slice(0, MAX_REASON_CHARS) });
      else flushLater();
    },
    joined: (peer, client) => add({ event: 'joined', peer, client }),
    rotated: (peer, client, { from, to }) => add({ event: 'rotated', peer, client, from, to }),
    acted: ({ outcome, ...action }) => add({ event: 'action', ...action, outcome: outcome.slice(0, MAX_REASON_CHARS) }),
    planned: (plan) => void add({ event: 'plan', ...plan }),
    async close() {
      stopTimer();
      await addMore(counted.flush());
      await add({ event: 'stopped' });
    },
  };
}

/** For a person. */
export function wordsOf(event: SecurityEvent): string {
  switch (event.event) {
    case 'started':
      return `started: ${event.program} on ${event.address}, ${event.secure ? 'by TLS' : 'in plaintext'}`;
    case 'stopped':
      return 'stopped';
    case 'joined':
      return `joined: client ${event.client}, from ${event.peer}`;
    case 'rotated': {
      const whose = event.client === undefined ? 'the coordinator' : `client ${event.client}, from ${event.peer}`;
      return `rotated: ${whose}: key ${event.from.slice(0, 16)}… gave to ${event.to.slice(0, 16)}…`;
    }
    case 'refused':
      return `refused: ${event.peer}: ${event.reason}`;
    case 'refused-more': {
      const most = Object.entries(event.addresses).map(([address, times]) => `${address} ${times}`);
      return `refused: ${event.times} more, most from ${most.join(', ')}`;
    }
    case 'action': {
      const about = Object.entries(event.about).map(([key, value]) => `${key} ${JSON.stringify(value)}`);
      return `action: ${event.account}, from ${event.peer}: ${[event.action, ...about].join(' ')}: ${event.outcome}`;
    }
    case 'plan':
      return `plan: ${event.run} ${event.kind} round ${event.round} attempt ${event.attempt}, sha256 ${event.planSha256}`;
  }
}
