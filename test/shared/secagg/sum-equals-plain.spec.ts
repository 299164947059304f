/** The unmasked sum is the plain sum over the survivors, to the integer, whoever drops out and when. */
import assert from 'node:assert/strict';
import { toleratedDrops } from '../../../shared/run/secure-cohort.js';
import { createKernel } from '../../../shared/secagg/kernel.js';
import { startServer, stepServer } from '../../../shared/secagg/server/machine.js';
import type { ServerOutput, ServerState } from '../../../shared/secagg/server/state.js';
import { naclSuite } from '../../../shared/secagg/suites/nacl.js';
import { RANGE_ELEMENTS, unmaskRange, unmaskSum } from '../../../shared/secagg/unmask.js';
import { createParty, framesOf, type Party, type PartyOptions, wireClient } from './party.js';
import { toySuite } from './toy-suite.js';

/** What a client may still send: 0 nothing, 1 its advertisement, 2 also shares, ... 5 everything. */
type Reach = 0 | 1 | 2 | 3 | 4 | 5;
const PHASES = ['advertise', 'share', 'mask', 'consistency', 'unmask'] as const;

interface Result {
  readonly state: ServerState;
  readonly unmask: Extract<ServerOutput, { kind: 'unmask' }> | undefined;
}

/** Runs one aggregation in which client i falls silent after `reach[i]` frames. */
function run(party: Party, reach: readonly Reach[]): Result {
  let state = startServer(party.server);
  let unmask: Result['unmask'];
  const clients = new Map(party.ids.map((id) => [id, wireClient(party, id)]));
  const left = new Map(party.ids.map((id, i) => [id, reach[i]! as number]));
  const inbox = [...clients].flatMap(([from, { sent }]) => framesOf(sent).map((bytes) => ({ from, bytes })));
  for (let turns = 0; turns < 10_000; turns++) {
    const mail = inbox.shift();
    if (mail === undefined && (state.phase === 'done' || state.phase === 'aborted')) return { state, unmask };
    if (mail !== undefined) {
      if (left.get(mail.from) === 0) continue;
      left.set(mail.from, left.get(mail.from)! - 1);
    }
    const input = mail === undefined ? ({ kind: 'deadline' } as const) : ({ kind: 'frame', ...mail } as const);
    const [next, outputs] = stepServer(party.server, state, input);
    state = next;
    for (const output of outputs) {
      if (output.kind === 'unmask') unmask = output;
      if (output.kind !== 'send') continue;
      for (const bytes of framesOf(clients.get(output.to)!.tell({ kind: 'frame', bytes: output.frame }))) {
        inbox.push({ from: output.to, bytes });
      }
    }
  }
  throw new Error('the aggregation does not end');
}

/** The sum is exact over exactly those who uploaded; or there is none, and then too many had gone. */
function assertExact(party: Party, reach: readonly Reach[]): void {
  const { state, unmask } = run(party, reach);
  const label = `reach ${reach.join('')}`;
  if (unmask === undefined) {
    assert.equal(state.phase, 'aborted', label);
    assert.ok(
      reach.some((steps) => steps < 5),
      `${label}: nobody dropped out, yet ${JSON.stringify(state)}`,
    );
    return;
  }
  const advertised = party.ids.filter((_, i) => reach[i]! >= 1);
  const uploaded = party.ids.filter((_, i) => reach[i]! >= 3);
  assert.ok(advertised.length >= party.params.cohortMin, label);
  assert.deepEqual([...unmask.survivorIds].sort(), uploaded.toSorted(), label);
  const { suite, sum } = party.server;
  const got = unmaskSum({ suite, sum, ringBits: party.params.ring.bits }, unmask.masks);
  assert.deepEqual(got, party.plainSum(uploaded), label);
}

function* reaches(clients: number, choices: readonly Reach[]): Generator<Reach[]> {
  if (clients === 0) yield [];
  else for (const rest of reaches(clients - 1, choices)) for (const own of choices) yield [own, ...rest];
}

