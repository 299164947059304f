/**
 * The patients of Fed-TCGA-BRCA as FLamby ships them (owkin/FLamby at edacf54, flamby/datasets/fed_tcga_brca): one table of 39
 * features, which are not scaled, with death and days; and one that gives 1,088 of its 1,096 patients a region and a part.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { invalidArgument } from '../../../shared/errors.js';
import type { Rng } from '../../../shared/rng.js';
import { readTable } from '../../data/table.js';
import type { Outcomes } from './survival.js';

/** Features of a patient. */
export const WIDTH = 39;
/** Northeast, South, West, Midwest, Europe, Canada. */
export const REGIONS = 6;

/** One part of the patients, in the order of the table. */
export interface Patients extends Outcomes {
  readonly count: number;
  readonly regions: Int32Array;
  /** [count, 39] */
  readonly features: Float32Array;
}

export interface BrcaData {
  readonly train: Patients;
  readonly test: Patients;
}

interface Patient {
  readonly region: number;
  readonly features: readonly number[];
  readonly time: number;
  readonly event: number;
}

/** FLamby's patients from the folder of the data set `brca`. @throws FlError invalid-argument: tables that are not FLamby's */
export async function readBrca(folder: string): Promise<BrcaData> {
  const path = join(folder, 'brca.csv');
  const names = await featureNames(path);
  const { count, columns } = await readTable(path, {
    columns: {
      ...Object.fromEntries(names.map((name) => [name, { kind: 'number' } as const])),
      pid: { kind: 'text' },
      E: { kind: 'number', min: 0, max: 1 },
      T: { kind: 'number', min: 0 },
    },
  });
  const parts = await readParts(join(folder, 'brca_train_test_split.csv'));
  const train: Patient[] = [];
  const test: Patient[] = [];
  const values = columns as unknown as Readonly<Record<string, Float32Array>>;
  for (let i = 0; i < count; i++) {
    const part = parts.get((columns.pid as unknown as string[])[i]);
    if (part === undefined) continue; // FLamby leaves them out
    const features = names.map((name) => values[name][i]);
    const patient = { region: part.region, features, time: values.T[i], event: values.E[i] };
    (part.isTest ? test : train).push(patient);
  }
  return { train: partOf(train), test: partOf(test) };
}

/** Six regions of patients that are made up: their hazard is e to a sum of features, and a third are not seen to the end. */
export function makeUpBrca(rng: Rng, patients: number): BrcaData {
  const draw = (split: Rng): Patients =>
    partOf(
      Array.from({ length: patients }, (_, i) => {
        const features = Array.from({ length: WIDTH }, () => split.normal());
        const hazard = Math.exp(features.slice(0, 8).reduce((sum, feature) => sum + 0.5 * feature, 0));
        const time = Math.ceil((1000 * -Math.log(1 - split.uniform())) / hazard);
        return { region: i % REGIONS, features, time, event: split.below(3) === 0 ? 0 : 1 };
      }),
    );
  return { train: draw(rng.split('train')), test: draw(rng.split('test')) };
}

/** FLamby takes the features by position: those after the first column. */
async function featureNames(path: string): Promise<string[]> {
  const [header = []] = parse(await readFile(path, 'utf8'), { bom: true, to: 1, relax_column_count: true });
  const names = (header as string[]).slice(1, -2);
  if (names.length !== WIDTH) throw invalidArgument(path, `${WIDTH} features between pid and E`, names.length);
  return names;
}

async function readParts(path: string): Promise<Map<string, { isTest: boolean; region: number }>> {
  const { columns } = await readTable(path, { columns: { pid: { kind: 'text' }, fold2: { kind: 'text' } } });
  return new Map(
    columns.fold2.map((fold, i) => {
      const [, part, region] = /^(train|test)_([0-5])$/.exec(fold) ?? [];
      if (part === undefined) throw invalidArgument(`${path}: fold2 of patient ${i + 1}`, 'train_0 ... test_5', fold);
      return [columns.pid[i], { isTest: part === 'test', region: Number(region) }];
    }),
  );
}

function partOf(patients: readonly Patient[]): Patients {
  return {
    count: patients.length,
    regions: Int32Array.from(patients, ({ region }) => region),
    features: Float32Array.from(patients.flatMap(({ features }) => features)),
    times: Float32Array.from(patients, ({ time }) => time),
    events: Float32Array.from(patients, ({ event }) => event),
  };
}
