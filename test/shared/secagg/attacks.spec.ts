/**
 * A lying coordinator against honest clients. For each check of the client there is an attack that it alone names: with the
 * check on, the victim refuses with that reason and gives away nothing; with it off, the same attack is not stopped so.
 */
import assert from 'node:assert/strict';
import { CLIENT_CHECKS, type ClientCheck } from '../../../shared/secagg/checks.js';
import type { ClientContext } from '../../../shared/secagg/client/state.js';
import { bundleBytes, encodeSurvivors, HEADER_BYTES } from '../../../shared/secagg/frames.js';
import { graphParameters } from '../../../shared/secagg/graph.js';
import type { SecaggParams } from '../../../shared/secagg/params.js';
import {
  type Deceive,
  flipByte,
  forgeLine,
  forgeRoster,
  freshKeys,
  mount,
  onFrame,
  setMembers,
  VICTIM,
  withholdBundles,
} from './hostile.js';
import { createParty, disabling, type Party, refusalOf, type WiredClient } from './party.js';

/** Five clients: degree 4, threshold 3. */
interface Attack {
  /** The lie, as the issue names it. */
  readonly lie: string;
  readonly params?: Partial<SecaggParams>;
  /** What the victim itself is configured with. */
  readonly victim?: (party: Party) => Partial<ClientContext>;
  readonly deceive?: (party: Party) => Deceive;
  readonly after?: (victim: WiredClient, party: Party) => void;
}

const policy = (change: object) => () => ({
  policy: { cohortMin: 3, survivorsMin: 2, adversaryFraction: 0, ...change },
});
const proposed = (change: Partial<SecaggParams>) => (party: Party) => ({ params: { ...party.params, ...change } });
const corrupt = 'client-1'; // an enrolled client that works with the coordinator

const BEFORE: Partial<Record<ClientCheck, Attack>> = {
  'params-out-of-range': { lie: 'more survivors than members', victim: proposed({ survivorsMin: 9 }) },
  'ring-may-wrap': {
    lie: 'wrap-around',
    victim: proposed({ ring: { bits: 12, valueMax: 1000, noiseTailMax: 0 } }), // 5 * 1000 > 2^11
  },
  'cohort-below-policy': { lie: 'a cohort below the policy', victim: policy({ cohortMin: 4 }) },
  'survivors-below-policy': { lie: 'a sum over two', victim: policy({ survivorsMin: 3 }) },
  'adversary-below-policy': { lie: 'threshold downgrade by parameters', victim: policy({ adversaryFraction: 0.1 }) },
  'replayed-aggregation': { lie: 'replayed aggregation id', victim: () => ({ isUsed: () => true }) },
};

const FRAMES: Partial<Record<ClientCheck, Attack>> = {
  'malformed-frame': {
    lie: 'wrong length',
    deceive: () => onFrame('roster', (frame) => Uint8Array.of(...frame, 0)),
  },
  'wrong-aggregation': {
    lie: 'a frame of another aggregation',
    deceive: () => onFrame('roster', (frame) => flipByte(frame, 2)),
  },
  'out-of-order': {
    lie: 'reordered messages: survivors before anything was shared',
    deceive: () => onFrame('roster', (frame) => encodeSurvivors(frame.slice(2, HEADER_BYTES), Uint8Array.of(31))),
  },
  'contradicting-frame': {
    lie: 'duplicated message with another content: two rosters',
    deceive: () => onFrame('roster', (frame) => [frame, flipByte(frame, -1)]),
  },
};

