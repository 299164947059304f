/**
 * The lies that a coordinator tells one client, the victim, while the others see an honest one: what the victim is shown,
 * the reason it must give, and how far it had gone. Five clients: degree 4, threshold 3, so that two neighbours gone are
 * one too many.
 */

import { declineReasonOf } from '../../client/round/policy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { bundleBytes, encodeSurvivors, type FrameType, HEADER_BYTES } from '../../shared/secagg/frames.js';
import { graphParameters } from '../../shared/secagg/graph.js';
import { type ClientCheck, nodeSuite } from '../../shared/secagg/index.js';
import { flipByte, forgeLine, forgeRoster, freshKeys, setMembers, withoutItem } from '../shared/secagg/hostile.js';
import { createParty } from '../shared/secagg/party.js';
import { type Deceive, seedOf, type Target } from './hostile-coordinator.js';
import { ANY, listOf, type Site } from './sites.js';

export const NAMES = ['c1', 'c2', 'c3', 'c4', 'c5'];
export const VICTIM = 'c1';
/** Enrolled, and on the coordinator's side: it has given away its long-term key. */
const CORRUPT = 'c5';

export interface Lie {
  readonly lie: string;
  /** A named check, or the rule on plans that forbids it. */
  readonly reason: ClientCheck | RegExp;
  /** What the victim insists on. */
  readonly site?: Site;
  /** What the victim's plan says otherwise than the others'. */
  readonly plan?: (plan: RoundPlan) => RoundPlan;
  readonly deceive?: Deceive;
  /** The sets of clients whose sum opens all the same, where it is not the one of the group. */
  readonly known?: readonly string[];
}

const ANY_THREAT = { adversaryFraction: 0, dropFraction: 0 };

/** The helpers of the machine's own suite want a party; only its suite and generator are used. */
const party = createParty({ clients: 3 });
const idIn = (frame: Uint8Array) => frame.slice(2, HEADER_BYTES);

const when =
  (type: FrameType, change: (frame: Uint8Array, target: Target) => Uint8Array | readonly Uint8Array[]): Deceive =>
  (seen, frame, target) => {
    if (seen !== type) return [frame];
    const shown = change(frame, target);
    return shown instanceof Uint8Array ? [shown] : shown;
  };

function withoutBundles(frame: Uint8Array, { own, others }: Target, ranks: readonly number[]): Uint8Array {
  const cut = ranks
    .toSorted((a, b) => b - a)
    .reduce((rest, rank) => withoutItem(rest, rank, bundleBytes(nodeSuite)), frame);
  return setMembers(cut, [own, ...others.filter((_, rank) => !ranks.includes(rank))]);
}

/** The corrupt client's line, with keys of the coordinator's choice. */
const corruptKeys = (choose: (of: Uint8Array) => [Uint8Array, Uint8Array]): Deceive =>
  when('roster', (frame) =>
    forgeRoster(frame, (lines) => {
      const at = lines.findIndex(({ advertisement }) => advertisement?.id === CORRUPT);
      const other = lines.find(({ advertisement }) => advertisement && advertisement.id !== CORRUPT)!.advertisement!;
      lines[at] = forgeLine(party, idIn(frame), {
        id: CORRUPT,
        seed: seedOf(CORRUPT),
        keys: choose(other.sharePublicKey),
      });
      return undefined;
    }),
  );

const policy = (floor: object): Site => ({ policy: { ...ANY, ...floor } });
const masked: Site = { declineReason: (plan) => forbidden(plan, { 'require-secure-aggregation': true }) };

function forbidden(plan: RoundPlan, rules: Parameters<typeof declineReasonOf>[0]) {
  const detail = declineReasonOf(rules, plan);
  return detail === undefined ? undefined : { reason: 'refused' as const, detail };
}

function plain({ secure: _, work, ...plan }: RoundPlan): RoundPlan {
  const { secure: __, ...rest } = work;
  return { ...plan, work: rest };
}

