/**
 * FLamby's benchmark of Fed-Heart-Disease and Fed-TCGA-BRCA, run here: its settings (config_*.json and common.py at edacf54),
 * its five seeds and, of each, the first model that PyTorch makes; then the tables of docs/reproduction.md.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkConfig, loadWorkload, resolve, simulate } from 'starling-fl';
import type { TrainerPool } from 'starling-fl/client';
import { findData } from '../../client/data/index.js';
import { WIDTH as BRCA_WIDTH, type Patients, readBrca } from '../../client/workloads/brca/patients.js';
import { diedBefore } from '../../client/workloads/brca/survival.js';
import { FEATURES } from '../../client/workloads/heart/patients.js';
import { figuresOf } from '../../shared/run/figures.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { trainAlone } from '../../simulations/baselines/train-alone.js';
import { figuresOfWorkload } from '../../simulations/config/figures.js';
import { ROOT } from '../e2e/support.js';
import { torchLinear } from '../support/torch-linear.js';

const SEEDS = [42, 43, 44, 45, 46];
/** Of Student's t with four degrees of freedom: 95 % of means of five lie within so many standard errors. */
const T_4 = 2.776;
const OPT = 'beta1=0.9,beta2=0.999,tau=1e-8';

type Settings = Readonly<Record<string, unknown>>;

/** One of the two data sets, as FLamby benchmarks it. */
export interface Benchmark {
  readonly name: 'heart' | 'brca';
  readonly metric: string;
  readonly clients: number;
  readonly inputs: number;
  /** Pooled and alone: epochs of Adam at this rate. */
  readonly alone: { readonly epochs: number; readonly rate: number; readonly pooled?: Settings };
  readonly federated: Readonly<Record<string, Settings>>;
}

export const BENCHMARKS: readonly Benchmark[] = [
  {
    name: 'heart',
    metric: 'test.accuracy',
    clients: 4,
    inputs: FEATURES.length,
    alone: { epochs: 50, rate: 0.001, pooled: { hyper: { scaling: 'pooled' } } },
    federated: {
      FedAvg100: { 'client-lr': 0.001, strategy: 'fedavg' },
      FedProx100: { 'client-lr': 0.001, strategy: 'fedprox:mu=0.01' },
      FedAdam100: { 'client-lr': 0.01, strategy: `fedadam:lr=0.01,${OPT}` },
      FedYogi100: { 'client-lr': 0.003162, strategy: `fedyogi:lr=0.01,${OPT}` },
      FedAdagrad100: { 'client-lr': 0.003162, strategy: 'fedadagrad:lr=0.316228,beta1=0.9,tau=1e-8' },
    },
  },
  {
    name: 'brca',
    metric: 'test.c-index',
    clients: 6,
    inputs: BRCA_WIDTH,
    alone: { epochs: 30, rate: 0.1 },
    federated: {
      FedAvg100: { 'client-lr': 0.1, strategy: 'fedavg' },
      FedProx100: { 'client-lr': 0.1, strategy: 'fedprox:mu=0.1' },
      FedAdam100: { 'client-lr': 0.01, strategy: `fedadam:lr=0.1,${OPT}` },
      FedYogi100: { 'client-lr': 0.01, strategy: `fedyogi:lr=0.1,${OPT}` },
      FedAdagrad100: { 'client-lr': 0.01, strategy: 'fedadagrad:lr=1,beta1=0.9,tau=1e-8' },
    },
  },
];

/** Figures of each seed: of each client's test patients, then of all of them together. */
export type Row = readonly (readonly number[])[];
/** By FLamby's name of the method. */
export type Table = Readonly<Record<string, Row>>;

/** What FLamby stored. */
export async function published(name: Benchmark['name']): Promise<Table> {
  const file = await readFile(join(ROOT, 'test/long/flamby-published.json'), 'utf8');
  return (JSON.parse(file) as Record<Benchmark['name'], Table>)[name];
}

/** Every row, one run after another. @param folder for the run directories */
export async function measure(benchmark: Benchmark, trainer: TrainerPool, folder: string): Promise<Table> {
  const { alone, clients, federated } = benchmark;
  const single = { rounds: 1, 'local-epochs': alone.epochs, 'local-steps': undefined, optimizer: 'adam' };
  const methods: [string, Settings, slice?: number][] = [
    ['Pooled Training', { ...single, 'client-lr': alone.rate, ...alone.pooled }, -1],
    ...Array.from({ length: clients }, (_, i) => {
      return [`Local ${i}`, { ...single, 'client-lr': alone.rate }, i] as [string, Settings, number];
    }),
    ...Object.entries(federated).map(([method, settings]) => [method, settings] as [string, Settings]),
  ];
  const table: Record<string, Row> = {};
  for (const [method, settings, slice] of methods) {
    const row: number[][] = [];
    for (const seed of SEEDS) row.push(await figures(benchmark, { method, settings, slice, seed }, trainer, folder));
    table[method] = row;
  }
  return table;
}

interface OneRun {
  readonly method: string;
  readonly settings: Settings;
  /** Who trains alone; -1: one with all data; absent: all, federated. */
  readonly slice?: number;
  readonly seed: number;
}

