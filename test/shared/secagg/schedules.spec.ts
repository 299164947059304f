/**
 * Seeded schedules of one aggregation: frames delivered in any order and more than once, clients that fall silent, and
 * crashes of clients and server between saving a state and acting on it, restored from the saved text. A failing schedule
 * prints its seed.
 */
import assert from 'node:assert/strict';
import { toHex } from '../../../shared/hex.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import { startClient, stepClient } from '../../../shared/secagg/client/machine.js';
import type { ClientContext, ClientInput, ClientOutput, ClientState } from '../../../shared/secagg/client/state.js';
import { restoreState, saveState } from '../../../shared/secagg/serialise.js';
import { startServer, stepServer } from '../../../shared/secagg/server/machine.js';
import type { ServerInput, ServerOutput, ServerState } from '../../../shared/secagg/server/state.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';
import { unmaskSum } from '../../../shared/secagg/unmask.js';
import { createParty, type Party } from './party.js';
import { toySuite } from './toy-suite.js';

interface Mail {
  readonly to: string; // 'server' or a client id
  readonly from: string;
  readonly bytes: Uint8Array;
}

interface Faults {
  readonly silence: number; // per frame a client is to handle: falls silent for good
  readonly duplicate: number; // per frame sent
  readonly crash: number; // per step, between saving and acting
}

/** Reasons with which an honest client may leave when others have dropped out; any other means a false accusation. */
const HONEST_REFUSALS = new Set([
  'too-few-included',
  'too-few-bundles',
  'too-few-survivors',
  'too-few-neighbours',
  'survivors-disputed',
]);

class Schedule {
  readonly party: Party;
  readonly rng: Rng;
  readonly faults: Faults;
  readonly mail: Mail[] = [];
  /** What a restart would read. Saved as text only when somebody crashes: a state is never changed in place. */
  readonly disk = new Map<string, ClientState>();
  readonly silent = new Set<string>();
  readonly refused = new Set<string>();
  /** All frames that each client ever sent in the phases that must happen once. */
  readonly once = new Map<string, Set<string>>();
  readonly contexts: ReadonlyMap<string, ClientContext>;
  server: ServerState;
  unmask: Extract<ServerOutput, { kind: 'unmask' }> | undefined;

  constructor(party: Party, rng: Rng, faults: Faults) {
    this.party = party;
    this.rng = rng;
    this.faults = faults;
    this.server = startServer(party.server);
    this.contexts = new Map(party.ids.map((id) => [id, party.client(id)]));
  }

  run(): ServerState {
    for (const id of this.party.ids) this.afterClient(id, ...startClient(this.contexts.get(id)!));
    for (let steps = 0; steps < 100_000; steps++) {
      const state = this.server;
      if (this.mail.length > 0) {
        const [mail] = this.mail.splice(this.rng.below(this.mail.length), 1);
        if (mail!.to === 'server') this.serverStep({ kind: 'frame', from: mail!.from, bytes: mail!.bytes });
        else if (this.rng.uniform() < this.faults.silence) this.silent.add(mail.to);
        else this.clientStep(mail!.to, { kind: 'frame', bytes: mail!.bytes });
      } else if (state.phase === 'done' || state.phase === 'aborted') return state;
      else this.serverStep({ kind: 'deadline' });
    }
    throw new Error('the schedule does not end');
  }

  /** Delivered twice with some probability, unless it is the large frame that the transport itself makes unique. */
  post(mail: Mail): void {
    this.mail.push(mail);
    if (this.rng.uniform() < this.faults.duplicate) this.mail.push(mail);
  }

  serverStep(input: ServerInput): void {
    const { server } = this.party;
    const [state, outputs] = stepServer(server, this.server, input);
    this.server = state;
    for (const output of outputs) {
      if (output.kind === 'send' && this.rng.uniform() < this.faults.crash / (5 * outputs.length)) {
        this.crashServer();
        return; // this output and those behind it are lost; the restored server sends them again
      }
      if (output.kind === 'unmask') this.unmask = output;
      if (output.kind === 'send') this.post({ to: output.to, from: 'server', bytes: output.frame });
    }
  }