/** Refused when the plan comes: not even a key leaves. */
export const PLANS: readonly Lie[] = [
  { lie: 'a cohort below the policy of the site', reason: 'cohort-below-policy', site: policy({ cohortMin: 6 }) },
  { lie: 'a sum over fewer than the site allows', reason: 'survivors-below-policy', site: policy({ survivorsMin: 3 }) },
  {
    lie: 'a threshold for fewer colluders',
    reason: 'adversary-below-policy',
    site: policy({ adversaryFraction: 0.1 }),
  },
  {
    lie: 'a plan for a cohort below the policy file',
    reason: /^policy: min-cohort: expected at least 6, got 5; next: raise the cohort /,
    site: { declineReason: (plan) => forbidden(plan, { 'min-cohort': 6 }) },
  },
  { lie: 'the same run without secure aggregation', reason: /require-secure-aggregation/, site: masked, plan: plain },
  {
    lie: 'an evaluation without secure aggregation',
    reason: /require-secure-aggregation/,
    site: masked,
    plan: (plan) => plain({ ...plan, kind: 'evaluate' }),
  },
  {
    lie: 'wrap-around: a cohort and weights that no ring of 32 bits holds',
    reason: /^cohort x weight-cap: expected at most \d+, got 100000000$/,
    plan: (plan) => ({
      ...plan,
      cohort: 100,
      work: { ...plan.work, secure: { ...plan.work.secure!, weightCap: 1_000_000 } },
    }),
  },
  {
    lie: 'minima out of order: more survivors than members',
    reason: 'params-out-of-range',
    plan: (plan) => ({ ...plan, work: { ...plan.work, secure: { ...plan.work.secure!, survivorsMin: 9 } } }),
  },
  {
    lie: 'one enrolled key under two names',
    reason: /^enrolled key: expected its own 32 bytes/,
    site: { enrolled: undefined },
    plan: (plan) => {
      const { nonce, enrolled } = plan.secure!;
      return { ...plan, secure: { nonce, enrolled: { ...enrolled, c9: enrolled.c2 } } };
    },
  },
];

/** Refused when the roster comes: the victim has sent its fresh public keys and no share. */
export const ROSTERS: readonly Lie[] = [
  {
    lie: 'key substitution: the coordinator in the middle of every pair',
    reason: 'advertisement-unsigned',
    deceive: when('roster', (frame) =>
      forgeRoster(frame, (lines) => {
        for (const [at, { advertisement }] of lines.entries()) {
          if (advertisement === undefined) continue;
          const { id, signature } = advertisement;
          const forged = forgeLine(party, idIn(frame), { id, seed: seedOf(id), keys: freshKeys(party) });
          lines[at] = { entry: forged.entry, advertisement: { ...forged.advertisement!, signature } };
        }
        return undefined;
      }),
    ),
  },
  {
    lie: 'keys other than those under the roster root',
    reason: 'advertisement-substituted',
    deceive: when('roster', (frame, { own }) =>
      forgeRoster(frame, (lines) => {
        const at = (own + 1) % lines.length;
        const { entry, advertisement } = lines[at];
        const [sharePublicKey, maskPublicKey] = freshKeys(party);
        lines[at] = { entry, advertisement: { ...advertisement!, sharePublicKey, maskPublicKey } };
        return undefined;
      }),
    ),
  },
  {
    lie: 'Sybils in the roster that nobody enrolled',
    reason: 'unenrolled-member',
    deceive: when('roster', (frame, { own }) =>
      forgeRoster(frame, (lines) => {
        for (const [at, { advertisement }] of lines.entries()) {
          if (at === own || advertisement === undefined) continue;
          const sybil = { id: `s${at}`, seed: party.rng.bytes(32), keys: freshKeys(party) };
          lines[at] = forgeLine(party, idIn(frame), sybil);
        }
        return undefined;
      }),
    ),
  },
  {
    lie: 'threshold downgrade in the roster',
    reason: 'threshold-changed',
    deceive: when('roster', (frame) => forgeRoster(frame, () => ({ threshold: 2 }))),
  },
  {
    lie: 'wrap-around: one member more than the ring was made for',
    reason: 'cohort-size',
    deceive: when('roster', (frame) =>
      forgeRoster(frame, (lines) => {
        lines.push(forgeLine(party, idIn(frame), { id: 'c6', seed: seedOf('c6'), keys: freshKeys(party) }));
        return graphParameters(6, ANY_THREAT);
      }),
    ),
  },
  {
    lie: 'a roster in the coordinator\u2019s order',
    reason: 'roster-order',
    deceive: when('roster', (frame) => forgeRoster(frame, (lines) => void lines.reverse(), false)),
  },
  {
    lie: 'the victim with other keys than its own',
    reason: 'own-entry',
    deceive: when('roster', (frame, { own }) =>
      forgeRoster(frame, (lines) => {
        const forged = forgeLine(party, idIn(frame), { id: VICTIM, seed: seedOf(VICTIM), keys: freshKeys(party) });
        lines[own] = { entry: forged.entry, advertisement: undefined };
        return undefined;
      }),
    ),
  },
  {
    lie: 'low-order point as the key of a corrupt neighbour',
    reason: 'low-order-key',
    deceive: corruptKeys(() => [new Uint8Array(32), freshKeys(party)[1]]),
  },
  {
    lie: 'one client under two names: a corrupt neighbour with another\u2019s key',
    reason: 'key-reused',
    deceive: corruptKeys((other) => [other, freshKeys(party)[1]]),
  },
  {
    lie: 'a frame of another aggregation',
    reason: 'wrong-aggregation',
    deceive: when('roster', (frame) => flipByte(frame, 5)),
  },
  {
    lie: 'frames out of order: survivors before the roster',
    reason: 'out-of-order',
    deceive: when('roster', (frame) => [encodeSurvivors(idIn(frame), Uint8Array.of(0b11111)), frame]),
  },
];

