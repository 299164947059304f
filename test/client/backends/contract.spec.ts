/** One contract for all training back ends: every case, forward and backward, as the plain JavaScript back end has it. */
import assert from 'node:assert/strict';
import { type BackendName, probeBackends, selectBackend } from '../../../client/backends/index.js';
import { CASES } from './cases/index.js';
import { assertClose, type Result, runCase } from './support.js';

const available = (await probeBackends()).filter((probe) => probe.available).map((probe) => probe.name);
const compared: readonly BackendName[] = available.filter((name) => name !== 'cpu');

describe('training back ends', () => {
  const expected = new Map<string, Result>();

  before('the reference', async () => {
    const { tf } = await selectBackend('cpu');
    for (const given of CASES) expected.set(given.name, await runCase(tf, given));
  });

  it('includes wasm and cpu on every machine', () => {
    assert.ok(available.includes('wasm') && available.includes('cpu'));
  });

  for (const name of compared) {
    describe(name, () => {
      before(() => selectBackend(name));

      for (const given of CASES.filter(({ except }) => !except?.[name])) {
        it(`computes ${given.name} as cpu does, and frees it`, async () => {
          const { tf } = await selectBackend(name);
          const before = [tf.memory().numTensors, tf.engine().backend.numDataIds()];
          const actual = await runCase(tf, given);
          const coarse = given.coarse && name !== 'wasm' ? 2 ** -11 : 0;
          assertClose(actual, expected.get(given.name) as Result, given.terms, coarse);
          assert.deepEqual([tf.memory().numTensors, tf.engine().backend.numDataIds()], before, 'tensors, data');
        });
      }
    });
  }
});