const ROSTER: Partial<Record<ClientCheck, Attack>> = {
  'cohort-size': {
    lie: 'a cohort smaller than agreed',
    params: { cohortMin: 5 },
    deceive: () =>
      onFrame('roster', (frame) =>
        forgeRoster(frame, (lines) => {
          lines.splice(
            lines.findIndex(({ advertisement }) => advertisement !== undefined),
            1,
          );
          return graphParameters(4, { adversaryFraction: 0, dropFraction: 0 });
        }),
      ),
  },
  'threshold-changed': {
    lie: 'threshold downgrade',
    deceive: () => onFrame('roster', (frame) => forgeRoster(frame, () => ({ threshold: 2 }))),
  },
  'roster-order': {
    lie: 'an order of the coordinator',
    deceive: () => onFrame('roster', (frame) => forgeRoster(frame, (lines) => void lines.reverse(), false)),
  },
  'unenrolled-member': {
    lie: 'Sybils in place of enrolled clients',
    deceive: (party) =>
      onFrame('roster', (frame, { own }) =>
        forgeRoster(frame, (lines) => {
          const seed = party.rng.bytes(32);
          const sybil = { id: 'sybil', seed, keys: freshKeys(party) };
          lines[(own + 1) % 5] = forgeLine(party, frame.slice(2, HEADER_BYTES), sybil);
          return undefined;
        }),
      ),
  },
  'own-entry': {
    lie: "the victim's own keys replaced for the others",
    deceive: (party) =>
      onFrame('roster', (frame, { own }) =>
        forgeRoster(frame, (lines) => {
          const seed = party.seeds.get(VICTIM)!;
          const forged = forgeLine(party, frame.slice(2, HEADER_BYTES), { id: VICTIM, seed, keys: freshKeys(party) });
          lines[own] = { entry: forged.entry, advertisement: undefined };
          return undefined;
        }),
      ),
  },
  'advertisement-substituted': {
    lie: 'key substitution under a roster root that others see differently',
    deceive: (party) =>
      onFrame('roster', (frame, { own }) =>
        forgeRoster(frame, (lines) => {
          const at = (own + 1) % 5;
          const { entry, advertisement } = lines[at]!;
          const [sharePublicKey, maskPublicKey] = freshKeys(party);
          lines[at] = { entry, advertisement: { ...advertisement!, sharePublicKey, maskPublicKey } };
          return undefined;
        }),
      ),
  },
  'advertisement-unsigned': {
    lie: 'key substitution: the coordinator in the middle of every pair',
    deceive: (party) =>
      onFrame('roster', (frame, { own }) =>
        forgeRoster(frame, (lines) => {
          const at = (own + 1) % 5;
          const { id, signature } = lines[at]!.advertisement!;
          const keys = freshKeys(party);
          const line = forgeLine(party, frame.slice(2, HEADER_BYTES), { id, seed: party.seeds.get(id)!, keys });
          lines[at] = { entry: line.entry, advertisement: { ...line.advertisement!, signature } };
          return undefined;
        }),
      ),
  },
  'key-reused': {
    lie: 'one client under two names',
    deceive: corruptKeys((party, [first]) => [first, freshKeys(party)[1]]),
  },
  'low-order-key': {
    lie: 'low-order point',
    deceive: corruptKeys((party) => [new Uint8Array(32), freshKeys(party)[1]]),
  },
};

/** A corrupt, enrolled client advertises the keys that the coordinator wants; `others` are its neighbour's share and mask key. */
function corruptKeys(choose: (party: Party, others: [Uint8Array, Uint8Array]) => [Uint8Array, Uint8Array]) {
  return (party: Party): Deceive =>
    onFrame('roster', (frame) =>
      forgeRoster(frame, (lines) => {
        const at = lines.findIndex(({ advertisement }) => advertisement?.id === corrupt);
        const other = lines.find(({ advertisement }) => advertisement && advertisement.id !== corrupt)!.advertisement!;
        const keys = choose(party, [other.sharePublicKey, other.maskPublicKey]);
        const seed = party.seeds.get(corrupt)!;
        lines[at] = forgeLine(party, frame.slice(2, HEADER_BYTES), { id: corrupt, seed, keys });
        return undefined;
      }),
    );
}

const BUNDLES: Partial<Record<ClientCheck, Attack>> = {
  'self-not-included': {
    lie: 'the victim left out of the sharers',
    deceive: () => onFrame('bundles', (frame, { others }) => setMembers(frame, others)),
  },
  'too-few-included': {
    lie: 'fewer sharers than agreed survivors',
    params: { cohortMin: 5, survivorsMin: 5 },
    deceive: (party) => onFrame('bundles', (frame, mounted) => withholdBundles(party, frame, mounted, [0])),
  },
  'too-few-bundles': {
    lie: 'bundles withheld until the masks are few',
    deceive: (party) => onFrame('bundles', (frame, mounted) => withholdBundles(party, frame, mounted, [0, 1])),
  },
  'bundle-forged': {
    lie: 'junk shares',
    deceive: (party) =>
      onFrame('bundles', (frame) => flipByte(frame, HEADER_BYTES + 1 + bundleBytes(party.suite) + 20)),
  },
  'vector-changed': {
    lie: 'late input: a second vector under the same masks',
    deceive: () => (type, frame) => (type === 'survivors' || type === 'signatures' ? [] : [frame]),
    after: (victim, party) => {
      victim.tell({ kind: 'vector', values: party.vectors.get('client-1')! });
    },
  },
};