/** Refused when the bundles come: its shares are with its neighbours, sealed, and no vector has left. */
export const BUNDLES: readonly Lie[] = [
  {
    lie: 'junk shares',
    reason: 'bundle-forged',
    deceive: when('bundles', (frame) => flipByte(frame, HEADER_BYTES + 1 + bundleBytes(nodeSuite) + 20)),
  },
  {
    lie: 'bundles withheld until the masks are few',
    reason: 'too-few-bundles',
    deceive: when('bundles', (frame, target) => withoutBundles(frame, target, [0, 1])),
  },
  {
    lie: 'the victim left out of the sharers',
    reason: 'self-not-included',
    deceive: when('bundles', (frame, { others }) => setMembers(frame, others)),
  },
  {
    lie: 'a second, different roster',
    reason: 'contradicting-frame',
    deceive: when('bundles', (frame) => [flipByte(frame, HEADER_BYTES).with(1, 2), frame]),
  },
];

/** Refused when the survivors come: the masked vector is with the coordinator, and no share that opens it. */
export const SURVIVORS: readonly Lie[] = [
  {
    lie: 'late input: the victim declared dead after its upload',
    reason: 'self-not-survivor',
    deceive: when('survivors', (frame, { others }) => setMembers(frame, others)),
  },
  {
    lie: 'drop-outs side by side: two of four neighbours',
    reason: 'too-few-neighbours',
    deceive: when('survivors', (frame, { own, others }) => setMembers(frame, [own, ...others.slice(2)])),
  },
  {
    lie: 'a survivor that never shared',
    reason: 'survivors-not-included',
    known: [], // one mask between the two stays on the sum: what the coordinator has spoilt is spoilt for it, too
    deceive: (type, frame, target) => [type === 'bundles' ? withoutBundles(frame, target, [0]) : frame],
  },
];

/** Refused when the victim has signed: it gives back no share. */
export const SIGNED: readonly Lie[] = [
  {
    lie: 'alive/dead overlap: a second survivor set to the same client',
    reason: 'second-survivor-set',
    deceive: when('survivors', (frame, { own, others }) => [frame, setMembers(frame, [own, ...others.slice(1)])]),
  },
  {
    lie: 'fewer signatures than the threshold',
    reason: 'survivors-disputed',
    deceive: when('signatures', (frame, { others }) => {
      return setMembers(
        [0, 0].reduce((rest) => withoutItem(rest, 0, 64), frame),
        others.slice(2),
      );
    }),
  },
  {
    lie: 'signatures that nobody gave',
    reason: 'survivors-disputed',
    deceive: when('signatures', (frame) => frame.map((byte, at) => (at > HEADER_BYTES ? byte ^ 1 : byte))),
  },
];

/** One byte more, one byte less, in each frame that a coordinator sends. */
export const LENGTHS: readonly { type: FrameType; lie: Lie }[] = (
  ['roster', 'bundles', 'survivors', 'signatures'] as const
).flatMap((type) => [
  {
    type,
    lie: {
      lie: `a ${type} frame that is a byte too long`,
      reason: 'malformed-frame',
      deceive: when(type, (frame) => Uint8Array.of(...frame, 0)),
    },
  },
  {
    type,
    lie: {
      lie: `a ${type} frame that is a byte short`,
      reason: 'malformed-frame',
      deceive: when(type, (frame) => frame.subarray(0, -1)),
    },
  },
]);

/** The list that the sites hold, with a sixth lab that is not in the cohort. */
export const PINNED = listOf([...NAMES, 'c6']);
