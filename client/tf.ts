/** TensorFlow.js, in the one copy that Starling trains with: `import * as tf from 'starling-fl/tf'`. */
export * from '@tensorflow/tfjs-core';
