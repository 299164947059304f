/**
 * What is hashed, signed and derived stands for all that it is bound to. Client and coordinator derive by the same lines, so
 * a part that is left out, or two that are swapped, would go unnoticed between them; here each part is changed by itself.
 */
import assert from 'node:assert/strict';
import { toHex } from '../../../shared/secagg/codec.js';
import {
  advertisementBody,
  consistencyBody,
  memberTag,
  pairMaskKey,
  rosterEntry,
  rosterRootOf,
  seedCommitment,
  selfMaskKey,
  shareSeal,
  survivorRootOf,
} from '../../../shared/secagg/derive.js';
import { aggregationIdOf, encodeParams, nodeSuite as suite } from '../../../shared/secagg/index.js';
import { paramsFault, type SecaggParams } from '../../../shared/secagg/params.js';
import { sha256Hex } from '../../../shared/signing/identity.js';

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value);
const of = (parts: Parts) => ({ aggregationId: parts.aggregationId, rosterRoot: parts.rosterRoot });

const PARTS = {
  aggregationId: bytes(1),
  rosterRoot: bytes(2),
  survivorRoot: bytes(3),
  secret: bytes(4),
  index: 5,
  from: 6,
  to: 7,
  included: bytes(8, 2),
  survivors: bytes(9, 2),
  id: 'lab',
  enrolledKey: bytes(10),
  sharePublicKey: bytes(11),
  maskPublicKey: bytes(12),
  tag: bytes(13, 16),
  leaf: bytes(14),
  degree: 15,
  threshold: 16,
};
type Parts = typeof PARTS;
/** Each part as it could be instead. */
const OTHER: Parts = {
  ...{ aggregationId: bytes(101), rosterRoot: bytes(102), survivorRoot: bytes(103), secret: bytes(104) },
  ...{ index: 105, from: 106, to: 107, included: bytes(108, 2), survivors: bytes(109, 2), id: 'other' },
  ...{ enrolledKey: bytes(110), sharePublicKey: bytes(111), maskPublicKey: bytes(112), tag: bytes(113, 16) },
  ...{ leaf: bytes(114), degree: 115, threshold: 116 },
};

const DERIVED: Record<string, { from: readonly (keyof Parts)[]; make(parts: Parts): Uint8Array }> = {
  'the tag of a member': {
    from: ['id', 'enrolledKey'],
    make: ({ id, enrolledKey }) => memberTag(suite, id, enrolledKey),
  },
  'an advertisement': {
    from: ['aggregationId', 'id', 'sharePublicKey', 'maskPublicKey'],
    make: (parts) => advertisementBody(parts.aggregationId, parts),
  },
  'a leaf of the roster': {
    from: ['aggregationId', 'id', 'sharePublicKey', 'maskPublicKey'],
    make: (parts) => rosterEntry(suite, parts, parts).leaf,
  },
  'a roster': {
    from: ['aggregationId', 'tag', 'leaf', 'degree', 'threshold'],
    make: ({ aggregationId, tag, leaf, ...graph }) =>
      rosterRootOf(suite, aggregationId, { entries: [{ tag, leaf }], ...graph }),
  },
  survivors: {
    from: ['aggregationId', 'rosterRoot', 'included', 'survivors'],
    make: (parts) => survivorRootOf(suite, of(parts), parts),
  },
  'what a survivor signs': {
    from: ['aggregationId', 'rosterRoot', 'survivorRoot'],
    make: (parts) => consistencyBody(of(parts), parts.survivorRoot),
  },
  'the key of a share': {
    from: ['aggregationId', 'rosterRoot', 'secret', 'from', 'to'],
    make: (parts) => shareSeal(suite, of(parts), parts).key,
  },
  'what is sealed beside a share': {
    from: ['aggregationId', 'rosterRoot', 'from', 'to'],
    make: (parts) => shareSeal(suite, of(parts), parts).associatedData,
  },
  'the mask of a pair': {
    from: ['aggregationId', 'rosterRoot', 'secret', 'from', 'to'],
    make: (parts) => pairMaskKey(suite, of(parts), { secret: parts.secret, pair: [parts.from, parts.to] }),
  },
  'a mask of its own': {
    from: ['aggregationId', 'rosterRoot', 'secret', 'index'],
    make: (parts) => selfMaskKey(suite, of(parts), { selfMaskSeed: parts.secret, index: parts.index }),
  },
  'a commitment': {
    from: ['aggregationId', 'rosterRoot', 'secret', 'index'],
    make: (parts) => seedCommitment(suite, of(parts), { selfMaskSeed: parts.secret, index: parts.index }),
  },
};

