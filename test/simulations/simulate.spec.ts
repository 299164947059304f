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
});
