/** The server against lying or broken clients, and what it hands to whoever checks it afterwards. */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import { toHex } from '../../../shared/hex.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { startClient, stepClient } from '../../../shared/secagg/client/machine.js';
import type { ClientOutput } from '../../../shared/secagg/client/state.js';
import { LABEL } from '../../../shared/secagg/constants.js';
import { advertisementBody, memberTag } from '../../../shared/secagg/derive.js';
import {
  decodeAdvertise,
  encodeAdvertise,
  encodeConsistency,
  encodeRefusal,
  type FrameType,
  HEADER_BYTES,
} from '../../../shared/secagg/frames.js';
import { derivedOrder } from '../../../shared/secagg/graph.js';
import { assignGroups, trimmedMean } from '../../../shared/secagg/groups.js';
import { encodeParams } from '../../../shared/secagg/params.js';
import { contradictions, type SumProofBody, signSumProof, sumProofFault } from '../../../shared/secagg/proof.js';
import { restoreState, saveState } from '../../../shared/secagg/serialise.js';
import { startServer, stepServer } from '../../../shared/secagg/server/machine.js';
import type { ServerOutput, ServerState } from '../../../shared/secagg/server/state.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';
import { unmaskSum } from '../../../shared/secagg/unmask.js';
import { WEAK_X25519 } from '../../support/weak-keys.js';
import { createParty, framesOf, type Party, wireClient } from './party.js';
import { toySuite } from './toy-suite.js';

/** For shares, and for masks. */
type Keys = [Uint8Array, Uint8Array];
type Tamper = (id: string, type: FrameType, frame: Uint8Array) => readonly Uint8Array[];

interface Run {
  readonly state: ServerState;
  readonly outputs: readonly ServerOutput[];
}

/** Runs an aggregation in which clients' frames pass through `tamper` on their way to the server. */
function run(party: Party, tamper: Tamper): Run {
  const clients = new Map(party.ids.map((id) => [id, wireClient(party, id)]));
  const post = (from: string, sent: readonly ClientOutput[]) =>
    sent.flatMap((output) =>
      output.kind === 'send' ? tamper(from, output.type, output.frame).map((bytes) => ({ from, bytes })) : [],
    );
  const inbox = [...clients].flatMap(([from, { sent }]) => post(from, sent));
  const all: ServerOutput[] = [];
  let state: ServerState = startServer(party.server);
  for (let turns = 0; turns < 5000 && state.phase !== 'done' && state.phase !== 'aborted'; turns++) {
    const mail = inbox.shift();
    const [next, outputs] = stepServer(party.server, state, mail ? { kind: 'frame', ...mail } : { kind: 'deadline' });
    state = next;
    all.push(...outputs);
    for (const output of outputs) {
      if (output.kind !== 'send') continue;
      inbox.push(...post(output.to, clients.get(output.to)!.tell({ kind: 'frame', bytes: output.frame })));
    }
  }
  return { state, outputs: all };
}

const only =
  (who: string, what: FrameType, change: (frame: Uint8Array) => readonly Uint8Array[]): Tamper =>
  (id, type, frame) =>
    id === who && type === what ? change(frame) : [frame];
const flip = (frame: Uint8Array, at: number): Uint8Array => frame.with(at, frame.at(at)! ^ 1);
const dropsOf = ({ outputs }: Run): object[] =>
  outputs.flatMap((output) =>
    output.kind === 'drop' ? [{ id: output.id, phase: output.phase, reason: output.reason }] : [],
  );

function assertSum(party: Party, { outputs }: Run, survivors: readonly string[]): void {
  const unmask = outputs.find((output) => output.kind === 'unmask');
  assert.deepEqual(unmask?.survivorIds.toSorted(), survivors.toSorted());
  const { suite, sum } = party.server;
  assert.deepEqual(
    unmaskSum({ suite, sum, ringBits: party.params.ring.bits }, unmask.masks),
    party.plainSum(survivors),
  );
}

