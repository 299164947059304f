/**
 * The most that a coordinator can make of what it heard: every set of clients whose sum it can unmask, with the sum.
 *
 * It combines all shares that left honest clients, takes those secrets that fit (seeds their commitments, keys the
 * advertised keys), and tries every set: the sum over S opens when each member's own mask is known, and for each pair of a
 * member and an outsider the secret key of one of the two. For cohorts small enough to try all sets.
 */
import { toHex } from '../../shared/hex.js';
import { bitmapHas, equalBytes } from '../../shared/secagg/codec.js';
import { pairMaskKey, seedCommitment, selfMaskKey } from '../../shared/secagg/derive.js';
import { decodeUnmask } from '../../shared/secagg/frames.js';
import { createKernel, dequantize, type Sign, nodeSuite as suite } from '../../shared/secagg/index.js';
import { centre } from '../../shared/secagg/ring.js';
import { type ServerRoster, topologyOf } from '../../shared/secagg/server/state.js';
import { combineShares, type Share } from '../../shared/secagg/shamir.js';
import type { Aggregation, Crossed, HostileCoordinator } from './hostile-coordinator.js';

export interface KnownSum {
  readonly clients: readonly string[];
  /** Sums over them of weight x value, per element, and of the weights. */
  readonly values: readonly number[];
  readonly weight: number;
}

export function sumsKnown(hostile: HostileCoordinator): KnownSum[] {
  const each = [...hostile.aggregations.values()].flatMap((aggregation) => spoilsIfAny(hostile, aggregation));
  const [seeds, keys] = [each.flatMap((one) => [...one.seeds.values()]), each.flatMap((one) => [...one.keys.values()])];
  const keyOf = new Map(keys.map((key) => [toHex(suite.x25519PublicKey(key)), key]));
  return each.flatMap((spoils) => knownOf(withSecretsOf(spoils, { seeds, keyOf })));
}

/** A secret that one aggregation gave away is tried in all: a client that used it twice is found out. */
function withSecretsOf(
  spoils: Spoils,
  { seeds, keyOf }: { readonly seeds: readonly Uint8Array[]; readonly keyOf: ReadonlyMap<string, Uint8Array> },
): Spoils {
  const { aggregation, roster, commitments } = spoils;
  const transcript = { aggregationId: idOf(aggregation), rosterRoot: roster.rosterRoot };
  const [allSeeds, allKeys] = [new Map(spoils.seeds), new Map(spoils.keys)];
  for (const [index, { maskPublicKey }] of roster.members.entries()) {
    const key = keyOf.get(toHex(maskPublicKey));
    if (key !== undefined) allKeys.set(index, key);
    const commitment = commitments.get(index);
    const fits = (seed: Uint8Array) =>
      commitment && equalBytes(seedCommitment(suite, transcript, { selfMaskSeed: seed, index }), commitment);
    const seed = allSeeds.has(index) ? undefined : seeds.find(fits);
    if (seed !== undefined) allSeeds.set(index, seed);
  }
  return { ...spoils, seeds: allSeeds, keys: allKeys };
}

/** Names alone, for comparison. */
export function setsKnown(hostile: HostileCoordinator): string[] {
  return sumsKnown(hostile).map(({ clients }) => clients.join(' '));
}

/** What one aggregation gave away, by roster index. */
interface Spoils {
  readonly aggregation: Aggregation;
  readonly roster: ServerRoster;
  /** With whom each client shares a mask: the neighbours among the sharers that it was shown. */
  readonly pairs: ReadonlyMap<number, readonly number[]>;
  readonly masked: ReadonlyMap<number, Uint8Array>;
  readonly commitments: ReadonlyMap<number, Uint8Array>;
  readonly seeds: ReadonlyMap<number, Uint8Array>;
  readonly keys: ReadonlyMap<number, Uint8Array>;
}

function spoilsIfAny(hostile: HostileCoordinator, aggregation: Aggregation): Spoils[] {
  return aggregation.roster === undefined ? [] : [spoilsOf(hostile, aggregation, aggregation.roster)];
}

function knownOf(spoils: Spoils): KnownSum[] {
  const uploaded = [...spoils.masked.keys()].sort((a, b) => a - b);
  const known: KnownSum[] = [];
  for (let bits = 1; bits < 2 ** uploaded.length; bits++) {
    const members = uploaded.filter((_, i) => (bits >> i) & 1);
    const sum = openSum(spoils, members);
    if (sum !== undefined) known.push(sum);
  }
  return known;
}

