/**
 * One configuration, one model, to the bit: whatever carries the updates, however many threads train, in one process or
 * in five. Another seed is another model.
 */
import assert from 'node:assert/strict';
import type { Report } from '../../shared/run/report.js';
import { Deployment, succeed, withFolder } from './support.js';

const CLIENTS = 4;
const CONFIG = {
  workload: 'cnn',
  scale: 'smoke',
  clients: CLIENTS,
  cohort: 3,
  rounds: 2, // the second starts from what the first has made
  partition: 'dirichlet:1',
  seed: 5,
};

describe('equal seeds', function () {
  this.timeout(120_000);
  let first: Report;

  before(async () => {
    first = await simulated();
    assert.equal(first.status, 'completed');
    assert.match(first.modelSha256, /^[0-9a-f]{64}$/);
  });

  for (const options of [[], ['--transport', 'grpc', '--workers', '1'], ['--transport', 'memory', '--workers', '2']]) {
    it(`give one model: ${options.join(' ') || 'the same command again'}`, async () => {
      assertSame(await simulated(...options), first);
    });
  }

  it('give one model: a coordinator and four clients, each a process', async () => {
    const deployment = await Deployment.open();
    try {
      for (let i = 1; i <= CLIENTS; i++) await deployment.openLab(`c${i}`, '--slice', `${i}/${CLIENTS}`);
      const run = await deployment.run({ ...CONFIG, 'min-clients': CLIENTS });
      await deployment.follow(run);
      assertSame((await deployment.show(run)).report, first);
    } finally {
      await deployment.close();
    }
  });

  it('are needed: another seed gives another model', async () => {
    const other = await simulated('--seed', '6', '--workers', '1');
    assert.equal(other.status, 'completed');
    assert.notEqual(other.modelSha256, first.modelSha256);
  });

  it('are not enough with --secret-noise, whose runs have noise of their own', async () => {
    const hidden = [
      '--privacy',
      'central',
      '--noise-multiplier',
      '0.1',
      '--secret-noise',
      '--rounds',
      '1',
      '--workers',
      '1',
    ];
    const [one, other] = [await simulated(...hidden), await simulated(...hidden)];
    for (const { status, privacy } of [one, other]) assert.deepEqual([status, privacy?.noise], ['completed', 'secret']);
    assert.notEqual(one.modelSha256, other.modelSha256);
  });
});

/** The model, and every figure that is not of time or traffic. */
function assertSame(report: Report, expected: Report): void {
  const figures = ({ status, rounds, modelSha256, final }: Report) => ({
    status,
    modelSha256,
    clients: Object.keys(final.perClient),
    rounds: rounds.map(({ round, cohort, survivors, dropped, metrics }) => ({
      round,
      cohort,
      survivors,
      dropped,
      metrics,
    })),
  });
  assert.deepEqual(figures(report), figures(expected));
}

async function simulated(...options: string[]): Promise<Report> {
  const config = Object.entries(CONFIG).flatMap(([key, value]) => [`--${key}`, String(value)]);
  return withFolder(async (cwd) =>
    JSON.parse(await succeed(['simulate', ...config, ...options, '--json', '-'], { cwd })),
  );
}
