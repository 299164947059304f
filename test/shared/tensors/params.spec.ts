import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  addUpdate,
  firstNonFinite,
  layoutOf,
  MAX_ELEMENTS,
  packTensors,
  sameLayout,
  sizeOf,
  subtract,
} from '../../../shared/tensors/params.js';

const two = () =>
  packTensors({
    'dense/kernel': { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    'dense/bias': { shape: [], data: Float32Array.of(7) },
  });

describe('params', () => {
  it('lays tensors back to back in insertion order; a scalar has size 1', () => {
    const { layout, values } = two();
    assert.deepEqual(layout, [
      { name: 'dense/kernel', shape: [2, 3], offset: 0, size: 6 },
      { name: 'dense/bias', shape: [], offset: 6, size: 1 },
    ]);
    assert.deepEqual([...values], [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(sizeOf(layout), 7);
    assert.equal(sizeOf(layoutOf([])), 0);
  });

  it('refuses bad names, shapes, sizes and data, naming the field', () => {
    for (const name of ['', 'a b', 'ä', '__proto__', '__metadata__', 'x'.repeat(129)]) {
      assert.throws(() => layoutOf([{ name, shape: [1] }]), /name: expected 1 to 128 characters/);
    }
    const twice = { name: 'w', shape: [1] };
    assert.throws(() => layoutOf([twice, twice]), /name: expected each tensor name once, got "w"/);
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => layoutOf([{ name: 'w', shape: [bad] }]), /shape of w: expected integers of at least 0/);
    }
    assert.throws(() => layoutOf([{ name: 'w', shape: [65_536, 65_536] }]), /shape of w: expected at most 2147483648/);
    assert.throws(
      () =>
        layoutOf([
          { name: 'w', shape: [MAX_ELEMENTS] },
          { ...twice, name: 'v' },
        ]),
      /shape of v/,
    );
    assert.throws(
      () => packTensors({ w: { shape: [2], data: Float32Array.of(1) } }),
      /data of w: expected 2 elements, got 1/,
    );
  });

  it('subtracts element by element and refuses another layout', () => {
    const local = two();
    const global = two();
    global.values.set([1, 1, 1, 1, 1, 1, 1]);
    assert.deepEqual([...subtract(local, global).values], [0, 1, 2, 3, 4, 5, 6]);
    const other = packTensors({ w: { shape: [7], data: new Float32Array(7) } });
    assert.throws(() => subtract(other, global), /local: expected the layout of global/);
  });

  it('adds an update to named tensors, and leaves them as they were', () => {
    const tensors = {
      w: { shape: [2, 1], data: Float32Array.of(1, 2) },
      b: { shape: [], data: Float32Array.of(3) },
    };
    assert.deepEqual(addUpdate(tensors, Float32Array.of(10, 20, -3)), {
      w: { shape: [2, 1], data: Float32Array.of(11, 22) },
      b: { shape: [], data: Float32Array.of(0) },
    });
    assert.deepEqual([...tensors.w.data, ...tensors.b.data], [1, 2, 3]);
  });

  it('compares names, shapes and order', () => {
    const a = { name: 'a', shape: [2, 3] };
    const b = { name: 'b', shape: [6] };
    assert.ok(sameLayout(layoutOf([a, b]), layoutOf([a, b])));
    assert.ok(!sameLayout(layoutOf([a, b]), layoutOf([b, a])));
    assert.ok(!sameLayout(layoutOf([a]), layoutOf([a, b])));
    assert.ok(!sameLayout(layoutOf([a]), layoutOf([{ name: 'a', shape: [3, 2] }])));
    assert.ok(!sameLayout(layoutOf([a]), layoutOf([{ name: 'a', shape: [2, 3, 1] }])));
  });

  it('finds the first number that is not finite, wherever it is', () => {
    const bad = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
    const places = fc.uniqueArray(fc.nat(9999), { maxLength: 4 });
    fc.assert(
      fc.property(places, bad, (indices, value) => {
        const values = new Float32Array(10_000).fill(3.4e38); // large finite numbers must not count
        for (const i of indices) values[i] = value;
        assert.equal(firstNonFinite(values), indices.length === 0 ? -1 : Math.min(...indices));
      }),
    );
    assert.equal(firstNonFinite(new Float32Array(0)), -1);
  });
});