/** A client's own advertisement, validly signed, with the keys that `change` makes of its own. */
function advertising(party: Party, id: string, change: (keys: Keys) => Keys): Tamper {
  return only(id, 'advertise', (frame) => {
    const { sharePublicKey, maskPublicKey } = decodeAdvertise(frame.slice(HEADER_BYTES));
    const [share, mask] = change([sharePublicKey, maskPublicKey]);
    const aggregationId = frame.slice(2, HEADER_BYTES);
    const keys = { id, sharePublicKey: share, maskPublicKey: mask };
    const signature = party.suite.signer(party.seeds.get(id)!)(advertisementBody(aggregationId, keys));
    return [encodeAdvertise(aggregationId, { ...keys, signature })];
  });
}

const everyone = createParty({ clients: 6 }).ids;
const but = (id: string): string[] => everyone.filter((other) => other !== id);
const cases: [string, Tamper, string, object, readonly string[]][] = [
  [
    'a forged advertisement',
    only('client-1', 'advertise', (f) => [flip(f, -1)]),
    'advertise',
    { reason: 'bad-signature' },
    but('client-1'),
  ],
  [
    'an advertisement cut short',
    only('client-1', 'advertise', (f) => [f.slice(0, -1)]),
    'advertise',
    { reason: 'malformed' },
    but('client-1'),
  ],
  [
    'shares for one neighbour too few',
    only('client-2', 'shares', (f) => [f.slice(0, -92)]),
    'share',
    { reason: 'malformed' },
    but('client-2'),
  ],
  [
    'a vector cut short',
    only('client-2', 'masked', (f) => [f.slice(0, -1)]),
    'mask',
    { reason: 'malformed' },
    but('client-2'),
  ],
  [
    'a frame of another aggregation',
    only('client-3', 'consistency', (f) => [flip(f, 2)]),
    'consistency',
    { reason: 'deadline' },
    everyone,
  ],
  [
    'a forged consistency signature',
    only('client-3', 'consistency', (f) => [encodeConsistency(f.slice(2, HEADER_BYTES), new Uint8Array(64))]),
    'consistency',
    { reason: 'bad-signature' },
    everyone,
  ],
  [
    'junk for shares',
    only('client-4', 'unmask', (f) => [Uint8Array.from(f, (b, i) => (i < HEADER_BYTES ? b : b ^ 0x55))]),
    'unmask',
    { reason: 'bad-share' },
    everyone,
  ],
  [
    'an answer cut short',
    only('client-4', 'unmask', (f) => [f.slice(0, -32)]),
    'unmask',
    { reason: 'malformed' },
    everyone,
  ],
  [
    'a refusal',
    only('client-5', 'shares', (f) => [encodeRefusal(f.slice(2, HEADER_BYTES), 'withdrawn')]),
    'share',
    { reason: 'refused' },
    but('client-5'),
  ],
];
describe('secagg server against lying clients', () => {
  for (const [name, tamper, phase, reason, survivors] of cases) {
    it(`names the sender of ${name}, and sums the rest exactly`, () => {
      const party = createParty({ clients: 6, params: { cohortMin: 4 } });
      const result = run(party, tamper);
      const id = party.ids.find((other) => dropsOf(result).some((drop) => 'id' in drop && drop.id === other));
      assert.deepEqual(dropsOf(result), [{ id, phase, ...reason }]);
      assertSum(party, result, survivors);
    });
  }

  it('goes on without an enrolled client that advertises a key of small order', () => {
    const forShares =
      (weak: Uint8Array) =>
      ([, mask]: Keys): Keys => [weak, mask];
    const forMasks =
      (weak: Uint8Array) =>
      ([share]: Keys): Keys => [share, weak];
    for (const change of WEAK_X25519.flatMap((weak) => [forShares(weak), forMasks(weak)])) {
      const party = createParty({ clients: 6, params: { cohortMin: 4 } });
      const result = run(party, advertising(party, 'client-2', change));
      assert.deepEqual(dropsOf(result), [{ id: 'client-2', phase: 'advertise', reason: 'bad-key' }]);
      assertSum(party, result, but('client-2'));
    }
  });
});