const PARAMS: SecaggParams = {
  ...{ suite: 'node', cohortMin: 4, cohortMax: 9, survivorsMin: 3, adversaryFraction: 0.1, dropFraction: 0.2 },
  ...{ elements: 10, ring: { bits: 32, valueMax: 100, noiseTailMax: 7 } },
};

describe('what secure aggregation derives', () => {
  for (const [what, { from, make }] of Object.entries(DERIVED)) {
    it(`${what} is bound to ${from.join(', ')}, and to nothing else`, () => {
      const whole = toHex(make(PARTS));
      const bound = (Object.keys(PARTS) as (keyof Parts)[]).filter(
        (part) => toHex(make({ ...PARTS, [part]: OTHER[part] })) !== whole,
      );
      assert.deepEqual(bound.sort(), [...from].sort());
    });
  }

  it('is the same for both of a pair, and not the same for a share there and back', () => {
    const pair = (a: number, b: number) => toHex(pairMaskKey(suite, of(PARTS), { secret: PARTS.secret, pair: [a, b] }));
    assert.equal(pair(6, 7), pair(7, 6));
    const seal = (from: number, to: number) =>
      toHex(shareSeal(suite, of(PARTS), { secret: PARTS.secret, from, to }).key);
    assert.notEqual(seal(6, 7), seal(7, 6));
  });

  it('is what it was, byte for byte: no version may derive otherwise', () => {
    const all = Object.values(DERIVED).map(({ make }) => toHex(make(PARTS)));
    assert.equal(
      sha256Hex([...all, toHex(encodeParams(PARAMS))].join('\n')),
      'd989f73614cfadcf4cb911ec05ba6f8e234f96c9019af1112616531813d4d7b8',
    );
  });

  it('names an aggregation by its task, round, model, plan and each parameter', () => {
    const context = { taskId: 'run', round: 3, modelHash: bytes(1), planHash: bytes(2) };
    const id = (params: object, about = {}) =>
      toHex(aggregationIdOf(suite, { ...PARAMS, ...params } as SecaggParams, { ...context, ...about }));
    const others = [
      ...[{ suite: 'nacl' }, { cohortMin: 5 }, { cohortMax: 10 }, { survivorsMin: 4 }, { adversaryFraction: 0.11 }],
      ...[{ dropFraction: 0.21 }, { elements: 11 }],
      ...[{ bits: 31 }, { valueMax: 101 }, { noiseTailMax: 8 }].map((ring) => ({ ring: { ...PARAMS.ring, ...ring } })),
    ];
    const abouts = [{ taskId: 'runs' }, { round: 4 }, { modelHash: bytes(3) }, { planHash: bytes(3) }];
    const ids = [id({}), ...others.map((params) => id(params)), ...abouts.map((about) => id({}, about))];
    assert.equal(new Set(ids).size, 1 + others.length + abouts.length);
  });

  it('is under parameters within their bounds, and none beyond', () => {
    const fault = (params: object) => paramsFault({ ...PARAMS, ...params } as SecaggParams)?.message.split(':')[0];
    const good = [
      { cohortMin: 3 },
      { survivorsMin: 2 },
      { survivorsMin: 4 },
      { cohortMin: 9 },
      { cohortMax: 4 },
      { elements: 1 },
    ];
    assert.deepEqual(
      good.flatMap((params) => fault(params) ?? []),
      [],
    );
    const bad = [
      ...[{ cohortMin: 2, survivorsMin: 2 }, { cohortMin: 10 }, { survivorsMin: 1 }, { survivorsMin: 5 }],
      ...[{ cohortMax: 3 }, { cohortMax: 16_385 }, { elements: 0 }, { cohortMin: 3.5 }],
    ];
    assert.deepEqual(bad.map(fault), [
      ...['cohortMin', 'cohortMin', 'survivorsMin', 'survivorsMin', 'cohortMin', 'cohortMax', 'elements', 'cohortMin'],
    ]);
  });
});
