// The file of TensorFlow.js's core: that of a back end beside Starling, since two copies cannot share tensors; then one of
// the host's own; each if it is of this very version; otherwise the copy here.
const { createRequire } = require('node:module');
const { join } = require('node:path');

const { version } = require('./package.json');
/** Whose packages the project has installed: this lies in starling-fl/node_modules/@tensorflow/tfjs-core. */
const beside = createRequire(join(__dirname, '../../../../package.json'));

function coreOf(backend) {
  try {
    const theirs = backend === undefined ? beside : createRequire(beside.resolve(backend));
    const right = theirs('@tensorflow/tfjs-core/package.json').version === version;
    return right ? theirs.resolve('@tensorflow/tfjs-core') : undefined;
  } catch {
    return undefined; // not installed
  }
}

const BACKENDS = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node', '@tensorflow/tfjs-backend-webgpu', undefined];
module.exports = BACKENDS.map(coreOf).find((file) => file !== undefined) ?? require.resolve('./dist/tf-core.node.js');