const SURVIVORS: Partial<Record<ClientCheck, Attack>> = {
  'survivors-not-included': {
    lie: 'a survivor whose shares the victim never got',
    deceive: (party) => onFrame('bundles', (frame, mounted) => withholdBundles(party, frame, mounted, [0])),
  },
  'self-not-survivor': {
    lie: 'the victim declared dead after its upload',
    deceive: () => onFrame('survivors', (frame, { others }) => setMembers(frame, others)),
  },
  'too-few-survivors': {
    lie: 'a sum over fewer than agreed',
    params: { cohortMin: 5, survivorsMin: 5 },
    deceive: () => onFrame('survivors', (frame, { own, others }) => setMembers(frame, [own, ...others.slice(1)])),
  },
  'too-few-neighbours': {
    lie: 'drop-outs side by side: 2 of 4 neighbours left, 3 needed',
    deceive: () => onFrame('survivors', (frame, { own, others }) => setMembers(frame, [own, ...others.slice(2)])),
  },
  'second-survivor-set': {
    lie: 'alive/dead overlap: two survivor sets to one client',
    deceive: () =>
      onFrame('survivors', (frame, { own, others }) => [frame, setMembers(frame, [own, ...others.slice(1)])]),
  },
  'signer-not-survivor': {
    lie: 'signatures of the dead',
    // All four others sign the full set; the victim was shown a smaller one, and then all their signatures.
    deceive: () => onFrame('survivors', (frame, { own, others }) => setMembers(frame, [own, ...others.slice(1)])),
  },
  'survivors-disputed': {
    lie: 'split views of the survivor set',
    deceive:
      () =>
      (type, frame, { own, others }) => {
        const smaller = [own, ...others.slice(1)];
        if (type === 'survivors') return [setMembers(frame, smaller)];
        if (type !== 'signatures') return [frame];
        const kept = new Uint8Array(frame.length - 64); // the first neighbour's signature goes, and its bit
        kept.set(frame.subarray(0, HEADER_BYTES + 1));
        kept.set(frame.subarray(HEADER_BYTES + 1 + 64), HEADER_BYTES + 1);
        return [setMembers(kept, smaller)];
      },
  },
};

const ATTACKS: Partial<Record<ClientCheck, Attack>> = { ...BEFORE, ...FRAMES, ...ROSTER, ...BUNDLES, ...SURVIVORS };

function perform(name: ClientCheck, disabled?: ClientCheck): WiredClient {
  const { params = {}, victim = () => ({}), deceive = () => (_, frame) => [frame], after } = ATTACKS[name]!;
  const party = createParty({ clients: 5, params, rngSeed: 21, enrolledExtra: 2 });
  const client = mount(party, { ...victim(party), ...disabling(disabled) }, deceive(party));
  after?.(client, party);
  return client;
}

/** Frames that the victim may have sent before it saw through the lie, by what it was shown. */
const SENT_BEFORE: readonly [group: object, frames: readonly string[]][] = [
  [BEFORE, []],
  [{ 'contradicting-frame': 0 }, ['advertise', 'shares']],
  [FRAMES, ['advertise']],
  [ROSTER, ['advertise']],
  [{ 'vector-changed': 0 }, ['advertise', 'shares', 'masked']],
  [BUNDLES, ['advertise', 'shares']],
  [
    { 'second-survivor-set': 0, 'signer-not-survivor': 0, 'survivors-disputed': 0 },
    ['advertise', 'shares', 'masked', 'consistency'],
  ],
  [SURVIVORS, ['advertise', 'shares', 'masked']],
];

describe('secagg against a lying coordinator', () => {
  it('has an attack for every check', () => {
    assert.deepEqual(Object.keys(ATTACKS).sort(), Object.keys(CLIENT_CHECKS).sort());
  });

  for (const [check, { lie }] of Object.entries(ATTACKS)) {
    const name = check as ClientCheck;
    it(`refuses ${lie}: ${name}`, () => {
      const victim = perform(name);
      assert.equal(refusalOf(victim), name);
      const sent = victim.sent.flatMap((output) => (output.kind === 'send' ? [output.type as string] : []));
      const allowed = SENT_BEFORE.find(([group]) => name in group)![1];
      assert.deepEqual(sent, [...allowed, 'refusal']); // in particular no unmask frame, ever
      // What it keeps is the refusal: no key, seed or share.
      assert.deepEqual(
        Object.keys(victim.state).sort(),
        ['accepted', 'aggregationId', 'lastFrame', 'phase', 'reason'].sort(),
      );
      assert.equal(victim.state.lastFrame.length, HEADER_BYTES + 5);
    });

    it(`is open to it without the check ${name}`, () => {
      assert.notEqual(refusalOf(perform(name, name)), name);
    });
  }

  it('reveals no share for fewer signatures than the threshold, and does for as many', () => {
    const withSignatures = (count: number) => {
      const party = createParty({ clients: 5, rngSeed: 21 });
      return mount(party, {}, (type, frame, { others }) => {
        if (type !== 'signatures') return [frame];
        return [setMembers(frame.slice(0, HEADER_BYTES + 1 + 64 * count), others.slice(0, count))];
      });
    };
    assert.equal(refusalOf(withSignatures(2)), 'survivors-disputed');
    assert.equal(withSignatures(3).state.phase, 'done');
  });
});
