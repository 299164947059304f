/**
 * Where a client looks for its coordinator: where its membership says, where the coordinator's own signed word says, and
 * where the join token said. It stays where it was let in last; from where it is not let in, it goes on to the next.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, systemClock } from '../shared/clock.js';
import { writeFileDurably } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, ParticipantService } from '../shared/service.js';
import { isNotice, type SignedNotice } from '../shared/signing/address-notice.js';
import { parseAddress } from '../shared/wire/address.js';
import { MEMBERSHIP_FILE, type Membership } from './join.js';

/** The coordinator's word of the highest number, as JSON with its signature in hex. */
export const NOTICE_FILE = 'addresses.json';

/** What a client knows of where its coordinator is. */
export interface Addresses {
  /** Where the next control stream goes to, HOST:PORT. */
  current(): string;
  /** Opens a control stream by `connect`, and learns from how it goes. */
  connect(connect: ParticipantService['connect'], toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame>;
}

/** TCP itself takes two minutes to give up an address where nobody says no. */
const LOGIN_MS = 30_000;

interface AddressesDeps {
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Ed25519, 32 bytes: nobody else's word counts. */
  readonly coordinatorKey: Uint8Array;
  readonly notice: (message: string, fields: object) => void;
}

/** @param directory the client's; `client.json` is read again for each stream, so that a person can correct it */
export function addressesIn(directory: string, joined: Membership, deps: AddressesDeps): Addresses {
  const { coordinatorKey, notice, clock = systemClock } = deps;
  let membership = joined;
  let signed = noticeIn(directory, coordinatorKey);
  let at = membership.address;
  const known = () => all(membership, signed);
  const keep = async (heard: SignedNotice) => {
    const { number = -1 } = signed ?? {};
    if (heard.number === number) return;
    const isSigned = isNotice(coordinatorKey, heard);
    if (heard.number < number || !isSigned) {
      const reason = isSigned ? 'it is older than what is known' : 'its signature is not by the coordinator';
      return notice('addresses not taken', { reason });
    }
    signed = heard;
    const text = JSON.stringify({ ...heard, signature: toHex(heard.signature) });
    await writeFileDurably(join(directory, NOTICE_FILE), Buffer.from(`${text}\n`));
  };
  return {
    current() {
      const now = membershipNow(directory) ?? membership;
      if (now.address !== membership.address) at = now.address;
      membership = now;
      return at;
    },
    connect(connect, toClient) {
      let isIn = false;
      let isOver = false;
      /** Says whether it was not over before. */
      const over = () => {
        if (isOver) return false;
        isOver = true;
        cancel();
        const others = known();
        if (!isIn) at = others[(others.indexOf(at) + 1) % others.length];
        return true;
      };
      const end = (reason: string) => over() && toClient.close(reason);
      const cancel = clock.after(LOGIN_MS, () => {
        const reason = `no answer from ${at} within ${LOGIN_MS / 1000} s`;
        stream.close(reason);
        end(reason);
      });
      const stream = connect({
        send(frame) {
          if (isOver) return;
          if (frame.kind === 'welcome') {
            isIn = true;
            cancel();
            const failed = (thrown: unknown) => notice('addresses not kept', { reason: FlError.from(thrown).message });
            if (frame.addresses !== undefined) keep(frame.addresses).catch(failed);
          }
          toClient.send(frame);
        },
        close: (reason) => void end(reason),
      });
      return {
        send: (frame) => stream.send(frame),
        close(reason) {
          over();
          stream.close(reason);
        },
      };
    },
  };
}

/** Where a client would look, the likeliest first. */
export function addressesKnown(directory: string, membership: Membership, coordinatorKey: Uint8Array): string[] {
  return all(membership, noticeIn(directory, coordinatorKey));
}

function all({ address, others = [] }: Membership, notice: SignedNotice | undefined): string[] {
  return [...new Set([address, ...(notice?.addresses ?? []), ...others])];
}

/** Undefined: there is none, or what is there is not the coordinator's word. */
function noticeIn(directory: string, coordinatorKey: Uint8Array): SignedNotice | undefined {
  try {
    const { addresses, number, signature } = JSON.parse(readFileSync(join(directory, NOTICE_FILE), 'utf8'));
    const signed = { addresses, number, signature: Buffer.from(signature, 'hex') };
    return isNotice(coordinatorKey, signed) ? signed : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined: it cannot be read just now. */
function membershipNow(directory: string): Membership | undefined {
  try {
    const read = JSON.parse(readFileSync(join(directory, MEMBERSHIP_FILE), 'utf8')) as Membership;
    parseAddress('address', read.address);
    return read;
  } catch {
    return undefined;
  }
}
