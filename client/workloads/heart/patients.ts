/**
 * The patients of Fed-Heart-Disease, read and scaled as FLamby does it (owkin/FLamby at edacf54,
 * flamby/datasets/fed_heart_disease/dataset.py): ten columns of UCI's files, rows with a gap in them left out, chest pain and
 * resting ECG as indicators without their first value, and each feature less its mean by its standard deviation.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlError, invalidArgument } from '../../../shared/errors.js';
import type { Rng } from '../../../shared/rng.js';
import { DATA_SETS, dataStatus } from '../../data/index.js';
import { TEST_PATIENTS, TEST_PATIENTS_OF_COPY } from './split.js';

/** The hospitals in FLamby's order; their positions are the groups of the partition `natural`. */
export const HOSPITALS = ['cleveland', 'hungarian', 'switzerland', 'va'] as const;
/** The features in FLamby's order. */
export const FEATURES = [
  'age',
  'sex',
  'trestbps',
  'chol',
  'fbs',
  'thalach',
  'exang',
  'oldpeak',
  'cp 2',
  'cp 3',
  'cp 4',
  'restecg 1',
  'restecg 2',
] as const;
const WIDTH = FEATURES.length;
/** Columns of UCI's files: ten that are read, three with too many gaps, and the diagnosis. */
const COLUMNS = 14;
const READ = 10;
const DIAGNOSIS = 13;
/** Keeps a feature that does not vary at one hospital from dividing by 0. */
const LEAST_DEVIATION = 1e-9;

/** One patient before scaling. */
interface Patient {
  readonly hospital: number;
  /** As in {@link FEATURES}. */
  readonly features: readonly number[];
  readonly isIll: boolean;
}

/** One part of the patients. */
export interface Patients {
  readonly count: number;
  readonly hospitals: Int32Array;
  /** [count, 13], scaled by the mean and deviation of the training patients of the same hospital. */
  readonly own: Float32Array;
  /** [count, 13], scaled by those of all training patients: numbers that no hospital has by itself. */
  readonly pooled: Float32Array;
  /** 1: ill. */
  readonly ill: Float32Array;
}

export interface HeartData {
  readonly train: Patients;
  readonly test: Patients;
}

/**
 * FLamby's patients from the folder of the data set `heart`: UCI's processed.*.data, or where they are not all there its
 * copy, heart_*.csv.
 * @throws FlError invalid-argument: a file that is not UCI's · corrupt: a file of the copy that is not the listed one
 */
export async function readHeart(folder: string): Promise<HeartData> {
  const train: Patient[] = [];
  const test: Patient[] = [];
  const isCopy = !HOSPITALS.every((name) => existsSync(join(folder, `processed.${name}.data`)));
  if (isCopy) await checkCopy(folder);
  for (const [hospital, name] of HOSPITALS.entries()) {
    const path = join(folder, isCopy ? `heart_${name}.csv` : `processed.${name}.data`);
    const isRecoded = isCopy && name === 'cleveland';
    const tested = new Set<number>(isRecoded ? TEST_PATIENTS_OF_COPY : TEST_PATIENTS[name]);
    const lines = (await readFile(path, 'utf8')).split(/\r?\n/);
    if (isCopy) lines[0] = ''; // the header; the lines keep their numbers
    const patients = patientsIn(lines.map(isRecoded ? uciCodes : String), path, hospital);
    for (const [i, patient] of patients.entries()) (tested.has(i) ? test : train).push(patient);
  }
  return scaled(train, test);
}

/** Four hospitals of patients that are made up: whoever is older, and has more of the rest, is ill more often. */
export function makeUpHeart(rng: Rng, patients: number): HeartData {
  const draw = (split: Rng): Patient[] =>
    Array.from({ length: patients }, (_, i) => {
      const features = FEATURES.map(() => split.normal());
      const score = features.reduce((sum, feature, at) => sum + feature * (at % 2 === 0 ? 1 : -0.5), 0);
      return { hospital: i % HOSPITALS.length, features, isIll: score + split.normal() > 0 };
    });
  return scaled(draw(rng.split('train')), draw(rng.split('test')));
}

