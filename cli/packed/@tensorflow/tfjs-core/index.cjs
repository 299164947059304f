// What `@tensorflow/tfjs-core` is in a packed Starling: one copy for it and for a back end that was installed beside it.
// (Names are read off the last line by whoever imports this as an ES module, so it has to come last.)
const file = require('./core-file.cjs');
if (file !== require.resolve('./dist/tf-core.node.js')) module.exports = require(file);
else module.exports = require('./dist/tf-core.node.js');
