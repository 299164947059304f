/**
 * A coordinator that runs the protocol with real clients and changes what one of them, the victim, is shown.
 */

import type { ClientContext } from '../../../shared/secagg/client/state.js';
import { concat } from '../../../shared/secagg/codec.js';

import { type Advertisement, advertisementBody, type RosterEntry, rosterEntry } from '../../../shared/secagg/derive.js';
import {
  bundleBytes,
  decodeRoster,
  encodeRoster,
  encodeSignatures,
  type FrameType,
  HEADER_BYTES,
  parseFrame,
  type RosterBody,
} from '../../../shared/secagg/frames.js';
import { startServer, stepServer } from '../../../shared/secagg/server/machine.js';
import type { ServerOutput, ServerState } from '../../../shared/secagg/server/state.js';
import { framesOf, type Party, type WiredClient, wireClient } from './party.js';

export const VICTIM = 'client-0';

export interface Mounted {
  readonly victim: WiredClient;
  /** Indices in the roster: the victim's own, the others' in ascending order. */
  readonly own: number;
  readonly others: readonly number[];
}

/** What the victim is told in place of an honest frame; the same frame to let it pass. */
export type Deceive = (type: FrameType, frame: Uint8Array, mounted: Mounted) => readonly Uint8Array[];

/** Runs the protocol to its end, or until nobody has anything to say; the deadline of each phase comes when all is quiet. */
export function mount(party: Party, overrides: Partial<ClientContext>, deceive: Deceive): WiredClient {
  const clients = new Map(party.ids.map((id) => [id, wireClient(party, id, id === VICTIM ? overrides : {})]));
  const victim = clients.get(VICTIM)!;
  const inbox = [...clients].flatMap(([from, { sent }]) => framesOf(sent).map((bytes) => ({ from, bytes })));
  let state: ServerState = startServer(party.server);
  let own = -1;
  for (let turns = 0; turns < 1000 && state.phase !== 'done' && state.phase !== 'aborted'; turns++) {
    const mail = inbox.shift();
    const input = mail === undefined ? ({ kind: 'deadline' } as const) : ({ kind: 'frame', ...mail } as const);
    const [next, outputs] = stepServer(party.server, state, input);
    state = next;
    if ('roster' in state) own = state.roster.members.findIndex(({ id }) => id === VICTIM);
    for (const output of [...outputs, ...signaturesAnyway(outputs, state, own)]) {
      if (output.kind !== 'send') continue;
      const { to, frame } = output;
      const others = party.ids.map((_, index) => index).filter((index) => index !== own);
      const shown = to === VICTIM ? deceive(output.type, frame, { victim, own, others }) : [frame];
      for (const bytes of shown) {
        for (const reply of framesOf(clients.get(to)!.tell({ kind: 'frame', bytes })))
          inbox.push({ from: to, bytes: reply });
      }
    }
  }
  return victim;
}

/** An honest server asks nobody whose signature was wrong; a lying one shows the victim the others' signatures all the same. */
function signaturesAnyway(outputs: readonly ServerOutput[], state: ServerState, own: number): ServerOutput[] {
  const begins = outputs.some((output) => output.kind === 'phase' && output.phase === 'unmask');
  if (!begins || state.phase !== 'unmask' || state.signatures[own] !== null) return [];
  const others = state.signatures.flatMap((signature, index) => (signature && index !== own ? [signature] : []));
  const frame = encodeSignatures(state.aggregationId, state.signers, others);
  return [{ kind: 'send', to: VICTIM, type: 'signatures', frame }];
}

/** Changes frames of one type and lets all others pass. */
export const onFrame =
  (type: FrameType, change: (frame: Uint8Array, mounted: Mounted) => Uint8Array | readonly Uint8Array[]): Deceive =>
  (seen, frame, mounted) => {
    if (seen !== type) return [frame];
    const changed = change(frame, mounted);
    return changed instanceof Uint8Array ? [changed] : changed;
  };

export const flipByte = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes.at(at)! ^ 1);

/** Clears or sets the bits of the bitmap that opens a frame's body (cohorts of at most 8: one byte). */
export const setMembers = (frame: Uint8Array, indices: readonly number[]): Uint8Array =>
  frame.with(
    HEADER_BYTES,
    indices.reduce((bits, index) => bits | (1 << index), 0),
  );

/** Removes the i-th item behind a one-byte bitmap. */
export function withoutItem(frame: Uint8Array, item: number, itemBytes: number): Uint8Array {
  const at = HEADER_BYTES + 1 + item * itemBytes;
  return concat(frame.subarray(0, at), frame.subarray(at + itemBytes));
}

/** A bundles frame from which some of the victim's neighbours are missing, bitmap and bundles both. */
export function withholdBundles(
  party: Party,
  frame: Uint8Array,
  { own, others }: Mounted,
  withheld: readonly number[],
) {
  const kept = others.filter((_, rank) => !withheld.includes(rank));
  const cut = withheld
    .toSorted((a, b) => b - a)
    .reduce((f, rank) => withoutItem(f, rank, bundleBytes(party.suite)), frame);
  return setMembers(cut, [own, ...kept]);
}

interface Line {
  entry: RosterEntry;
  advertisement: Advertisement | undefined; // absent for the victim's own line
}

/** A roster frame with its lines changed; put back in order of tags unless told otherwise, neighbours to match. */
export function forgeRoster(
  frame: Uint8Array,
  change: (lines: Line[], body: RosterBody) => Partial<RosterBody> | undefined,
  sorted = true,
): Uint8Array {
  const { aggregationId, body } = parseFrame(frame);
  const roster = decodeRoster(body);
  const advertisements = [...roster.neighbours];
  const lines: Line[] = roster.entries.map((entry, index) => ({
    entry,
    advertisement: index === roster.ownIndex ? undefined : advertisements.shift(),
  }));
  const overrides = change(lines, roster);
  if (sorted) lines.sort((a, b) => Buffer.compare(a.entry.tag, b.entry.tag));
  return encodeRoster(aggregationId, {
    ...roster,
    ownIndex: lines.findIndex(({ advertisement }) => advertisement === undefined),
    entries: lines.map(({ entry }) => entry),
    neighbours: lines.flatMap(({ advertisement }) => advertisement ?? []),
    ...overrides,
  });
}

/** A line for any id and keys, signed with `seed` and listed under that seed's public key. */
export function forgeLine(
  { suite }: Party,
  aggregationId: Uint8Array,
  { id, seed, keys }: { id: string; seed: Uint8Array; keys: readonly [Uint8Array, Uint8Array] },
): Line {
  const unsigned = { id, sharePublicKey: keys[0], maskPublicKey: keys[1] };
  const enrolledKey = suite.ed25519PublicKey(seed);
  const signature = suite.signer(seed)(advertisementBody(aggregationId, unsigned));
  return {
    entry: rosterEntry(suite, { aggregationId, enrolledKey }, unsigned),
    advertisement: { ...unsigned, signature },
  };
}

export const freshKeys = ({ suite, rng }: Party): [Uint8Array, Uint8Array] => [
  suite.x25519PublicKey(rng.bytes(32)),
  suite.x25519PublicKey(rng.bytes(32)),
];
