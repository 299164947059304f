/**
 * A central test set: examples that belong to no lab, on which whoever has them judges a model, with the workload's code and
 * on the operator's own machine. No lab and no coordinator sees them; private tensors are as the workload begins with them.
 */
import { stat } from 'node:fs/promises';
import { createTrainerPool } from '../client/training/pool.js';
import type { Workload } from '../client/workload.js';
import { FlError, invalidArgument } from '../shared/errors.js';
import { bySplit } from '../shared/run/metrics.js';
import type { CentralFigures } from '../shared/run/report.js';
import type { Hyper, RunSpec } from '../shared/run/spec.js';
import { sha256Of } from '../shared/tensors/bytes.js';
import type { Params } from '../shared/tensors/params.js';
import { figuresOf } from './finish-run.js';

/** The examples, and what is computed with them. */
export interface CentralOptions {
  readonly workload: Workload;
  /** The file of a workload that is no built-in one. */
  readonly file?: string;
  /** Where the examples are: what the workload is given as its data folder. */
  readonly directory: string;
  /** Settings of the workload that are other ones here, such as the name of a file. */
  readonly hyper?: Hyper;
  readonly backend?: string;
}

/** Judges models one after another. */
export interface Central {
  readonly backend: string;
  /** @throws FlError failed-precondition: there is no test example, or a figure is not finite */
  judge(spec: RunSpec, model: Params, round: number): Promise<CentralFigures>;
  close(): Promise<void>;
}

/** For a workload that falls back to data of its own, a folder that is not there would do. @throws FlError invalid-argument */
export async function checkFolder(field: string, directory: string): Promise<void> {
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) throw invalidArgument(field, 'a folder', directory);
}

/** Reads no data before the first model comes. */
export async function openCentral({ workload, file, directory, hyper, backend }: CentralOptions): Promise<Central> {
  const { name } = workload.manifest;
  const workloadModules = file === undefined ? {} : { [name]: file };
  const pool = await createTrainerPool({ workers: 1, backend, dataDir: directory, workloadModules });
  return {
    backend: pool.backend.name,
    close: () => pool.close(),
    async judge(spec, model, round) {
      // of what protects labs nothing is needed: the examples are the operator's
      const { secure: _, privacy: __, validationFraction: ___, ...work } = spec.work;
      const own = { ...work, hyper: { ...work.hyper, ...hyper } };
      const task = { kind: 'evaluate', work: own, client: 'central', round } as const;
      const { metrics } = await pool.run({ ...task, model: model.values, modelSha256: sha256Of(model) });
      const { test: sums } = bySplit(metrics);
      if (Object.keys(sums).length === 0) {
        throw new FlError(
          'failed-precondition',
          `${directory}: expected examples in the test split of ${name}, got none`,
        );
      }
      const figures = Object.entries(figuresOf(workload, sums, spec));
      return {
        metrics: Object.fromEntries(figures.map(([figure, value]) => [figure.replace(/^test\./, 'central.'), value])),
        examples: Math.max(...Object.values(sums).map(({ count }) => count)),
      };
    },
  };
}
