/**
 * `starling bench backends`: training steps and evaluations on the best back end of this machine. With `--dp`: what it costs
 * to clip the gradient of every example and to add noise, beside the plain step of the same run, and beside PyTorch doing
 * the same on one thread, where python3 has it. There CPU time is compared, since a busy machine changes it least.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { selectBackend } from '../../client/backends/index.js';
import { measureSteps } from '../../client/backends/measure.js';
import { measurePrivateSteps } from '../../client/training/measure-privacy.js';
import { cpuMs } from './rows.js';
import { TORCH_PRIVATE_STEPS } from './torch-private-steps.js';

/** A row for each network and batch, in milliseconds, on the best back end here. */
export async function benchBackends(): Promise<object[]> {
  const { tf, name } = await selectBackend();
  const times = await measureSteps(tf);
  return times.map(({ model, batchSize, stepMs, evaluationMs }) => ({
    backend: name,
    model,
    batch: batchSize,
    'step ms': stepMs,
    'evaluation of 100 ms': evaluationMs,
  }));
}

/** @param repeats steps of each kind */
export async function benchPrivateSteps({ repeats = 30 }: { readonly repeats?: number } = {}): Promise<object[]> {
  const { name } = await selectBackend('wasm');
  const times = await measurePrivateSteps({ repeats, nowMs: cpuMs });
  const torch = await torchPrivateSteps(repeats);
  return times.map(({ model, size, batchSize, plainMs, clippedMs, privateMs }, i) => ({
    backend: name,
    model,
    parameters: size,
    batch: batchSize,
    'plain ms': plainMs,
    'clipped ms': clippedMs,
    'clipped/plain': clippedMs / plainMs,
    'dp ms': privateMs,
    'dp/plain': privateMs / plainMs,
    'PyTorch dp ms': typeof torch === 'string' ? torch : torch[i],
    'dp/PyTorch': typeof torch === 'string' ? '' : privateMs / torch[i],
  }));
}

/** Medians in ms, network by network; or why there are none. */
async function torchPrivateSteps(repeats: number): Promise<readonly number[] | string> {
  const env = { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' };
  try {
    const { stdout } = await promisify(execFile)('python3', ['-c', TORCH_PRIVATE_STEPS, String(repeats)], { env });
    return JSON.parse(stdout) as number[];
  } catch (thrown) {
    const text = String((thrown as { stderr?: string }).stderr ?? '');
    return /No module named 'torch'/.test(text) ? 'not installed' : 'python3 failed';
  }
}
