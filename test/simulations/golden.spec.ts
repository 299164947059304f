/**
 * The bits of the models that we make: one SHA-256 for each way to train at smoke scale, with seed 1.
 *
 * A hash moves when arithmetic, the order of a sum, a draw or a default moves; then it is changed here, in a commit that
 * says why. All is said with the package's own entry points, so that moving a file moves nothing here.
 *
 * The back end is named: `wasm`, whose kernels are the same code on every machine with SIMD. `cpu` gives other bits, for
 * it adds up in another order, and the native ones give whatever their build for this machine gives.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkConfig, listWorkloads, loadWorkload, type Report, resolve, simulate } from 'starling-fl';
import { createTrainerPool, type TrainerPool } from 'starling-fl/client';

type Options = Readonly<Record<string, unknown>>;

const BACKEND = 'wasm';
const CNN = { workload: 'cnn', rounds: 2, 'local-epochs': 1 };
const SECURE = { ...CNN, 'secure-aggregation': true };
const CENTRAL = { ...CNN, privacy: 'central' };
const PLAIN = '26e02ea56d6510a10d0d536855ee526a674b9bdc9f1cda088327ad730dbb6076';
const DROPOUTS = 'cnn, secure aggregation with drop-outs';

const GOLDEN: Readonly<Record<string, readonly [options: Options, modelSha256: string]>> = {
  cnn: [CNN, PLAIN],
  'cnn, over gRPC': [{ ...CNN, transport: 'grpc' }, PLAIN],
  'cnn, two workers': [{ ...CNN, workers: 2 }, PLAIN],
  'cnn, secure aggregation': [SECURE, '547078a792a2e522d00e13641ede93eed51d762e429e4d7ee336330f548fc70f'],
  [DROPOUTS]: [
    { ...SECURE, clients: 6, cohort: 6, dropout: 0.3, 'adversary-fraction': 0 },
    'ecd2526f42249286655a855f65540caf583f38f373783724f13d5a2c37d931bc',
  ],
  'cnn, privacy central': [CENTRAL, '1bb2d67134b9cab215265ce6677bdea1ca57e597827167f576e05859d66ca962'],
  'cnn, privacy distributed': [
    { ...SECURE, privacy: 'distributed' },
    'efa3f87c5524650b2b9aac398b35644283ac4c56c509c5b601bd082ea7d4987e',
  ],
  'cnn, privacy local': [
    { ...CNN, privacy: 'local' },
    'b6742328fc725e0ab3ce494d1067e8b28b9ccd428052ee94476e725a25dfcb1b',
  ],
  'cnn, privacy example': [
    { ...CNN, privacy: 'example', 'local-steps': 2, 'local-epochs': undefined },
    '78cd44279f64ceebe95d02ed7b74a1295fb4914e7715e6eeededdb516d66851d',
  ],
  'cnn, adaptive clipping bound': [
    { ...CENTRAL, clients: 12, cohort: 12, 'clipping-bound': 'adaptive' },
    'f2a7bd130e5645b56e10746950886546ea66dec9225c1bdd3896905343602244',
  ],
  'cnn, tree noise': [
    { ...CENTRAL, rounds: 4, cohort: 2, noise: 'tree', separation: 2 },
    'c7a53c8c298a327db5edd73bc4a7e62358cd799e1d1267a830aaf9792724fd8c',
  ],
  transformer: [
    { workload: 'transformer', rounds: 2 },
    '69d53b63546b7a34fee5d2c0226aae4d78caaaa2f6503ca768b9f524f77e1b9a',
  ],
  simclr: [
    { workload: 'simclr', rounds: 2, 'local-epochs': 1 },
    '0643a07db9338ac3307d856b2cf2e5d2a4c8e99c54758b39f86c05f88e85f7a0',
  ],
  mtan: [
    { workload: 'mtan', rounds: 2, 'local-epochs': 1 },
    '71413e7c8673083ec175be8136de101404299db87acc0ec9f7fdd167cc7a0a68',
  ],
  misa: [
    { workload: 'misa', rounds: 2, 'local-epochs': 1 },
    '255248bc96e6566842d3d3ba779080f77b47bdac1653b9f784da5cbbb3a3408c',
  ],
  meta: [{ workload: 'meta', rounds: 2 }, 'e0c4093f7e67870db5fd98f03774cc5da1bce650f53787e7d7c6a33e421a447e'],
  distillation: [
    { workload: 'distillation', 'local-epochs': 1 },
    '7b3eabd3d89a75151f873c01b004f91320d46c223bc86ebd505f5e9364e7e728',
  ],
  'privacy-demo': [
    { workload: 'privacy-demo', rounds: 2, 'local-epochs': 1 },
    '28f2338b19430d23bb5aadadf9720e6a51c4923221ad26136710d2a8f14db037',
  ],
  heart: [{ workload: 'heart', rounds: 2 }, '1df365198a930c38c1fd3cacc74b28d46014960755c6938d49ac96f26b9daa5f'],
  brca: [{ workload: 'brca', rounds: 2 }, 'e995f21390e16e0a6803d8083e15524ec75b1b1697c53e6e86d5d901dfffb145'],
};

describe('the model of seed 1', function () {
  this.timeout(120_000);
  const pools: TrainerPool[] = [];
  const reports = new Map<string, Report>();
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-golden-'));
    for (const workers of [1, 2]) pools.push(await createTrainerPool({ workers, backend: BACKEND }));
  });

  after(async () => {
    for (const pool of pools) await pool.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [name, [options, modelSha256]] of Object.entries(GOLDEN)) {
    it(`of ${name} is the same to the bit`, async () => {
      const { status, reason, modelSha256: got } = await train(name, options);
      assert.equal(status, 'completed', reason ?? '');
      assert.equal(got, modelSha256);
    });
  }

  it('of the drop-outs is one that somebody dropped out of', () => {
    const dropped = reports.get(DROPOUTS)!.rounds.flatMap((round) => round.dropped.map(({ reason }) => reason));
    assert.deepEqual([...new Set(dropped)], ['dropout']);
  });

  it('is here for every workload', () => {
    const seen = new Set(Object.values(GOLDEN).map(([{ workload }]) => workload));
    assert.deepEqual([...seen], [...listWorkloads()]);
  });

  /** What `starling simulate` does with these options, in a pool that is there already. */
  async function train(name: string, options: Options): Promise<Report> {
    const config = checkConfig({ scale: 'smoke', seed: 1, backend: BACKEND, ...options }, name);
    const workload = await loadWorkload(config.workload);
    const { workers = 1, transport, dropout, baselines } = config;
    const clients = (config.clients as number | undefined) ?? workload.manifest.scales.smoke.clients;
    const resolved = resolve({ 'min-clients': clients, ...config }, workload);
    const { report } = await simulate({
      ...resolved,
      workload,
      trainer: pools[workers - 1],
      backend: BACKEND,
      workers,
      transport,
      dropout,
      baselines,
      directory: join(folder, name),
    });
    reports.set(name, report);
    return report;
  }
});
