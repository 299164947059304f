/** Makes every gradient known to TensorFlow.js, once per process or worker: its registry is shared by all back ends. */
import { binaryGradients } from './binary.js';
import { fusedGradients } from './fused.js';
import type { GradientTable, Tf } from './gradient.js';
import { nnGradients } from './nn.js';
import { reduceGradients } from './reduce.js';
import { secondGradients } from './second.js';
import { shapeGradients } from './shape.js';
import { unaryGradients } from './unary.js';

/** All of them, by the name of the kernel whose gradient they are. */
export function gradientTable(tf: Tf): GradientTable {
  return {
    ...unaryGradients(tf),
    ...binaryGradients(tf),
    ...shapeGradients(tf),
    ...reduceGradients(tf),
    ...nnGradients(tf),
    ...fusedGradients(tf),
    ...secondGradients(tf),
  };
}

/** Registers ours in place of whatever is registered, for instance by the umbrella package that tfjs-node brings along. */
export function registerGradients(tf: Tf): void {
  for (const [kernelName, gradient] of Object.entries(gradientTable(tf))) {
    if (tf.getGradient(kernelName)) tf.unregisterGradient(kernelName);
    tf.registerGradient({ kernelName, ...gradient });
  }
}
