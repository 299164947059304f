import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from '../../shared/tensors/safetensors.js';
import { simulate } from '../../simulations/simulate.js';
import { toyExpected, toyModel, toySpec, toyTrainer, toyWorkload } from '../support/toy.js';

const directories: string[] = [];

async function run(overrides: Partial<Parameters<typeof simulate>[0]> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'starling-simulate-'));
  directories.push(directory);
  return simulate({
    spec: toySpec(),
    model: toyModel(),
    clients: 4,
    workload: toyWorkload,
    trainer: toyTrainer(),
    backend: 'none',
    workers: 2,
    transport: 'memory',
    dropout: 0,
    baselines: 'none',
    directory,
    ...overrides,
  });
}

describe('a simulation', () => {
  after(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))));

  it('ends in the example-weighted mean of its clients, round after round', async () => {
    const { report, directory } = await run();
    assert.equal(report.status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ survivors }) => survivors),
      [4, 4, 4],
    );
    const file = await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`));
    const { values } = decode(file).params;
    assert.deepEqual([...values], Array(6).fill(toyExpected(['c1', 'c2', 'c3', 'c4'], 3)));
  });

  it('ends in the same model over memory and over gRPC', async () => {
    const memory = await run();
    const grpc = await run({ transport: 'grpc' });
    assert.equal(grpc.report.modelSha256, memory.report.modelSha256);
    assert.deepEqual(grpc.report.final, memory.report.final);
  });

  /** One round, in which each client sends six times i/2: exact in every encoding but for what top-k leaves out. */
  async function compressed(compression: string | undefined, transport: 'memory' | 'grpc' = 'memory') {
    const { work, engine } = toySpec({ rounds: 1 });
    const { report, directory } = await run({
      spec: { work: { ...work, ...(compression && { compression }) }, engine },
      transport,
    });
    const file = await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`));
    return { values: [...decode(file).params.values], bytesUp: report.rounds[0].bytesUp };
  }

  it('sends its updates up in the encoding of the run, and counts what was sent', async () => {
    const mean = toyExpected(['c1', 'c2', 'c3', 'c4'], 1);
    const plain = await compressed(undefined);
    assert.deepEqual(plain, { values: Array(6).fill(mean), bytesUp: 4 * 6 * 4 });
    // two bytes a number; half of the numbers in eight bytes each, the first of equals
    for (const transport of ['memory', 'grpc'] as const) {
      assert.deepEqual(await compressed('f16', transport), { values: plain.values, bytesUp: 4 * 6 * 2 });
      assert.deepEqual(await compressed('bf16', transport), { values: plain.values, bytesUp: 4 * 6 * 2 });
    }
    assert.deepEqual(await compressed('top-k:0.5'), {
      values: [mean, mean, mean, 0, 0, 0],
      bytesUp: 4 * 3 * 8,
    });
    const int8 = await compressed('int8'); // a scale for all six and a byte each
    assert.equal(int8.bytesUp, 4 * (4 + 6));
    for (const value of int8.values) assert.ok(Math.abs(value - mean) <= 2 ** -20);
  });
});
