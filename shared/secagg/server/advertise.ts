/**
 * Phase 1, advertise: collect signed keys of enrolled clients; then freeze the roster and tell everyone its neighbours.
 */
import { toHex } from '../../hex.js';
import { isStrictX25519Key } from '../../signing/strict.js';
import type { SecaggDropReason } from '../checks.js';
import { compareBytes, equalBytes } from '../codec.js';
import { type Advertisement, advertisementBody, rosterEntry, rosterRootOf } from '../derive.js';
import { decodeAdvertise, encodeAdvertisement, encodeEntries, encodeRoster } from '../frames.js';
import { type GraphParameters, graphParameters } from '../graph.js';
import {
  aborted,
  type ServerContext,
  type ServerInPhase,
  type ServerOutput,
  type ServerRoster,
  type ServerState,
  type ServerStep,
  topologyOf,
} from './state.js';

type Collecting = ServerInPhase<'advertise'>;

/** Takes one advertisement, or says why not. A second one of the same client is ignored: the first stands. */
export function takeAdvertisement(
  context: ServerContext,
  state: Collecting,
  { from, body }: { from: string; body: Uint8Array },
): Collecting | SecaggDropReason {
  const advertisement = decodeAdvertise(body);
  if (state.advertisements.some(({ id }) => id === from)) return state;
  const fault = advertisementFault(context, state, { from, advertisement });
  if (fault !== undefined) return fault;
  const absent = state.absent.filter((id) => id !== from);
  return { ...state, advertisements: [...state.advertisements, advertisement], absent };
}

function advertisementFault(
  { suite, enrolment, params }: ServerContext,
  { aggregationId, advertisements }: Collecting,
  { from, advertisement }: { from: string; advertisement: Advertisement },
): SecaggDropReason | undefined {
  const publicKey = enrolment.keyOf(from);
  if (advertisements.length >= params.cohortMax) return 'cohort-full';
  if (publicKey === undefined || advertisement.id !== from) return 'unenrolled';
  const { signature, sharePublicKey, maskPublicKey } = advertisement;
  const message = advertisementBody(aggregationId, advertisement);
  if (!suite.verify({ publicKey, message, signature })) return 'bad-signature';
  const keys = [sharePublicKey, maskPublicKey];
  if (!keys.every(isStrictX25519Key) || equalBytes(sharePublicKey, maskPublicKey)) return 'bad-key';
  return undefined;
}

/** Splits off whoever advertised a key that an earlier member already has: two names of one client. */
function withoutReusedKeys(advertisements: readonly Advertisement[]): {
  kept: Advertisement[];
  reused: Advertisement[];
} {
  const seen = new Set<string>();
  const kept: Advertisement[] = [];
  const reused: Advertisement[] = [];
  for (const member of advertisements) {
    const keys = [toHex(member.sharePublicKey), toHex(member.maskPublicKey)];
    (keys.some((key) => seen.has(key)) ? reused : kept).push(member);
    for (const key of keys) seen.add(key);
  }
  return { kept, reused };
}

/** Freezes the roster. */
export function closeAdvertise(context: ServerContext, state: Collecting): ServerStep {
  const { params } = context;
  const { kept, reused } = withoutReusedKeys(state.advertisements);
  const cohort = kept.length;
  if (cohort < params.cohortMin) return aborted(state, 'cohort-too-small');
  let parameters: GraphParameters;
  try {
    parameters = graphParameters(cohort, params);
  } catch {
    return aborted(state, 'no-safe-graph');
  }
  const roster = freeze(context, { ...state, advertisements: kept }, parameters);
  const none = new Array<null>(cohort).fill(null);
  const gone = new Array<boolean>(cohort).fill(false);
  const next: ServerState = { phase: 'share', aggregationId: state.aggregationId, roster, gone, shares: none };
  const drops = reused.map(({ id }): ServerOutput => ({ kind: 'drop', id, phase: 'advertise', reason: 'bad-key' }));
  return [next, [...drops, { kind: 'phase', phase: 'share', waitingFor: cohort }, ...rosterFrames(context, next)]];
}

function freeze(
  { suite, enrolment }: ServerContext,
  { aggregationId, advertisements }: Collecting,
  { degree, threshold }: GraphParameters,
): ServerRoster {
  const lines = advertisements
    .map((member) => {
      const enrolledKey = enrolment.keyOf(member.id)!; // taken only if enrolled
      return { member, entry: rosterEntry(suite, { aggregationId, enrolledKey }, member) };
    })
    .sort((a, b) => compareBytes(a.entry.tag, b.entry.tag));
  const entries = lines.map(({ entry }) => entry);
  const rosterRoot = rosterRootOf(suite, aggregationId, { entries, degree, threshold });
  return { members: lines.map(({ member }) => member), entries, rosterRoot, degree, threshold };
}

/** The roster frame of every member that has not answered yet. */
export function rosterFrames(context: ServerContext, state: ServerInPhase<'share'>): ServerOutput[] {
  const { aggregationId, roster, shares, gone } = state;
  const { neighbours } = topologyOf(context, state);
  const lines = encodeEntries(roster.entries);
  const encoded = roster.members.map(encodeAdvertisement);
  return roster.members.flatMap(({ id }, ownIndex): ServerOutput[] => {
    if (shares[ownIndex] !== null || gone[ownIndex]) return [];
    const around = neighbours[ownIndex].map((index) => roster.members[index]);
    const advertisements = neighbours[ownIndex].map((index) => encoded[index]);
    const body = { ...roster, ownIndex, neighbours: around };
    const frame = encodeRoster(aggregationId, body, { lines, advertisements });
    return [{ kind: 'send', to: id, type: 'roster', frame }];
  });
}
