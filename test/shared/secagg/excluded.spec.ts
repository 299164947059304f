/** A client is shut out in each phase of an aggregation: nothing of it is in a sum, but for one that survivors sign already. */
import assert from 'node:assert/strict';
import type { ClientOutput } from '../../../shared/secagg/client/state.js';
import { startServer, stepServer } from '../../../shared/secagg/server/machine.js';
import type { ServerOutput, ServerState } from '../../../shared/secagg/server/state.js';
import { unmaskSum } from '../../../shared/secagg/unmask.js';
import { createParty, type Party, wireClient } from './party.js';

const WHO = 'client-2';

/** Runs an aggregation out of which `WHO` is shut as soon as `when` says so. */
function run(party: Party, when: (state: ServerState) => boolean): { state: ServerState; outputs: ServerOutput[] } {
  const clients = new Map(party.ids.map((id) => [id, wireClient(party, id)]));
  const post = (from: string, sent: readonly ClientOutput[]) =>
    sent.flatMap((output) => (output.kind === 'send' ? [{ from, bytes: output.frame }] : []));
  const inbox = [...clients].flatMap(([from, { sent }]) => post(from, sent));
  const outputs: ServerOutput[] = [];
  let state: ServerState = startServer(party.server);
  let isShutOut = false;
  for (let turns = 0; turns < 1000 && state.phase !== 'done' && state.phase !== 'aborted'; turns++) {
    const isTime: boolean = !isShutOut && when(state);
    const mail = isTime ? undefined : inbox.shift();
    const input = mail ? ({ kind: 'frame', ...mail } as const) : ({ kind: 'deadline' } as const);
    isShutOut ||= isTime;
    const [next, out] = stepServer(party.server, state, isTime ? { kind: 'exclude', id: WHO } : input);
    state = next;
    outputs.push(...out);
    for (const output of out) {
      if (output.kind !== 'send') continue;
      inbox.push(...post(output.to, clients.get(output.to)!.tell({ kind: 'frame', bytes: output.frame })));
    }
  }
  assert.ok(isShutOut);
  return { state, outputs };
}

const uploaded = (state: ServerState): boolean =>
  state.phase === 'mask' && state.uploaded[state.roster.members.findIndex(({ id }) => id === WHO)];

describe('a client that is shut out of an aggregation', () => {
  const everyone = createParty({ clients: 6 }).ids;
  const others = everyone.filter((id) => id !== WHO);
  const moments: [string, (state: ServerState) => boolean, readonly string[]][] = [
    [
      'when it has advertised',
      (state) => state.phase === 'advertise' && state.advertisements.some(({ id }) => id === WHO),
      others,
    ],
    ['when it is to share', (state) => state.phase === 'share', others],
    ['before its vector is in', (state) => state.phase === 'mask' && !uploaded(state), others],
    ['when survivors are signing', (state) => state.phase === 'consistency', everyone],
  ];
  for (const [moment, when, survivors] of moments) {
    it(`${moment} is ${survivors === others ? 'not in the sum, which is exact' : 'in the sum that they sign for'}`, () => {
      const party = createParty({ clients: 6, params: { cohortMin: 4 } });
      const { outputs } = run(party, when);
      const unmask = outputs.find((output) => output.kind === 'unmask');
      assert.deepEqual(unmask?.survivorIds.toSorted(), [...survivors].sort());
      const { suite, sum } = party.server;
      const sums = unmaskSum({ suite, sum, ringBits: party.params.ring.bits }, unmask.masks);
      assert.deepEqual(sums, party.plainSum(survivors));
    });
  }

  it('when its vector is in ends the aggregation, of which nobody has signed anything', () => {
    const party = createParty({ clients: 6, params: { cohortMin: 4 } });
    const { state, outputs } = run(party, uploaded);
    assert.ok(state.phase === 'aborted');
    assert.equal(state.reason, 'member-excluded');
    assert.ok(outputs.every((output) => output.kind !== 'unmask'));
    assert.ok(outputs.every((output) => output.kind !== 'send' || output.type !== 'survivors'));
  });
});
