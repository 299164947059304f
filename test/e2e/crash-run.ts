/** The run that is disturbed in crash tests: what is asked of it, and what it has come to. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { checkRun, type RunCheck } from '../../server/run/check.js';
import type { Report } from '../../shared/run/report.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';

export const CLIENTS = 4;

/** How a run ended, and what it left. */
export interface Outcome {
  readonly directory: string;
  readonly report: Report;
  readonly model: Float32Array;
  /** Of its directory, by `starling verify`. */
  readonly check: RunCheck;
}

/** What a configuration asks of every run here. */
export async function resolved(config: object): Promise<ReturnType<typeof resolve>> {
  const common = { workload: 'cnn', scale: 'smoke', clients: CLIENTS, cohort: CLIENTS, rounds: 3, seed: 3 };
  return resolve(checkConfig({ ...common, ...config }, 'test'), await loadWorkload('cnn'));
}

/** Its name. */
export async function begin(admin: GrpcAdmin, config: object): Promise<string> {
  const { spec, model } = await resolved(config);
  return admin.startRun(spec, encode(model));
}

/** Watches a run to its end. */
export async function finish(admin: GrpcAdmin, run: string): Promise<Outcome> {
  for await (const _ of admin.watchRun(run));
  const { info, report: text } = await admin.getRun(run);
  const report = JSON.parse(text) as Report;
  const file = await readFile(join(info.directory, 'models', `${report.modelSha256}.safetensors`));
  return {
    directory: info.directory,
    report,
    model: decode(file).params.values,
    check: await checkRun(info.directory),
  };
}