describe('secagg server', () => {
  it('adds a vector once, however often it arrives, and not after the survivors are fixed', () => {
    const party = createParty({ clients: 5 });
    let late: Uint8Array | undefined;
    const result = run(party, (id, type, frame) => {
      if (id === 'client-1' && type === 'masked') return [frame, frame, frame];
      if (id === 'client-2' && type === 'masked') {
        late = frame;
        return [];
      }
      return late && type === 'consistency' ? [frame, late] : [frame];
    });
    assertSum(
      party,
      result,
      party.ids.filter((id) => id !== 'client-2'),
    );
  });

  it('gives up, with a reason and without a sum, when too few are left', () => {
    const reasonOf = (tamper: Tamper): string | undefined => {
      const { state } = run(createParty({ clients: 5, params: { cohortMin: 5, survivorsMin: 4 } }), tamper);
      return state.phase === 'aborted' ? state.reason : undefined;
    };
    const silent =
      (count: number, what: FrameType): Tamper =>
      (id, type, frame) =>
        type === what && Number(id.at(-1)) < count ? [] : [frame];
    assert.equal(reasonOf(silent(1, 'advertise')), 'cohort-too-small');
    assert.equal(reasonOf(silent(2, 'shares')), 'too-few-survivors');
    assert.equal(reasonOf(silent(2, 'masked')), 'too-few-survivors');
    assert.equal(reasonOf(silent(3, 'consistency')), 'too-few-signatures');
    // three of five answer: of each one's own secret two hold a share, one fewer than the threshold
    assert.equal(reasonOf(silent(2, 'unmask')), 'too-few-shares');
    assert.equal(reasonOf(silent(3, 'unmask')), 'too-few-shares');
    const junk: Tamper = (_, type, frame) => [type === 'unmask' ? flip(frame, -1) : frame];
    assert.equal(reasonOf(junk), 'secret-unrecoverable');
  });

  it('refuses to start in a ring that could wrap', () => {
    const party = createParty({ clients: 5, params: { ring: { bits: 13, valueMax: 1000, noiseTailMax: 0 } } });
    assert.throws(
      () => startServer(party.server),
      (error: unknown) => error instanceof FlError && /ring/.test(error.message),
    );
  });

  it('survives frames of random bytes and truncations of real ones, dropping at most their sender', () => {
    const rng = rngFromSeed(31);
    const party = createParty({ clients: 6, params: { cohortMin: 3 } });
    const result = run(party, (id, _, frame) => {
      if (id !== 'client-0') return [frame];
      return [rng.bytes(rng.below(200)), frame.slice(0, rng.below(frame.length))];
    });
    assertSum(party, result, party.ids.slice(1));
  });
});

describe('secagg ring of neighbours', () => {
  const options = { clients: 150, suite: toySuite, params: { adversaryFraction: 0.05, dropFraction: 0.05 } };
  const honest = run(createParty(options), (_, __, frame) => [frame]);

  /** The clients in the order of the ring, as everyone can compute it once the roster is frozen. */
  function ringOrder(): string[] {
    const party = createParty(options);
    const { enrolment } = party.server;
    const tags = new Map(party.ids.map((id) => [id, toHex(memberTag(toySuite, id, enrolment.keyOf(id)!))]));
    const roster = party.ids.toSorted((a, b) => (tags.get(a)! < tags.get(b)! ? -1 : 1));
    const { rosterRoot } = honest.outputs.find((output) => output.kind === 'unmask')!;
    const { aggregationId } = honest.state;
    return [...derivedOrder(toySuite, { aggregationId, rosterRoot, label: LABEL.ring }, 150)].map((at) => roster[at]);
  }

  const without = (gone: ReadonlySet<string>): { result: Run; party: Party } => {
    const party = createParty(options);
    return { party, result: run(party, (id, type, frame) => (type === 'masked' && gone.has(id) ? [] : [frame])) };
  };
  const refusals = ({ outputs }: Run): (string | undefined)[] =>
    outputs.flatMap((output) => (output.kind === 'drop' && output.reason === 'refused' ? [output.refusal] : []));

  it('bears nine drop-outs spread over the ring', () => {
    const ring = ringOrder();
    const gone = new Set(ring.filter((_, at) => at % 16 === 0).slice(0, 9));
    const { party, result } = without(gone);
    assert.deepEqual(refusals(result), []);
    assertSum(
      party,
      result,
      party.ids.filter((id) => !gone.has(id)),
    );
  });

  it('refuses the same number side by side, which a coordinator could have chosen: those beside them see it', () => {
    // 150 clients: degree 22, threshold 15. Eight neighbours gone are one too many, and a block of nine is next to someone.
    const found = refusals(without(new Set(ringOrder().slice(40, 49))).result);
    assert.equal(found[0], 'too-few-neighbours');
    // Their own neighbours then miss their signatures, and so on outwards.
    assert.ok(
      found.every((reason) => reason === 'too-few-neighbours' || reason === 'survivors-disputed'),
      `${found}`,
    );
  });
});

