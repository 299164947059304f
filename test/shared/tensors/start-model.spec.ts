/**
 * A model out of a file that this program or PyTorch wrote: each difference has a sentence of its own, and what is turned
 * lies where PyTorch's own `permute` puts it.
 */
import assert from 'node:assert/strict';
import { bytesOf } from '../../../shared/tensors/bytes.js';
import { layoutOf, packTensors } from '../../../shared/tensors/params.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { startModel, type TensorNames } from '../../../shared/tensors/start-model.js';

/**
 * By safetensors 0.8.0 (Python), save_file with metadata format: pt of fc.weight = arange(1, 7).reshape(3, 2) and fc.bias =
 * arange(1, 4), float32, and bn.num_batches_tracked = 5, int64, which it puts first.
 */
const SAVED = Buffer.from(
  'e8000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c22626e2e6e756d5f626174636865735f747261636b6564223a7b226474797065223a22493634222c227368617065223a5b5d2c22646174615f6f666673657473223a5b302c385d7d2c2266632e62696173223a7b226474797065223a22463332222c227368617065223a5b335d2c22646174615f6f666673657473223a5b382c32305d7d2c2266632e776569676874223a7b226474797065223a22463332222c227368617065223a5b332c325d2c22646174615f6f666673657473223a5b32302c34345d7d7d202005000000000000000000803f00000040000040400000803f0000004000004040000080400000a0400000c040',
  'hex',
);

const LAYOUT = layoutOf([
  { name: 'kernel', shape: [2, 3] },
  { name: 'bias', shape: [3] },
]);
const counted = (size: number) => Float32Array.from({ length: size }, (_, i) => i + 1);
const tensor = (...shape: number[]) => ({ shape, data: counted(shape.reduce((a, b) => a * b, 1)) });
const fileOf = (tensors: Parameters<typeof packTensors>[0]) => encode(packTensors(tensors));
const read = (bytes: Uint8Array, names?: TensorNames, layout = LAYOUT) =>
  startModel({ source: 'm.safetensors', bytes, names }, layout);
const says = (bytes: Uint8Array, names?: TensorNames): string[] => {
  try {
    read(bytes, names);
  } catch (error) {
    const { message, code } = error as { message: string; code: string };
    assert.equal(code, 'invalid-argument');
    const [start, said] = message.split(" is not this workload's model: ");
    assert.equal(start, 'initial-model: m.safetensors');
    return said.split('; ');
  }
  return assert.fail('it was taken');
};

/** A file with a header as other software may write it. */
function foreign(header: Record<string, { dtype: string; shape: number[]; data?: Float32Array; sizeBytes?: number }>) {
  let end = 0;
  const data: Uint8Array[] = [];
  const entries = Object.entries(header).map(([name, { dtype, shape, data: values, sizeBytes = 0 }]) => {
    const bytes = values === undefined ? new Uint8Array(sizeBytes) : bytesOf(values);
    data.push(bytes);
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const json = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) }));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return new Uint8Array(Buffer.concat([prefix, json, ...data]));
}

describe('a model to start from', () => {
  it('is taken in our order, whatever the order of the file', () => {
    const { values, layout } = read(fileOf({ bias: tensor(3), kernel: tensor(2, 3) }));
    assert.deepEqual([...values], [1, 2, 3, 4, 5, 6, 1, 2, 3]);
    assert.equal(layout, LAYOUT);
  });

  it('is refused with a sentence for each tensor that differs', () => {
    assert.deepEqual(says(fileOf({ kernel: tensor(3, 2), offset: tensor(3) })), [
      'kernel: expected shape [2,3], got [3,2]',
      'initial-model-names with transpose: [1,0] turns it',
      'bias: expected a tensor of shape [3], got none of that name',
      '"offset": the file holds it, the workload has no tensor of this name',
    ]);
    const half = {
      kernel: { dtype: 'F16', shape: [2, 3], sizeBytes: 12 },
      bias: { dtype: 'F32', shape: [3], sizeBytes: 4 },
    };
    assert.deepEqual(says(foreign(half)), [
      'kernel: expected dtype F32, got "F16"',
      'save it as float32',
      'bias: expected 12 bytes, got 4',
    ]);
    const bad = { ...tensor(3), data: Float32Array.of(1, Number.NaN, 3) };
    assert.deepEqual(says(fileOf({ kernel: tensor(2, 3), bias: bad })), [
      'bias: expected finite numbers, got NaN at element 1',
    ]);
  });

  it('counts differences beyond a dozen', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x${i}`, tensor(1)]));
    const said = says(fileOf({ kernel: tensor(2, 3), bias: tensor(3), ...many }));
    assert.deepEqual([said.length, said.at(-1)], [13, 'and 8 more']);
  });

  it('is found under other names, turned where they say so; what they do not name stays in the file', () => {
    const file = fileOf({ 'fc.weight': tensor(3, 2), 'fc.bias': tensor(3), steps: tensor() });
    const names = { kernel: { from: 'fc.weight', transpose: [1, 0] }, bias: 'fc.bias' };
    // [[1, 2], [3, 4], [5, 6]] turned
    assert.deepEqual([...read(file, names).values], [1, 3, 5, 2, 4, 6, 1, 2, 3]);
    assert.deepEqual(says(file, { ...names, bias: 'fc.b', kern: 'fc.weight' }), [
      'bias: expected a tensor of shape [3] ("fc.b" in the file), got none of that name',
      '"kern": no tensor of the workload has this name',
    ]);
    for (const transpose of [[0, 0], [0], [1, 2], [0, 1, 2]]) {
      const [first] = says(file, { ...names, kernel: { from: 'fc.weight', transpose } });
      assert.equal(
        first,
        `kernel: transpose: expected each axis of [3,2] once, from 0, got [${transpose}] ("fc.weight" in the file)`,
      );
    }
  });

  it('is read from what the library that PyTorch users save with has written', () => {
    const names = { kernel: { from: 'fc.weight', transpose: [1, 0] }, bias: 'fc.bias' };
    assert.deepEqual([...read(SAVED, names).values], [1, 3, 5, 2, 4, 6, 1, 2, 3]);
    assert.ok(
      says(SAVED).includes('"bn.num_batches_tracked": the file holds it, the workload has no tensor of this name'),
    );
    assert.deepEqual(says(SAVED, { ...names, bias: 'bn.num_batches_tracked' }), [
      'bias: expected dtype F32, got "I64" ("bn.num_batches_tracked" in the file)',
      'save it as float32',
    ]);
  });

  it('turns four axes as PyTorch does', () => {
    // numpy 2.4.6: arange(1, 25).reshape(2, 3, 2, 2).transpose(2, 3, 1, 0).flatten(), as PyTorch's permute of these axes
    const layout = layoutOf([{ name: 'k', shape: [2, 2, 3, 2] }]);
    const names = { k: { from: 'conv', transpose: [2, 3, 1, 0] } };
    const expected = [1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23, 4, 16, 8, 20, 12, 24];
    assert.deepEqual([...read(fileOf({ conv: tensor(2, 3, 2, 2) }), names, layout).values], expected);
  });

  it('comes from a safetensors file alone', () => {
    for (const bytes of [
      new Uint8Array(0),
      Buffer.from('not a model at all'),
      foreign({ a: { dtype: 'F32', shape: [3], sizeBytes: 12 } }).subarray(0, -1),
    ])
      assert.throws(() => read(bytes), { code: 'corrupt' });
  });
});
