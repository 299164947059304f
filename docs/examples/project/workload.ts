/**
 * How much a sample of metal lengthens in heat: a linear model over temperature, length and material.
 *
 * Change COLUMNS to your table, `featuresOf` to what the model sees of a row, and the rest follows. The model has one
 * kernel [features, 1] and one bias [1]; its input is [batch, features], its output [batch, 1].
 */
import { join } from 'node:path';
import { defineWorkload, type Rng, readTable } from 'starling-fl';
import * as tf from 'starling-fl/tf';

const MATERIALS = ['steel', 'copper', 'aluminium'] as const;

/** Every lab's table has these; what is not as it says here is refused with line and column. */
const COLUMNS = {
  temperature: { kind: 'number', min: -50, max: 500 },
  length: { kind: 'number', min: 0 },
  material: { kind: 'category', values: MATERIALS },
  expansion: { kind: 'number' },
} as const;

const FEATURES = 2 + MATERIALS.length;

interface Samples {
  /** [count, FEATURES], row-major. */
  readonly x: Float32Array;
  /** [count]. */
  readonly y: Float32Array;
}

/** Every fifth row is tested, and never trained on. */
const TEST_EVERY = 5;

type Row = { temperature: number; length: number; material: number; expansion: number };

/** Numbers near 0, as models like them; the material as one 1 among 0s. */
const featuresOf = ({ temperature, length, material }: Row) => [
  temperature / 100,
  length,
  ...MATERIALS.map((_, i) => (i === material ? temperature / 100 : 0)),
];

function samplesOf(rows: readonly Row[]): Samples {
  return { x: Float32Array.from(rows.flatMap(featuresOf)), y: Float32Array.from(rows, ({ expansion }) => expansion) };
}

async function rowsIn(file: string): Promise<Row[]> {
  const { count, columns } = await readTable(file, { columns: COLUMNS });
  return Array.from({ length: count }, (_, i) => ({
    temperature: columns.temperature[i],
    length: columns.length[i],
    material: columns.material[i],
    expansion: columns.expansion[i],
  }));
}

/** For simulations and tests without a table: physics with noise, in millimetres. */
function madeUp(count: number, rng: Rng): Row[] {
  return Array.from({ length: count }, () => {
    const [temperature, length] = [200 * rng.uniform(), 0.5 + rng.uniform()];
    const material = Math.floor(rng.uniform() * MATERIALS.length);
    const expansion = [0.012, 0.017, 0.023][material] * temperature * length + 0.02 * rng.normal();
    return { temperature, length, material, expansion };
  });
}

const predict = (params: Readonly<Record<string, tf.Tensor>>, x: tf.Tensor) =>
  tf.add(tf.matMul(x as tf.Tensor2D, params.kernel as tf.Tensor2D), params.bias);

const squaredErrors = (params: Readonly<Record<string, tf.Tensor>>, { x, y }: Readonly<Record<string, tf.Tensor>>) =>
  tf.reshape(tf.squaredDifference(predict(params, x), y), [-1]) as tf.Tensor1D;

const training = { localEpochs: 1, batchSize: 10, clientLr: 0.1 };
/** `--hyper table=data/samples.csv` divides a table of yours among the clients of a simulation. */
const simulated = { table: 'made-up' };

// biome-ignore lint/style/noDefaultExport: a workload's file is known by its default export
export default defineWorkload<{ train: Samples; test: Samples }>({
  manifest: {
    name: 'NAME',
    topic: 'thermal expansion',
    paper: 'none yet',
    data: 'a table of each lab, samples.csv; made up in simulations',
    privacyUnits: ['client', 'example'],
    headline: { metric: 'test.error', better: 'lower' },
    scales: {
      smoke: { clients: 3, cohort: 3, rounds: 3, partition: 'iid', training, hyper: { ...simulated, rows: 150 } },
      demo: { clients: 3, cohort: 3, rounds: 20, partition: 'iid', training, hyper: { ...simulated, rows: 600 } },
      full: { clients: 10, cohort: 10, rounds: 100, partition: 'iid', training, hyper: { ...simulated, rows: 5000 } },
    },
    // With secure aggregation: each test figure, and the most that one example adds to its sum; more is clamped.
    maskedMetrics: () => [{ name: 'error', size: 1, max: 100 }],
  },

  init: () => ({
    shared: {
      kernel: { shape: [FEATURES, 1], data: new Float32Array(FEATURES) },
      bias: { shape: [1], data: new Float32Array(1) },
    },
  }),

  load: async ({ dataDir, hyper, rng }) => {
    const file = dataDir === undefined ? String(hyper.table) : join(dataDir, 'samples.csv'); // a lab's own comes first
    const rows = file === 'made-up' ? madeUp(Number(hyper.rows), rng) : await rowsIn(file);
    return {
      train: samplesOf(rows.filter((_, i) => i % TEST_EVERY !== 0)),
      test: samplesOf(rows.filter((_, i) => i % TEST_EVERY === 0)),
    };
  },

  examples: ({ train, test }) => ({ train: { count: train.y.length }, test: { count: test.y.length } }),

  batch: (data, indices, { split }) => {
    const { x, y } = data[split];
    const rows = Array.from(indices, (i) => Array.from(x.subarray(i * FEATURES, (i + 1) * FEATURES)));
    return {
      x: tf.tensor2d(rows, [indices.length, FEATURES]),
      y: tf.tensor2d(
        Array.from(indices, (i) => [y[i]]),
        [indices.length, 1],
      ),
    };
  },

  loss: (params, batch) => tf.mean(squaredErrors(params, batch)),
  perExampleLoss: squaredErrors,
  metrics: (params, batch) => ({ error: { sum: tf.sum(squaredErrors(params, batch)), count: batch.y.shape[0] } }),

  // For `starling predict` and `starling export`.
  predict: {
    inputs: () => ({ x: { shape: [FEATURES], about: 'as featuresOf makes them of a row' } }),
    outputs: { expansion: 'in millimetres, [batch, 1]' },
    forward: (params, { x }) => ({ expansion: predict(params, x) }),
  },
});