async function figures(
  benchmark: Benchmark,
  { method, settings, slice, seed }: OneRun,
  trainer: TrainerPool,
  folder: string,
): Promise<number[]> {
  const { name, clients, metric } = benchmark;
  const workload = await loadWorkload(name);
  const config = checkConfig({ workload: name, scale: 'demo', seed, 'evaluate-every': 0, ...settings }, name);
  const initialModel = { source: 'torch', bytes: firstModel(benchmark, seed) };
  const resolved = resolve(config, workload, { initialModel });
  const { spec } = resolved;
  let model: Float32Array;
  if (slice === undefined) {
    const directory = join(folder, `${name}-${method}-${seed}`);
    const how = { workers: 1, transport: 'memory', dropout: 0, baselines: 'none', backend: 'wasm' } as const;
    await simulate({ ...resolved, ...how, workload, trainer, directory });
    model = decode(await readFile(join(directory, 'models/final.safetensors'))).params.values;
  } else {
    const of = slice < 0 ? undefined : { index: slice, count: clients };
    model = (await trainAlone({ spec, model: resolved.model, trainer, client: method, slice: of })).values;
  }
  const formulas = figuresOfWorkload(workload, spec.work.hyper).spec;
  const judge = async (index?: number) => {
    const task = { kind: 'evaluate', work: spec.work, client: `c${index}`, round: spec.work.rounds, model } as const;
    const { metrics } = await trainer.run({
      ...task,
      ...(index !== undefined && { slice: { index, count: clients } }),
    });
    return figuresOf(metrics, 'test', formulas).metrics;
  };
  const own = [];
  for (let i = 0; i < clients; i++) own.push((await judge(i))[metric]);
  return [...own, name === 'heart' ? (await judge())['test.pooled-accuracy'] : await pooledIndex(model)];
}

function firstModel({ inputs }: Benchmark, seed: number): Uint8Array {
  const layout = [
    { name: 'weights', shape: [inputs, 1], offset: 0, size: inputs },
    { name: 'bias', shape: [1], offset: inputs, size: 1 },
  ];
  return encode({ layout, values: torchLinear(seed, inputs) });
}

/** The C-index over all pairs of test patients, of different regions too: FLamby's "Pooled Test". */
async function pooledIndex(model: Float32Array): Promise<number> {
  const { test } = await readBrca(findData('brca'));
  const risks = Array.from({ length: test.count }, (_, i) => riskOf(test, i, model));
  let [right, pairs] = [0, 0];
  for (let i = 0; i < test.count; i++) {
    for (let j = 0; j < test.count; j++) {
      if (!diedBefore(test, i, j)) continue;
      pairs += 1;
      right += risks[i] > risks[j] ? 1 : risks[i] === risks[j] ? 0.5 : 0;
    }
  }
  return right / pairs;
}

function riskOf({ features }: Patients, patient: number, model: Float32Array): number {
  let risk = 0;
  for (let at = 0; at < BRCA_WIDTH; at++) risk += features[patient * BRCA_WIDTH + at] * model[at];
  return Math.fround(risk);
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean, and standard error of the mean. */
function summary(values: readonly number[]): { mean: number; error: number } {
  const mean = meanOf(values);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, error: Math.sqrt(variance / values.length) };
}

/** Whether our mean lies within a standard error of the published one; a millionth for rounding. */
function isMet(ours: readonly number[], theirs: readonly number[]): boolean {
  const { mean, error } = summary(theirs);
  return Math.abs(meanOf(ours) - mean) <= error + 5e-5;
}

/** As Markdown: a row a method, published beside ours; then each client's own. Lines are without padding. */
export function tablesOf(benchmark: Benchmark, ours: Table, theirs: Table): string[] {
  const { clients, name } = benchmark;
  const overClients = (row: Row) => row.map((figures) => meanOf(figures.slice(0, clients)));
  const atTest = (row: Row, test: number) => row.map((figures) => figures[test]);
  const both = (a: readonly number[], b: readonly number[]) => {
    const [us, them] = [summary(a), summary(b)];
    const [low, high] = [us.mean - T_4 * us.error, us.mean + T_4 * us.error];
    const interval = `${low.toFixed(3)} to ${high.toFixed(3)}`;
    return `${them.mean.toFixed(3)} ± ${them.error.toFixed(3)} | ${us.mean.toFixed(3)} | ${interval} | ${isMet(a, b) ? 'met' : 'not met'}`;
  };
  const rows = Object.keys(ours).map((method) => {
    const [a, b] = [ours[method], theirs[method]];
    return `| ${name}, ${method} | ${both(overClients(a), overClients(b))} | ${both(atTest(a, clients), atTest(b, clients))} |`;
  });
  const byClient = Object.keys(ours).map((method) => {
    const cells = Array.from({ length: clients }, (_, i) => {
      const [a, b] = [atTest(ours[method], i), atTest(theirs[method], i)];
      return `${meanOf(b).toFixed(3)} / ${meanOf(a).toFixed(3)}${isMet(a, b) ? '' : ' *'}`;
    });
    return `| ${name}, ${method} | ${cells.join(' | ')} |`;
  });
  return [...rows, ...byClient];
}
