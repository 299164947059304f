/**
 * Three machines, as network namespaces: a coordinator, and two labs behind routers that let them dial out only, one of them
 * over a link of 200 ms that loses a packet of a hundred. Whatever happens to the network and to the
 * coordinator's machine while a run is on its way, it ends in the model of a simulation that nobody has disturbed.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadWorkload } from '../../client/workloads/index.js';
import type { Report } from '../../shared/run/report.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import type { Child } from '../../simulations/local-process.js';
import { succeed } from '../e2e/support.js';
import { quantizationStep } from '../support/quantization.js';
import { Hosts } from './hosts.js';

const HUB = 'hub.example.org';
const ROUNDS = 3;
const CONFIG = { workload: 'cnn', scale: 'smoke', clients: 3, cohort: 3, 'min-survivors': 3, seed: 5 };

interface Finished {
  readonly directory: string;
  readonly report: Report;
}

describe('three machines', function () {
  this.timeout(600_000);
  let hosts: Hosts;
  const labs: Child[] = [];
  let coordinator: Child;
  /** Of a simulation that nobody disturbs. */
  let expected: Report | undefined;

  before(async () => {
    hosts = await Hosts.open(HUB);
    coordinator = await hosts.serve(HUB);
  });

  after(() => hosts?.close());

  it('join by token over TLS, from behind their routers, and cannot be dialled themselves', async () => {
    for (const [i, machine] of ['north', 'north', 'south'].entries()) {
      labs.push(await hosts.lab(`c${i + 1}`, machine, '--slice', `${i + 1}/3`));
    }
    const dial = `
      const end = () => process.exit(3);
      require('node:net').connect(22, '192.0.2.22').setTimeout(1000, end).on('error', end)`;
    assert.throws(() => hosts.network.on('hub', process.execPath, '-e', dial), { status: 3 });
  });

  it('make a round with secure aggregation, as a simulation does but for how masked values are rounded', async () => {
    const config = { ...CONFIG, rounds: 1, 'secure-aggregation': true };
    const run = await hosts.run(config);
    await hosts.rounds(run, 1);
    const { secure } = resolve(checkConfig(config, 'test'), await loadWorkload('cnn')).spec.work;
    const [model, expected] = [await modelOf(hosts.show(run)), await modelOf(await simulated(config))];
    // Each is within a step of the plain mean; then both are added to the first model, in floats below 4.
    const bound = 2 * quantizationStep(secure!, 3) + 2 ** -21;
    for (const [i, value] of model.entries()) assert.ok(Math.abs(value - expected[i]) <= bound, `element ${i}`);
  });

  /** A run of which no round can end before south is heard again. */
  async function held(): Promise<{ readonly run: string; readonly heal: () => void }> {
    const heal = hosts.network.swallow('south');
    return { run: await hosts.run({ ...CONFIG, rounds: ROUNDS, 'secure-aggregation': false }), heal };
  }

  /** The undisturbed one's model, with all clients in each round. */
  async function assertUndisturbed(run: string): Promise<void> {
    await hosts.rounds(run, ROUNDS);
    expected ??= (await simulated({ ...CONFIG, rounds: ROUNDS })).report;
    const { status, report } = hosts.show(run);
    assert.equal(status, 'completed');
    assert.equal(report.modelSha256, expected.modelSha256);
    const survivors = ({ rounds }: Report) => rounds.map(({ survivors }) => survivors);
    assert.deepEqual(survivors(report), survivors(expected));
  }

  it('go on when a router forgets their connections', async () => {
    const { run, heal } = await held();
    hosts.network.forget('north');
    heal();
    await assertUndisturbed(run);
  });

  it('go on after a link that swallows packets and tells nobody', async () => {
    const { run, heal } = await held();
    await labs[2].line(/: disconnected/); // by keepalive, half a minute later
    heal();
    await assertUndisturbed(run);
  });

  it('renew a certificate in mid-run', async () => {
    const { run, heal } = await held();
    await labs[1].kill();
    labs[1] = hosts.later(61, () => hosts.client('c2', 'north', '--slice', '2/3')); // it is good for 90 days
    await labs[1].line(/c2: certificate renewed/);
    heal();
    await assertUndisturbed(run);
  });

  it('hear from the coordinator where it will be, and find it there', async () => {
    const { run: first, heal } = await held();
    await coordinator.kill();
    coordinator = await hosts.serve(HUB, '192.0.2.77');
    heal();
    await assertUndisturbed(first); // so all three have heard of it
    const { run: second, heal: healAgain } = await held();
    await coordinator.kill();
    hosts.network.move('hub', '192.0.2.77');
    coordinator = await hosts.serve('192.0.2.77');
    healAgain();
    await assertUndisturbed(second);
  });

  it('go on with a coordinator that was restored on another machine, when their people say where', async () => {
    const { run, heal } = await held();
    hosts.backUp();
    await coordinator.kill();
    await hosts.loseAndRestore();
    hosts.network.move('hub', '192.0.2.99');
    coordinator = await hosts.serve('192.0.2.99');
    heal();
    const homes = [
      ['c1', 'north'],
      ['c2', 'north'],
      ['c3', 'south'],
    ];
    for (const [name, machine] of homes) hosts.person(machine, name, 'client', 'set-address', '192.0.2.99:7437');
    await assertUndisturbed(run);
  });

  async function simulated(config: object): Promise<Finished> {
    const options = Object.entries(config).flatMap(([key, value]) =>
      value === true ? [`--${key}`] : [`--${key}`, String(value)],
    );
    const directory = join(hosts.folder, `simulated-${options.length}`);
    const args = ['simulate', ...options, '--json', '-', '--out', directory];
    return { directory, report: JSON.parse(await succeed(args, { cwd: hosts.folder })) };
  }
});

async function modelOf({ directory, report }: Finished): Promise<Float32Array> {
  return decode(await readFile(join(directory, 'models', `${report.modelSha256}.safetensors`))).params.values;
}