function spoilsOf(hostile: HostileCoordinator, aggregation: Aggregation, roster: ServerRoster): Spoils {
  const mine = ({ aggregation: id }: Crossed) => id === aggregation.id;
  const heard = hostile.heard.filter(mine);
  const shown = hostile.shown.filter(mine);
  const indexOf = (client: string) => roster.members.findIndex(({ id }) => id === client);
  const setShown = (client: string, type: 'bundles' | 'survivors') => {
    return shown.findLast((frame) => frame.client === client && frame.type === type)?.body;
  };
  const { neighbours, rankIn } = topologyOf(aggregation.context, {
    roster,
    gone: [],
    aggregationId: idOf(aggregation),
  });
  const held = { seeds: new Map<number, Share[]>(), keys: new Map<number, Share[]>() };
  for (const { client, body } of heard.filter(({ type }) => type === 'unmask')) {
    const holder = indexOf(client);
    const halves = [...decodeUnmask(body)];
    const [included, survivors] = [setShown(client, 'bundles')!, setShown(client, 'survivors')!];
    for (const [j, owner] of neighbours[holder].entries()) {
      if (!bitmapHas(included, owner)) continue;
      const kind = bitmapHas(survivors, owner) ? held.seeds : held.keys;
      kind.set(owner, [...(kind.get(owner) ?? []), { x: rankIn[holder][j] + 1, bytes: halves.shift()! }]);
    }
  }
  const transcript = { aggregationId: idOf(aggregation), rosterRoot: roster.rosterRoot };
  const commitments = new Map(
    heard.filter(({ type }) => type === 'shares').map(({ client, body }) => [indexOf(client), body.subarray(0, 32)]),
  );
  const fitting = (shares: ReadonlyMap<number, Share[]>, fits: (secret: Uint8Array, index: number) => boolean) => {
    return new Map(
      [...shares].flatMap(([index, all]) => {
        if (all.length < roster.threshold) return [];
        const secret = combineShares(all.slice(0, roster.threshold));
        return fits(secret, index) ? [[index, secret] as const] : [];
      }),
    );
  };
  const masked = heard
    .filter(({ type }) => type === 'masked')
    .map(({ client, body }) => [indexOf(client), body] as const);
  const sharersOf = ([index]: readonly [number, Uint8Array]) => {
    const included = setShown(roster.members[index].id, 'bundles')!;
    return [index, neighbours[index].filter((other) => bitmapHas(included, other))] as const;
  };
  return {
    ...{ aggregation, roster, commitments },
    masked: new Map(masked),
    pairs: new Map(masked.map(sharersOf)),
    seeds: fitting(held.seeds, (seed, index) =>
      equalBytes(seedCommitment(suite, transcript, { selfMaskSeed: seed, index }), commitments.get(index)!),
    ),
    keys: fitting(held.keys, (key, index) =>
      equalBytes(suite.x25519PublicKey(key), roster.members[index].maskPublicKey),
    ),
  };
}

/** The sum over `members`, or undefined when some mask on it stays unknown. */
function openSum(
  { aggregation, roster, pairs, masked, seeds, keys }: Spoils,
  members: readonly number[],
): KnownSum | undefined {
  const transcript = { aggregationId: idOf(aggregation), rosterRoot: roster.rosterRoot };
  const masks: { key: Uint8Array; sign: Sign }[] = [];
  for (const index of members) {
    const seed = seeds.get(index);
    if (seed === undefined) return undefined;
    masks.push({ key: selfMaskKey(suite, transcript, { selfMaskSeed: seed, index }), sign: -1 });
    for (const other of pairs.get(index)!) {
      if (members.includes(other) && pairs.get(other)!.includes(index)) continue; // the two cancel
      const [own, peer] = keys.has(index) ? [index, other] : [other, index];
      const secretKey = keys.get(own);
      const secret = secretKey && suite.x25519(secretKey)(roster.members[peer].maskPublicKey);
      if (secret === undefined) return undefined;
      masks.push({
        key: pairMaskKey(suite, transcript, { secret, pair: [index, other] }),
        sign: index < other ? -1 : 1,
      });
    }
  }
  const { params, quantize } = aggregation.setup;
  const kernel = createKernel();
  kernel.reset(params.elements);
  for (const index of members) kernel.addBytes(masked.get(index)!);
  for (const mask of masks) kernel.addMask(suite, mask);
  const { values, weight } = dequantize(quantize, centre(kernel.read(), params.ring.bits));
  return { clients: members.map((index) => roster.members[index].id).sort(), values: [...values], weight };
}

const idOf = ({ id }: Aggregation): Uint8Array => Buffer.from(id, 'hex');
