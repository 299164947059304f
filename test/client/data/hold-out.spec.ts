import assert from 'node:assert/strict';
import { heldOut } from '../../../client/data/hold-out.js';

const chosen = (count: number, fraction: number) =>
  Array.from({ length: count }, (_, i) => i).filter(heldOut(count, fraction));

describe('the examples that a site holds out', () => {
  it('are one of each stretch, so as many as asked for, to one', () => {
    for (const [count, fraction] of [
      [100, 0.1],
      [100, 0.5],
      [37, 0.3],
      [10, 0.2],
      [1000, 0.07],
    ] as const) {
      const found = chosen(count, fraction);
      assert.ok(Math.abs(found.length - count * fraction) <= 1, `${found.length} of ${count} at ${fraction}`);
      for (let from = 0; from + 1 / fraction <= count; from += 1 / fraction) {
        const within = found.filter((i) => i >= Math.ceil(from) && i < Math.ceil(from + 1 / fraction));
        assert.equal(within.length, 1, `stretch from ${from} at ${fraction}`);
      }
    }
  });

  it('stay held out, and the others stay in training, when examples are added behind them', () => {
    for (const fraction of [0.1, 0.3, 0.5]) {
      const all = chosen(1000, fraction);
      for (const count of [1, 2, 10, 99, 500]) {
        assert.deepEqual(
          chosen(count, fraction),
          all.filter((i) => i < count),
          `${count} at ${fraction}`,
        );
      }
    }
  });

  it('do not follow a period of the data: no class of ten that alternate has more than a third of them', () => {
    const byClass = new Array<number>(10).fill(0);
    for (const i of chosen(1000, 0.1)) byClass[i % 10]++;
    // binomial of 100 and 1/10: mean 10, deviation 3; every tenth row would give 100 to one of them
    assert.ok(Math.max(...byClass) <= 33, `${byClass}`);
  });

  it('are none at 0 and of no examples, and no more than half', () => {
    assert.deepEqual([chosen(10, 0), chosen(0, 0.2)], [[], []]);
    for (const fraction of [0.51, -0.1, Number.NaN]) {
      assert.throws(() => heldOut(10, fraction), /validation-fraction: expected a number from 0 to 0.5/);
    }
  });
});