  /** All that survives is the saved text and the sum saved with it. */
  crashServer(): void {
    const { sum } = this.party.server;
    if (this.server.phase !== 'advertise' && this.server.phase !== 'share') {
      const saved = sum.read();
      sum.reset(saved.length);
      sum.add(saved);
    }
    this.server = restoreState<ServerState>(saveState(this.server));
    this.serverStep({ kind: 'resume' });
  }

  clientStep(id: string, input: ClientInput): void {
    if (this.silent.has(id)) return;
    const context = this.contexts.get(id)!;
    this.afterClient(id, ...stepClient(context, this.disk.get(id)!, input));
  }

  afterClient(id: string, state: ClientState, outputs: readonly ClientOutput[]): void {
    this.disk.set(id, state);
    if (outputs[0]?.kind === 'persist' && this.rng.uniform() < this.faults.crash) {
      this.disk.set(id, restoreState<ClientState>(saveState(state)));
      this.clientStep(id, { kind: 'resume' });
      return;
    }
    for (const output of outputs) {
      if (output.kind === 'refused') this.refused.add(output.reason);
      if (output.kind === 'vector-wanted') this.clientStep(id, { kind: 'vector', values: this.party.vectors.get(id)! });
      if (output.kind !== 'send') continue;
      this.post({ to: 'server', from: id, bytes: output.frame });
      const key = `${id} ${output.type}`;
      this.once.set(key, (this.once.get(key) ?? new Set()).add(toHex(output.frame)));
    }
  }
}

function schedule(seed: number): { finished: boolean } {
  const rng = rngFromSeed(seed).split('schedule');
  const real = seed % 50 === 0;
  const clients = real ? 3 + rng.below(3) : 3 + Math.floor(38 * rng.uniform() ** 8);
  const faulty = seed % 5 !== 0;
  const faults: Faults = {
    silence: faulty ? 0.1 * rng.uniform() ** 2 : 0,
    duplicate: rng.uniform() * 0.4,
    crash: rng.uniform() * 0.3,
  };
  const options = { clients, elements: 1 + rng.below(9), rngSeed: seed, pack: rng.below(2) === 1 };
  const party = createParty({ ...options, suite: real ? nodeSuite : toySuite });
  const world = new Schedule(party, rng, faults);
  const state = world.run();
  for (const reason of world.refused) assert.ok(HONEST_REFUSALS.has(reason), `an honest run was refused: ${reason}`);
  for (const [key, frames] of world.once) assert.equal(frames.size, 1, `${key}: two different frames`);
  if (world.silent.size === 0) assert.equal(state.phase, 'done', 'nobody dropped out, yet there is no sum');
  if (state.phase !== 'done') return { finished: false };
  const { suite, sum } = party.server;
  const got = unmaskSum({ suite, sum, ringBits: party.params.ring.bits }, world.unmask!.masks);
  assert.deepEqual(got, party.plainSum(state.survivorIds));
  return { finished: true };
}

/** `npm run soak` has ten times as many. */
const SCHEDULES = Number(process.env.SECAGG_SCHEDULES ?? 1000);

describe('secagg schedules', () => {
  const PER_TEST = 250;
  for (let first = 0; first < SCHEDULES; first += PER_TEST) {
    it(`end in the exact sum or in none: seeds ${first} to ${first + PER_TEST - 1}`, () => {
      let finished = 0;
      for (let seed = first; seed < first + PER_TEST; seed++) {
        try {
          if (schedule(seed).finished) finished++;
        } catch (error) {
          throw new Error(`schedule(${seed})`, { cause: error });
        }
      }
      assert.ok(finished > PER_TEST / 2 && finished < PER_TEST, `${finished} of ${PER_TEST} reached a sum`);
    }).timeout(60_000);
  }
});