/** What is written otherwise cannot be told from the cells, so only the very files that are listed are taken. */
async function checkCopy(folder: string): Promise<void> {
  const sets = DATA_SETS.filter(({ name }) => name === 'heart');
  const [{ state, detail }] = await dataStatus({ sets, dataDir: folder, verify: true });
  if (state !== 'ok') throw new FlError('corrupt', `data set heart: ${detail}; next: starling data get heart`);
}

/**
 * A line of heart_cleveland.csv in the codes of UCI: there chest pain is 0 to 3 for 4 (none), 2, 3 and 1, resting ECG 0 to 2
 * for 2, 0 and 1, and the diagnosis 1 for healthy (0) and 0 for ill. Slope, vessels and thal, which are not read, stay.
 * Whoever is ill is of grade 1: the copy has no grades.
 */
export function uciCodes(line: string): string {
  const cells = line.split(',');
  if (cells.length !== COLUMNS) return line;
  cells[2] = ['4', '2', '3', '1'][Number(cells[2])] ?? cells[2];
  cells[6] = ['2', '0', '1'][Number(cells[6])] ?? cells[6];
  cells[DIAGNOSIS] = ['1', '0'][Number(cells[DIAGNOSIS])] ?? cells[DIAGNOSIS];
  return cells.join(',');
}

function patientsIn(lines: readonly string[], path: string, hospital: number): Patient[] {
  const patients: Patient[] = [];
  for (const [at, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const cells = line.split(',').map((cell) => cell.trim());
    const where = `${path}: line ${at + 1}`;
    if (cells.length !== COLUMNS) throw invalidArgument(where, `${COLUMNS} cells`, cells.length);
    const read = [...cells.slice(0, READ), cells[DIAGNOSIS]];
    if (read.includes('?')) continue;
    const numbers = read.map((cell, column) => {
      const value = Number(cell);
      if (cell === '' || !Number.isFinite(value))
        throw invalidArgument(`${where}, cell ${column + 1}`, 'a number', cell);
      return value;
    });
    const [age, sex, cp, trestbps, chol, fbs, restecg, thalach, exang, oldpeak, diagnosis] = numbers;
    if (![1, 2, 3, 4].includes(cp)) throw invalidArgument(`${where}, chest pain`, '1, 2, 3 or 4, as UCI writes it', cp);
    const is = (value: number, category: number) => (value === category ? 1 : 0);
    const pain = [2, 3, 4].map((category) => is(cp, category));
    const ecg = [1, 2].map((category) => is(restecg, category));
    const features = [age, sex, trestbps, chol, fbs, thalach, exang, oldpeak, ...pain, ...ecg];
    patients.push({ hospital, features, isIll: diagnosis !== 0 });
  }
  return patients;
}

/** Mean and standard deviation (of a sample) of each feature. */
interface Spread {
  readonly means: readonly number[];
  readonly deviations: readonly number[];
}

function spreadOf(patients: readonly Patient[]): Spread {
  const count = patients.length;
  const means = FEATURES.map((_, at) => patients.reduce((sum, { features }) => sum + features[at], 0) / count);
  const deviations = means.map((mean, at) => {
    const squares = patients.reduce((sum, { features }) => sum + (features[at] - mean) ** 2, 0);
    return Math.sqrt(squares / Math.max(1, count - 1));
  });
  return { means, deviations };
}

function scaled(train: readonly Patient[], test: readonly Patient[]): HeartData {
  const everyone = spreadOf(train);
  const byHospital = HOSPITALS.map((_, hospital) => spreadOf(train.filter((patient) => patient.hospital === hospital)));
  const scale = (patients: readonly Patient[], spread: (patient: Patient) => Spread): Float32Array => {
    const out = new Float32Array(patients.length * WIDTH);
    for (const [i, patient] of patients.entries()) {
      const { means, deviations } = spread(patient);
      for (const [at, feature] of patient.features.entries()) {
        out[i * WIDTH + at] = (feature - means[at]) / (deviations[at] + LEAST_DEVIATION);
      }
    }
    return out;
  };
  const part = (patients: readonly Patient[]): Patients => ({
    count: patients.length,
    hospitals: Int32Array.from(patients, ({ hospital }) => hospital),
    own: scale(patients, ({ hospital }) => byHospital[hospital]),
    pooled: scale(patients, () => everyone),
    ill: Float32Array.from(patients, ({ isIll }) => (isIll ? 1 : 0)),
  });
  return { train: part(train), test: part(test) };
}
