/**
 * A federation of real processes on one machine: one coordinator, N clients, joined by gRPC on loopback, each of them
 * the same program that a lab would run. Whatever way it ends, no process is left behind.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GrpcAdmin } from '../client/grpc/admin.js';
import type { Workload } from '../client/workload.js';
import type { RunEvent } from '../shared/run/events.js';
import type { RunSpec, WorkSpec } from '../shared/run/spec.js';
import type { Params } from '../shared/tensors/params.js';
import { encode } from '../shared/tensors/safetensors.js';
import { finishDirectory, type SimulationResult } from './finish-run.js';
import { aborted, type Child, startChild } from './local-process.js';
import { openAdmin } from './open-admin.js';

/** What is run, by how many client processes, and where they keep their files. */
export interface FederationOptions {
  readonly spec: RunSpec;
  readonly model: Params;
  readonly workload: Workload;
  readonly clients: number;
  /** Holds the coordinator's data directory and the clients'. */
  readonly directory: string;
  readonly command?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: RunEvent) => void;
  readonly say?: (line: string) => void;
}

/** @throws FlError aborted when interrupted or when a process fails */
export async function runFederation(options: FederationOptions): Promise<SimulationResult> {
  const { directory, signal } = options;
  await mkdir(directory, { recursive: true });
  const children: Child[] = [];
  try {
    const dataDir = join(directory, 'coordinator');
    const start = (args: readonly string[], home: string) => {
      const child = startChild(args, home);
      children.push(child);
      return child;
    };
    const serve = ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--log-level', 'warn'];
    await start(serve, directory).line(/listens on/);
    const admin = await openAdmin({ dataDir });
    try {
      const token = await admin.createToken({ name: 'c', uses: options.clients, expiresMs: 600_000 });
      const policy = join(directory, 'policy.yaml');
      await writeFile(policy, policyFor(options.spec));
      for (let i = 1; i <= options.clients; i++) {
        const args = ['client', 'run', '--join', token, '--slice', `${i}/${options.clients}`, '--policy', policy];
        start(args, join(directory, `lab-${i}`));
      }
      const failed = Promise.race(children.map(({ failure }) => failure));
      const work = follow(options, admin);
      const backend = children[1].line(/^back end /);
      await Promise.race([work, failed, aborted(signal)]);
      const { info } = await admin.getRun(await work);
      const [, , name] = (await backend).replace(':', '').split(' ');
      return await finishDirectory({ ...options, backend: name, directory: info.directory });
    } finally {
      admin.close();
    }
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
}

/** What each lab of this federation insists on: exactly what it has been promised. */
function policyFor({ work, engine }: RunSpec): string {
  const common = [`workloads: [${work.workload}]`, ...privacyPolicyFor(work)];
  if (work.secure === undefined) {
    return [...common, 'require-secure-aggregation: false', `min-cohort: ${engine.cohort}`, ''].join('\n');
  }
  const { survivorsMin, adversaryFraction } = work.secure;
  return [
    ...common,
    'require-secure-aggregation: true',
    `min-cohort: ${Math.min(engine.cohort, Math.max(3, survivorsMin))}`,
    `min-survivors: ${survivorsMin}`,
    `adversary-fraction: ${adversaryFraction}`,
    '',
  ].join('\n');
}

function privacyPolicyFor({ privacy }: WorkSpec): string[] {
  if (privacy === undefined) return [];
  const { mode, delta, noiseMultiplier, epsilonBudget } = privacy;
  return [
    `require-privacy: [${mode}]`,
    `min-noise-multiplier: ${noiseMultiplier}`,
    `delta: ${delta}`,
    // a lab adds up by another accountant, and to a little more (docs/privacy.md)
    ...(epsilonBudget === undefined ? [] : [`max-epsilon: ${1.25 * epsilonBudget}`]),
  ];
}

/** Starts the run and follows it to its end; resolves with its id. */
async function follow({ spec, model, onEvent, signal }: FederationOptions, admin: GrpcAdmin): Promise<string> {
  const run = await admin.startRun(spec, encode(model));
  for await (const line of admin.watchRun(run, signal)) onEvent?.(JSON.parse(line) as RunEvent);
  return run;
}