describe('secagg proofs', () => {
  const party = createParty({ clients: 5 });
  const unmask = run(party, (_, __, frame) => [frame]).outputs.find((output) => output.kind === 'unmask')!;
  const coordinatorSeed = new Uint8Array(32).fill(9);
  const body: SumProofBody = {
    aggregationId: startServer(party.server).aggregationId,
    paramsHash: nodeSuite.hash(encodeParams(party.params)),
    rosterRoot: unmask.rosterRoot,
    survivorRoot: unmask.survivorRoot,
    survivorCount: unmask.survivorIds.length,
    sumHash: nodeSuite.hash(Uint8Array.of(1)),
    signatures: unmask.signatures,
  };
  const coordinatorKey = nodeSuite.ed25519PublicKey(coordinatorSeed);
  const trust = { coordinatorKey, enrolment: party.server.enrolment, signaturesMin: 5 };
  const proof = signSumProof(nodeSuite, coordinatorSeed, body);

  it('hold when the coordinator and all survivors signed, and fail otherwise with the reason', () => {
    assert.equal(sumProofFault(nodeSuite, proof, trust), undefined);
    assert.equal(sumProofFault(nodeSuite, { ...proof, survivorCount: 6 }, trust), 'coordinator-signature');
    const few = signSumProof(nodeSuite, coordinatorSeed, { ...body, signatures: body.signatures.slice(1) });
    assert.equal(sumProofFault(nodeSuite, few, trust), 'too-few-signatures');
    const twice = signSumProof(nodeSuite, coordinatorSeed, {
      ...body,
      signatures: [...few.signatures, few.signatures[0]!],
    });
    assert.equal(sumProofFault(nodeSuite, twice, trust), 'too-few-signatures');
    const other = signSumProof(nodeSuite, coordinatorSeed, { ...body, survivorRoot: new Uint8Array(32) });
    assert.equal(sumProofFault(nodeSuite, other, trust), 'survivor-signature');
    const stranger = [{ id: 'nobody', signature: new Uint8Array(64) }];
    const strange = signSumProof(nodeSuite, coordinatorSeed, { ...body, signatures: stranger });
    assert.equal(sumProofFault(nodeSuite, strange, trust), 'unenrolled-signer');
  });

  it('convict a coordinator that signed two survivor roots for one aggregation, and nobody else', () => {
    const second = signSumProof(nodeSuite, coordinatorSeed, { ...body, survivorRoot: new Uint8Array(32) });
    const forged = signSumProof(nodeSuite, new Uint8Array(32), { ...body, survivorRoot: new Uint8Array(32).fill(1) });
    const nextRound = signSumProof(nodeSuite, coordinatorSeed, { ...body, aggregationId: new Uint8Array(32) });
    const found = contradictions(nodeSuite, coordinatorKey, [proof, forged, proof, nextRound, second]);
    assert.deepEqual(found, [
      [proof, second],
      [proof, second],
    ]);
    const fewer = signSumProof(nodeSuite, coordinatorSeed, { ...body, signatures: body.signatures.slice(1) });
    assert.deepEqual(contradictions(nodeSuite, coordinatorKey, [proof, fewer]), []);
  });
});

