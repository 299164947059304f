import assert from 'node:assert/strict';
import { nextModel } from '../../../server/run/model.js';
import { parseStrategy } from '../../../server/strategies/index.js';
import { packTensors } from '../../../shared/tensors/params.js';

const vector = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });

describe('the next model', () => {
  it('leaves alone what the update does not hold, whatever momentum earlier rounds have left', () => {
    const strategy = parseStrategy('fedavgm:momentum=0.5');
    const start = { params: packTensors({ a: vector(1), b: vector(1) }), strategyState: strategy.init(2) };
    const first = nextModel(start, packTensors({ 'update/a': vector(1), 'update/b': vector(1) }), {
      strategy,
      round: 1,
    });
    assert.deepEqual([...first.params.values], [2, 2]);
    const second = nextModel(first, packTensors({ 'update/a': vector(1) }), { strategy, round: 2 });
    assert.deepEqual([...second.params.values], [3.5, 2]);
  });

  it('takes the tensors of other channels as they come', () => {
    const strategy = parseStrategy('fedavg');
    const start = { params: packTensors({ a: vector(1), 'sums/s': vector(5, 6) }), strategyState: strategy.init(3) };
    const next = nextModel(start, packTensors({ 'update/a': vector(2), 'sums/s': vector(7, 8) }), {
      strategy,
      round: 1,
    });
    assert.deepEqual([...next.params.values], [3, 7, 8]);
  });
});
