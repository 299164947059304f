/** Meta-learning beyond what every workload promises: tasks, what is held out, and what each algorithm contributes. */
import assert from 'node:assert/strict';
import { selectBackend } from '../../../../client/backends/index.js';
import { type CharacterSet, DRAWINGS, loadCharacters } from '../../../../client/data/characters.js';
import { drawEpisode, drawingsOf } from '../../../../client/workloads/meta/episodes.js';
import { initMeta } from '../../../../client/workloads/meta/model.js';
import { type Algorithm, metaRound } from '../../../../client/workloads/meta/training.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { packTensors } from '../../../../shared/tensors/params.js';

const SIDE = 8;
const loaded = () => loadCharacters({ name: 'drawn', side: SIDE, rng: rngFromSeed(3) });

describe('characters', () => {
  it('for testing are of alphabets that no training character is of', async () => {
    const { train, test } = await loaded();
    assert.deepEqual([new Set(train.alphabets).size, new Set(test.alphabets).size], [4, 2]);
    assert.ok(test.alphabets.every((alphabet) => !train.alphabets.includes(alphabet)));
    assert.equal(train.ink.length, train.alphabets.length * DRAWINGS * SIDE * SIDE);
  });
});

describe('a task', () => {
  it('has distinct characters of one alphabet, and asks about other drawings than it teaches', async () => {
    const { train } = await loaded();
    const everyone = Array.from(train.alphabets.keys());
    for (let seed = 0; seed < 20; seed++) {
      const task = drawEpisode(train, everyone, { ways: 5, turned: true }, rngFromSeed(seed));
      assert.equal(new Set(task.map(({ character }) => character)).size, 5);
      assert.equal(new Set(task.map(({ character }) => train.alphabets[character])).size, 1);
      for (const { order } of task)
        assert.deepEqual(
          [...order].sort((a, b) => a - b),
          [...Array(DRAWINGS).keys()],
        );
    }
  });

  it('has fewer where an alphabet has no more, and none without two', async () => {
    const { train } = await loaded();
    assert.equal(drawEpisode(train, [0, 1, 2], { ways: 5, turned: false }, rngFromSeed(1)).length, 3);
    assert.throws(() => drawEpisode(train, [0, 8], { ways: 5, turned: false }, rngFromSeed(1)), /two of one alphabet/);
    assert.throws(() => drawEpisode(train, [], { ways: 5, turned: false }, rngFromSeed(1)), /two of one alphabet/);
  });

  it('turns drawings by quarters, against the clock', () => {
    const ink = new Uint8Array(DRAWINGS * 4);
    ink.set([51, 102, 153, 204]); // 0.2 0.4 / 0.6 0.8
    const set: CharacterSet = { alphabets: ['a'], ink };
    const turned = (turns: number) =>
      Array.from(drawingsOf(set, 2, [[{ character: 0, turns, order: [0] }]], [0, 1]), (value) => value.toFixed(1));
    assert.deepEqual(turned(0), ['0.2', '0.4', '0.6', '0.8']);
    assert.deepEqual(turned(1), ['0.4', '0.8', '0.2', '0.6']);
    assert.deepEqual(turned(2), ['0.8', '0.6', '0.4', '0.2']);
    assert.deepEqual(turned(3), ['0.6', '0.2', '0.8', '0.4']);
  });
});

describe('a round of meta-learning', () => {
  before(() => selectBackend('cpu'));

  const training = {
    localSteps: 1,
    batchSize: 4,
    momentum: 0,
    weightDecay: 0,
    gradientClipNorm: 0,
    proximalMu: 0,
    lrSchedule: 'constant',
  } as const;
  const contribution = async (algorithm: Algorithm, clientLr: number, overrides: object = {}, innerSteps = 3) => {
    const data = await loaded();
    const catalogue = algorithm === 'fedavg' ? 4 * data.train.alphabets.length : 0;
    const shared = initMeta(rngFromSeed(5), { side: SIDE, blocks: 2, filters: 4, catalogue });
    const { tensors } = await metaRound({
      shared,
      data,
      characters: Int32Array.of(0, 1, 2, 3),
      rng: rngFromSeed(6),
      training: { ...training, clientLr, ...overrides },
      settings: { algorithm, ways: 3, shots: 2, queries: 2, innerSteps, innerLr: 0.3 },
    });
    const start = packTensors(shared).values;
    return tensors.flatMap((values) => [...values]).map((value, i) => value - start[i]);
  };

  it('by Reptile goes a part of the way to the adapted model', async () => {
    const whole = await contribution('reptile', 1);
    const half = await contribution('reptile', 0.5);
    assert.ok(whole.some((value) => Math.abs(value) > 1e-3));
    // weights are below 4, so float32 rounds each to 2^-22 at worst
    for (const [i, value] of half.entries()) assert.ok(Math.abs(value - whole[i] / 2) < 2 ** -20);
  });

  it('by first-order MAML follows the adapted model from where the task began', async () => {
    const [one, two] = [await contribution('fomaml', 0.1), await contribution('fomaml', 0.2)];
    assert.ok(one.some((value) => Math.abs(value) > 1e-3));
    for (const [i, value] of two.entries()) assert.ok(Math.abs(value - 2 * one[i]) < 2 ** -20);
    assert.notDeepEqual(one, await contribution('reptile', 0.1));
  });

  it('by plain federated averaging trains the classifier of all characters, whatever a task would be', async () => {
    const once = await contribution('fedavg', 0.1);
    assert.deepEqual(await contribution('fedavg', 0.1, {}, 7), once);
    assert.ok(once.some((value) => Math.abs(value) > 1e-3));
  });

  it('from scratch is none', async () => {
    assert.ok((await contribution('scratch', 1)).every((value) => value === 0));
  });

  it('refuses settings that it would not follow', async () => {
    const cases: [object, RegExp][] = [
      [{ momentum: 0.9 }, /momentum: expected 0 with meta-learning/],
      [{ lrWarmupRounds: 2 }, /lrWarmupRounds: expected 0 with meta-learning/],
      [{ lrSchedule: 'cosine' }, /lr-schedule: expected constant/],
      [{ localSteps: undefined }, /local-steps: expected the tasks of a round/],
    ];
    for (const [overrides, message] of cases) await assert.rejects(contribution('reptile', 1, overrides), message);
    await assert.rejects(contribution('reptile', 1, {}, 1), /hyper\.inner-steps: expected at least 2 with reptile/);
  });
});