describe('secagg groups', () => {
  const transcript = { aggregationId: new Uint8Array(32).fill(1), rosterRoot: new Uint8Array(32).fill(2) };

  it('split a cohort into groups of at least the size asked for, everyone once', () => {
    const groups = assignGroups(nodeSuite, transcript, { cohort: 50, groupSize: 16 });
    assert.deepEqual(
      groups.map(({ length }) => length),
      [17, 17, 16],
    );
    assert.deepEqual(
      groups.flat().toSorted((a, b) => a - b),
      Array.from({ length: 50 }, (_, i) => i),
    );
    assert.throws(() => assignGroups(nodeSuite, transcript, { cohort: 10, groupSize: 11 }), FlError);
  });

  it('trim what a poisoned group sends: 1, 2, 3 of {1, 2, 3, -900, 900}', () => {
    const means = [1, 900, 3, 2, -900].map((mean) => Float64Array.of(mean, -mean));
    assert.deepEqual(trimmedMean(means, 1), Float64Array.of(2, -2)); // (1 + 2 + 3) / 3
    assert.deepEqual(trimmedMean(means, 2), Float64Array.of(2, -2)); // the median
    assert.deepEqual(trimmedMean([Float64Array.of(4)], 0), Float64Array.of(4));
    assert.throws(() => trimmedMean(means, 3), FlError);
  });
});

describe('secagg client against its own shell', () => {
  it('says every frame again on resume, takes no vector unasked, and leaves when told to', () => {
    const context = createParty({ clients: 4 }).client('client-0');
    const [state, outputs] = startClient(context);
    assert.deepEqual(framesOf(stepClient(context, state, { kind: 'resume' })[1]), framesOf(outputs));
    assert.throws(() => stepClient(context, state, { kind: 'vector', values: new Int32Array(7) }), FlError);
    const [left, farewell] = stepClient(context, state, { kind: 'withdraw' });
    assert.equal(left.phase, 'refused');
    assert.equal(farewell.at(-1)?.kind, 'refused');
    assert.deepEqual(stepClient(context, left, { kind: 'vector', values: new Int32Array(7) })[1], []);
  });

  it('masks the same vector to the same bytes after a crash', () => {
    const party = createParty({ clients: 4 });
    const clients = new Map(party.ids.map((id) => [id, wireClient(party, id)]));
    let state: ServerState = startServer(party.server);
    let inbox = [...clients].flatMap(([from, { sent }]) => framesOf(sent).map((bytes) => ({ from, bytes })));
    while (state.phase !== 'mask') {
      const outputs = inbox.flatMap((mail) => {
        const [next, more] = stepServer(party.server, state, { kind: 'frame', ...mail });
        state = next;
        return more;
      });
      inbox = outputs.flatMap((output) => {
        if (output.kind !== 'send') return [];
        const replies = framesOf(clients.get(output.to)!.tell({ kind: 'frame', bytes: output.frame }));
        return replies.map((bytes) => ({ from: output.to, bytes }));
      });
    }
    const { context, state: masked } = clients.get('client-2')!;
    const [, outputs] = stepClient(context, restoreState(saveState(masked)), { kind: 'resume' });
    assert.deepEqual(outputs, [{ kind: 'vector-wanted' }]);
    const values = party.vectors.get('client-2')!;
    const [, again] = stepClient(context, restoreState(saveState(masked)), { kind: 'vector', values });
    const tooLarge = values.with(0, 1001); // the party's ring was chosen for elements within 1000
    assert.throws(() => stepClient(context, masked, { kind: 'vector', values: tooLarge }), /within 1000/);
    assert.deepEqual(framesOf(again)[0], inbox.find(({ from }) => from === 'client-2')!.bytes);
  });
});
