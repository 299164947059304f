/**
 * The coordinator is killed between any two frames, a client in any phase: the run ends in the model of the undisturbed
 * run, and no key ever serves two aggregations.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskKind } from '../../shared/run/plan.js';
import { decodeAdvertise } from '../../shared/secagg/frames.js';
import { toySpec } from '../support/toy.js';
import { hex, SECURE } from './hostile-coordinator.js';
import { Lab, type Passing } from './lab.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const PHASE_MS = 1000;
const TRAINING_MS = 5000;

function spec(overrides: Parameters<typeof toySpec>[0]) {
  const plain = toySpec({ rounds: 2, deadlineMs: TRAINING_MS, ...overrides });
  return { ...plain, work: { ...plain.work, secure: { ...SECURE, phaseDeadlineMs: PHASE_MS } } };
}

describe('a secure run that is disturbed', () => {
  let directory: string;
  let lab: Lab;
  let undisturbed: string;

  let count = 0;

  const open = async (overrides: Parameters<typeof toySpec>[0] = {}) => {
    lab = await Lab.open(join(directory, `${count++}`), NAMES, spec(overrides));
  };

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-restarts-'));
    await open();
    assert.equal((await lab.finish()).status, 'completed');
    undisturbed = (await lab.report()).modelSha256;
    await lab.close();
  });
  after(() => rm(directory, { recursive: true }));
  afterEach(async () => {
    await lab.close();
    assert.deepEqual(lab.fatal, []);
    assertKeysFresh(lab.passed);
  });

  /** Resolves at the second frame of this kind, with whose it is; `act` is called before the frame arrives. */
  function at(
    wanted: Pick<Passing, 'way' | 'type'> & { kind: TaskKind; round: number },
    act: (frame: Passing) => void,
  ) {
    let seen = 0;
    return new Promise<string>((resolve) => {
      lab.tap = (frame) => {
        const { way, type, task } = frame;
        if (way !== wanted.way || type !== wanted.type || task.kind !== wanted.kind || task.round !== wanted.round)
          return;
        if (++seen !== 2) return;
        act(frame);
        resolve(frame.client);
      };
    });
  }

  for (const kind of ['train', 'evaluate'] as const) {
    for (const type of ['advertise', 'shares', 'masked', 'consistency', 'unmask'] as const) {
      it(`ends alike when the coordinator is killed at ${type} (${kind})`, async () => {
        await open();
        await at({ way: 'up', type, kind, round: 2 }, () => lab.killCoordinator());
        await lab.startCoordinator();
        const { status, rounds } = await lab.finish();
        assert.equal(status, 'completed');
        const report = await lab.report();
        assert.equal(report.modelSha256, undisturbed);
        assert.deepEqual(
          rounds.map(({ survivors }) => survivors),
          [4, 4],
        );
        assert.equal(rounds[1].attempt, kind === 'train' ? 2 : 1, 'the round that was cut is repeated');
        assert.ok('test.loss' in rounds[1].metrics, 'and evaluated');
      });
    }

    for (const type of ['roster', 'bundles', 'survivors', 'signatures'] as const) {
      it(`ends alike when a client is killed at ${type} (${kind}) and comes back`, async () => {
        await open();
        const killed = await at({ way: 'down', type, kind, round: 2 }, ({ client }) => void lab.killClient(client));
        await lab.killClient(killed);
        await lab.startClient(killed);
        const { status, rounds } = await lab.finish();
        assert.equal(status, 'completed');
        assert.equal((await lab.report()).modelSha256, undisturbed);
        assert.deepEqual(
          rounds.map(({ survivors, attempt }) => [survivors, attempt]),
          [
            [4, 1],
            [4, 1],
          ],
        );
        const started = lab.passed.filter(({ client, type: sent }) => client === killed && sent === 'advertise');
        assert.equal(
          new Set(started.map(({ aggregation }) => aggregation)).size,
          4,
          'two rounds and two evaluations, none begun twice',
        );
      });

      it(`goes on without a client that is killed at ${type} (${kind}) and does not`, async () => {
        await open({ minClients: 3 });
        const killed = await at({ way: 'down', type, kind, round: 2 }, ({ client }) => void lab.killClient(client));
        // When the others have answered, the dead one is all that the phase still waits for: its deadline passes.
        let answers = lab.passed.filter(
          (frame) => frame.way === 'up' && frame.type === ANSWER[type] && isNow(frame),
        ).length;
        const onward = () => setImmediate(() => lab.clock.advance(type === 'bundles' ? TRAINING_MS : PHASE_MS));
        lab.tap = (frame) => {
          if (frame.way === 'up' && frame.type === ANSWER[type] && isNow(frame) && ++answers === 3) onward();
        };
        if (answers >= 3) onward();
        const { status, rounds } = await lab.finish();
        assert.equal(status, 'completed');
        assert.equal(rounds[1].attempt, 1);
        // Its vector is in the sum if it was killed after it had uploaded it.
        const uploaded = kind === 'evaluate' || type === 'survivors' || type === 'signatures';
        assert.equal(rounds[1].survivors, uploaded ? 4 : 3);
        assert.deepEqual(
          rounds[1].dropped.map(({ client }) => client),
          uploaded ? [] : [killed],
        );
        assert.ok('test.loss' in rounds[1].metrics);

        function isNow({ task }: Passing): boolean {
          return task.kind === kind && task.round === 2;
        }
      });
    }
  }
});

/** What a client says to each frame of the coordinator. */
const ANSWER = { roster: 'shares', bundles: 'masked', survivors: 'consistency', signatures: 'unmask' } as const;

/** In all that was sent, one aggregation has one pair of keys of a client, and no two have one in common. */
function assertKeysFresh(passed: readonly Passing[]): void {
  const owner = new Map<string, string>();
  for (const { client, type, aggregation, body } of passed) {
    if (type !== 'advertise') continue;
    const { sharePublicKey, maskPublicKey } = decodeAdvertise(body);
    for (const key of [sharePublicKey, maskPublicKey].map(hex)) {
      const used = owner.get(key) ?? `${client} in ${aggregation}`;
      assert.equal(used, `${client} in ${aggregation}`);
      owner.set(key, used);
    }
  }
  const pairs = new Set([...owner.values()]);
  assert.equal(owner.size, 2 * pairs.size, 'one pair for each client and aggregation');
}
