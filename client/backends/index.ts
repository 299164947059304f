/**
 * Chooses what training runs on: the best back end of TensorFlow.js that this machine has, with every kernel and gradient
 * that our workloads need. Importing this file imports no TensorFlow.js.
 */
import { describe, FlError } from '../../shared/errors.js';
import { type BackendName, CANDIDATES, type Candidate } from './candidates.js';
import type { Tf } from './gradients/gradient.js';
import { registerGradients } from './gradients/register.js';
import { loadCore, quietly } from './load.js';
import { repairKernels } from './repair.js';

export type { BackendName } from './candidates.js';

/** A back end that is running, current in this process or worker. */
export interface Backend {
  readonly name: BackendName;
  /** One sentence: that it was chosen, and why the better ones were not. */
  readonly why: string;
  /** The TensorFlow.js to compute with. */
  readonly tf: typeof import('@tensorflow/tfjs-core');
}

/** What `starling doctor` prints of one back end. */
export interface Probe {
  readonly name: BackendName;
  readonly available: boolean;
  /** Why it is not available and how to get it; if it is, why it is passed over all the same, or 'ready'. */
  readonly why: string;
}

/** All back ends, best first. */
export const BACKEND_NAMES: readonly BackendName[] = CANDIDATES.map(({ name }) => name);

/**
 * Starts `wanted`, or the best back end there is: tfjs-node-gpu, tfjs-node, webgpu, wasm, cpu. Training in the same process
 * continues on it. Equal inputs give equal bits on wasm and cpu, on every run and in every worker.
 *
 * @throws FlError 'failed-precondition' if it is missing or will not start: the message says why and how to get it.
 */
export async function selectBackend(wanted?: BackendName): Promise<Backend> {
  const tried: string[] = [];
  for (const candidate of wanted ? [candidateOf(wanted)] : CANDIDATES) {
    const unfit = (await missing(candidate)) ?? (wanted ? undefined : await drawback(candidate));
    const reason = unfit ?? (await start(candidate));
    if (typeof reason !== 'string')
      return { name: candidate.name, why: reasonOf(candidate.name, wanted, tried), tf: reason };
    if (wanted) throw missingError(candidate, reason);
    tried.push(reason);
  }
  throw new FlError('failed-precondition', `no back end to train on: ${list(tried)}`);
}

/** What {@link selectBackend} would throw of a back end that is not here, before anything is started for it. @throws FlError */
export async function checkBackend(wanted: BackendName): Promise<void> {
  const candidate = candidateOf(wanted);
  const reason = await missing(candidate);
  if (reason !== undefined) throw missingError(candidate, reason);
}

function missingError({ name, remedy }: Candidate, reason: string): FlError {
  return new FlError('failed-precondition', `back end ${name}: ${reason}. To get it: ${remedy}`);
}

/** Says of every back end whether it could be started, without importing or changing the one in use. */
export async function probeBackends(): Promise<Probe[]> {
  const probes: Probe[] = [];
  for (const candidate of CANDIDATES) {
    const reason = await missing(candidate);
    const why = reason ? `${reason}; to get it: ${candidate.remedy}` : ((await drawback(candidate)) ?? 'ready');
    probes.push({ name: candidate.name, available: reason === undefined, why });
  }
  return probes;
}

function candidateOf(name: BackendName): Candidate {
  const found = CANDIDATES.find((candidate) => candidate.name === name);
  if (!found)
    throw new FlError(
      'invalid-argument',
      `backend: expected one of ${BACKEND_NAMES.join(', ')}, got ${describe(name)}`,
    );
  return found;
}

function missing(candidate: Candidate): Promise<string | undefined> {
  return quietly(() => candidate.missing()).catch((thrown) => FlError.from(thrown).message);
}

async function drawback(candidate: Candidate): Promise<string | undefined> {
  return quietly(async () => candidate.drawback?.());
}

/** TensorFlow.js with the candidate current; or the reason why it would not start. */
async function start(candidate: Candidate): Promise<Tf | string> {
  const tf = await loadCore();
  try {
    await quietly(() => candidate.start(tf));
  } catch (thrown) {
    return `${candidate.name} would not start: ${FlError.from(thrown).message}`;
  }
  repairKernels(tf, candidate.tensorflowName);
  registerGradients(tf);
  return tf;
}

function reasonOf(name: BackendName, wanted: BackendName | undefined, tried: readonly string[]): string {
  if (wanted) return `${name} was asked for.`;
  return tried.length === 0 ? `${name} is the best there is.` : `${name} was chosen because ${list(tried)}.`;
}

function list(reasons: readonly string[]): string {
  return reasons.length === 1 ? reasons[0] : `${reasons.slice(0, -1).join(', ')} and ${reasons[reasons.length - 1]}`;
}