describe('secagg exact sum', () => {
  for (const clients of [3, 4, 5, 6]) {
    it(`${clients} clients, every set of drop-outs at each phase`, () => {
      for (const phase of PHASES.keys()) {
        for (const reach of reaches(clients, [5, phase as Reach])) {
          assertExact(createParty({ clients, suite: toySuite, pack: clients % 2 === 0 }), reach);
        }
      }
    }).timeout(60_000);
  }

  it('4 clients, every client dropping out at any phase of its own', () => {
    for (const reach of reaches(4, [0, 1, 2, 3, 4, 5]))
      assertExact(createParty({ clients: 4, suite: toySuite }), reach);
  }).timeout(60_000);

  const cases: [string, PartyOptions, (i: number) => Reach][] = [
    ['5 clients, real keys, nobody drops out', { clients: 5 }, () => 5],
    ['5 clients, real keys, one drops out before its vector', { clients: 5 }, (i) => (i === 2 ? 2 : 5)],
    ['4 clients on the portable suite, one drops out', { clients: 4, suite: naclSuite }, (i) => (i === 0 ? 2 : 5)],
    [
      '30 clients, thresholds for 10 % collusion, 4 drop out',
      { clients: 30, params: { adversaryFraction: 0.1 } },
      (i) => (i % 8 === 0 ? 2 : 5),
    ],
    [
      '150 clients on a ring of neighbours, 7 drop out',
      { clients: 150, suite: toySuite, params: { adversaryFraction: 0.05, dropFraction: 0.05 } },
      (i) => (i % 21 === 5 ? 2 : 5),
    ],
    ['vectors of several keystream chunks, 17-bit ring', { clients: 4, elements: 40_003, pack: true }, () => 5],
  ];
  for (const [name, options, reach] of cases) {
    it(name, () => {
      const party = createParty(options);
      assertExact(
        party,
        party.ids.map((_, i) => reach(i)),
      );
    });
  }

  it('stands as many drop-outs as a run is told of before it starts, and not one more', () => {
    for (const adversaryFraction of [0, 0.05, 0.3]) {
      for (let clients = 3; clients <= 12; clients++) {
        const threat = { adversaryFraction, dropFraction: 0 };
        const most = toleratedDrops(clients, threat)!;
        const opens = (dropped: number) => {
          const party = createParty({ clients, suite: toySuite, params: threat });
          const reach = party.ids.map((_, i): Reach => (i < dropped ? 2 : 5));
          return run(party, reach).unmask !== undefined;
        };
        const got = [opens(most), opens(most + 1)];
        assert.deepEqual(got, [true, false], `${clients} clients, ${adversaryFraction}: ${most} drop-outs`);
      }
    }
  });

  it('gives the same when threads unmask ranges of coordinates', () => {
    const party = createParty({ clients: 4, elements: 2 * RANGE_ELEMENTS + 11 });
    const { unmask } = run(party, [5, 5, 2, 5]);
    const { suite, sum } = party.server;
    const masked = sum.read();
    const whole = unmaskSum({ suite, sum, ringBits: 32 }, unmask!.masks);
    const parts = [0, RANGE_ELEMENTS, 2 * RANGE_ELEMENTS].flatMap((first) => {
      const range = { first, masked: masked.slice(first, first + RANGE_ELEMENTS) };
      return [...unmaskRange({ suite, kernel: createKernel(), ringBits: 32 }, range, unmask!.masks)];
    });
    assert.deepEqual(Int32Array.from(parts), whole);
    assert.notDeepEqual(centreless(masked), whole);
  });

  it('leaves nothing of a single vector in what a client uploads', () => {
    // Same client, same vector, other randomness: two masked vectors differ everywhere (7 words; chance 2^-32 each).
    const masked = [1, 2].map((rngSeed) => {
      const party = createParty({ clients: 3, rngSeed });
      run(party, [5, 5, 5]);
      return party.server.sum.read();
    });
    assert.ok(masked[0]!.every((word, i) => word !== masked[1]![i]));
  });
});

const centreless = (words: Uint32Array): Int32Array => new Int32Array(words.buffer);
