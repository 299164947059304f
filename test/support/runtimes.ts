/** The runtimes of others on which an exported model has to give the same numbers. */

import { loadGraphModel } from '@tensorflow/tfjs-converter';
import type * as tf from '@tensorflow/tfjs-core';
import { env, InferenceSession, Tensor } from 'onnxruntime-web';

env.wasm.numThreads = 1;

export interface Output {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

/** What ONNX Runtime makes of the file's bytes. */
export async function ranByOnnx(file: Uint8Array, inputs: Readonly<Record<string, tf.Tensor>>) {
  const session = await InferenceSession.create(file);
  try {
    const feeds = Object.entries(inputs).map(([name, tensor]) => {
      return [name, new Tensor(tensor.dtype as 'float32', tensor.dataSync() as Float32Array, tensor.shape)];
    });
    const outputs = await session.run(Object.fromEntries(feeds));
    const read = Object.entries(outputs).map(([name, { dims, data }]) => [name, { dims, data }]);
    return Object.fromEntries(read) as Record<string, Output>;
  } finally {
    await session.release();
  }
}

/** What TensorFlow.js's loader of graph models makes of `model.json` and `weights.bin`. */
export async function ranByGraphModel(
  files: Readonly<Record<string, Uint8Array>>,
  inputs: Readonly<Record<string, tf.Tensor>>,
) {
  const { modelTopology, weightsManifest, signature, format } = JSON.parse(Buffer.from(files['model.json']).toString());
  const weightData = Uint8Array.from(files['weights.bin']).buffer;
  const weightSpecs = weightsManifest[0].weights;
  const model = await loadGraphModel({
    load: async () => ({ modelTopology, weightSpecs, weightData, signature, format }),
  });
  const names = Object.keys(signature.outputs);
  const outputs = [model.execute({ ...inputs }, names)].flat();
  const read = outputs.map((tensor, i) => {
    const output = { dims: tensor.shape, data: tensor.dataSync() };
    tensor.dispose();
    return [names[i], output] as const;
  });
  model.dispose();
  return Object.fromEntries(read) as Record<string, Output>;
}
