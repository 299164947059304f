/**
 * What a forward pass does, as the kernels of TensorFlow.js that it ran: every operation goes through the engine's
 * `runKernel`, whatever function asked for it. What no kernel computed from an input or a parameter is a constant.
 */
import tf = require('@tensorflow/tfjs-core');

import type { TensorMap } from '../workload.js';

/** A tensor of the recorded pass, by its number in {@link Recorded.values}. */
export type ValueId = number;

/** Where a value comes from; `dtype` and `shape` as TensorFlow.js says them. */
export interface RecordedValue {
  readonly from: 'input' | 'param' | 'constant' | 'kernel';
  /** Of an input or a parameter. */
  readonly name?: string;
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
  /** Of a constant. */
  readonly data?: tf.TypedArray;
}

/** One kernel that ran. Inputs by the kernel's own names; those of a list are named by their place. */
export interface RecordedKernel {
  readonly kernel: string;
  readonly inputs: Readonly<Record<string, ValueId>>;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly outputs: readonly ValueId[];
}

/** A forward pass on one batch, in the order in which it ran. */
export interface Recorded {
  readonly values: readonly RecordedValue[];
  readonly kernels: readonly RecordedKernel[];
  readonly outputs: Readonly<Record<string, ValueId>>;
}

/** Runs `forward` once, on the current back end, and says what it did. Frees what it made, and nothing of the caller's. */
export function recordPass(params: TensorMap, inputs: TensorMap, forward: () => TensorMap): Recorded {
  const values: RecordedValue[] = [];
  const kernels: RecordedKernel[] = [];
  const ids = new Map<number, ValueId>();
  const add = (tensor: tf.Tensor, value: Omit<RecordedValue, 'shape' | 'dtype'>): ValueId => {
    const id = values.push({ ...value, shape: tensor.shape, dtype: tensor.dtype }) - 1;
    ids.set(tensor.id, id);
    return id;
  };
  const idOf = (tensor: tf.Tensor) =>
    ids.get(tensor.id) ?? add(tensor, { from: 'constant', data: tensor.dataSync().slice() as tf.TypedArray });
  for (const [name, tensor] of Object.entries(inputs)) add(tensor, { from: 'input', name });
  for (const [name, tensor] of Object.entries(params)) add(tensor, { from: 'param', name });

  const note = (kernel: string, given: tf.NamedTensorMap, attrs: object, made: readonly tf.Tensor[]) => {
    const entries = Object.entries(given).filter(([, tensor]) => tensor !== undefined && tensor !== null);
    const from = Object.fromEntries(entries.map(([name, tensor]) => [name, idOf(tensor)]));
    const isConstant = Object.values(from).every((id) => values[id].from === 'constant');
    if (isConstant) return; // so is what it gives: read when it is used
    const outputs = made.map((tensor) => add(tensor, { from: 'kernel' }));
    kernels.push({ kernel, inputs: from, attrs: { ...attrs }, outputs });
  };
  let outputs: Record<string, ValueId> = {};
  listening(note, () =>
    tf.tidy(() => {
      outputs = Object.fromEntries(Object.entries(forward()).map(([name, tensor]) => [name, idOf(tensor)]));
    }),
  );
  return { values, kernels, outputs };
}

type Note = (kernel: string, inputs: tf.NamedTensorMap, attrs: object, outputs: readonly tf.Tensor[]) => void;

/** With `note` told of every kernel that `run` has the engine run. */
function listening(note: Note, run: () => void): void {
  const engine = tf.engine();
  const { runKernel } = engine;
  engine.runKernel = (kernel, inputs, attrs) => {
    const made = runKernel.call(engine, kernel, inputs, attrs);
    note(kernel, inputs as tf.NamedTensorMap, attrs ?? {}, Array.isArray(made) ? made : [made as tf.Tensor]);
    return made as never;
  };
  try {
    run();
  } finally {
    engine.runKernel = runKernel;
  }
}
