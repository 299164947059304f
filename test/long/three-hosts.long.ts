/**
 * Three machines, as network namespaces: a coordinator, and two labs behind routers that let them dial out only, one of them
 * over a link of 200 ms that loses a packet of a hundred. Whatever happens to the network while a run is on its way, it ends in
 * the model of a simulation that nobody has disturbed, to the bit.
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
import { Hosts, HUB_ADDRESS } from './hosts.js';
import { checkTools } from './namespaces.js';

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
  /** Of a simulation that nobody disturbs. */
  let expected: Report | undefined;

  before(async () => {
    hosts = await Hosts.open(HUB);
    await hosts.serve(HUB);
  });

  after(() => hosts?.close());

  it('need tools, and say in words which are missing and how to install them', () => {
    assert.throws(() => checkTools('/nowhere'), {
      message:
        'network namespaces: expected ip, iptables, conntrack, socat, ping, sysctl in PATH, got none; ' +
        'next: apt-get install -y iproute2 iptables conntrack socat iputils-ping procps',
    });
  });

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

  /** A run of which a round has begun with all three, and cannot end before south is heard again. */
  async function held(): Promise<{ readonly run: string; readonly heal: () => void }> {
    const heal = hosts.network.mute('south');
    const run = await hosts.run({ ...CONFIG, rounds: ROUNDS, 'secure-aggregation': false });
    await hosts.event(run, ({ kind }) => kind === 'round-started');
    return { run, heal };
  }

  const disconnections = (lab: Child) => lab.lines.filter((line) => /: disconnected/.test(line)).length;

  it('stay connected while nobody says anything, through routers that forget, and over the bad link', async () => {
    const roundTripsMs = hosts.network.roundTripsMs('south', HUB_ADDRESS, 5);
    assert.ok(Math.min(...roundTripsMs) >= 200, `the bad link is one: ${roundTripsMs} ms`);
    const before = labs.map(disconnections);
    for (const machine of ['north', 'south']) await refreshed(machine);
    assert.deepEqual(labs.map(disconnections), before);
  });

  /**
   * Each connection that a router knows is heard of again, twice, before it forgets it: pings, since nobody says anything.
   */
  async function refreshed(machine: string): Promise<void> {
    const known = new Map(hosts.network.remembered(machine).map(({ port, seconds }) => [port, { seconds, times: 0 }]));
    assert.ok(known.size > 0, `${machine} has connections`);
    while ([...known.values()].some(({ times }) => times < 2)) {
      await new Promise((resolve) => setTimeout(resolve, 500)); // the kernel tells nobody of it
      const now = new Map(hosts.network.remembered(machine).map(({ port, seconds }) => [port, seconds]));
      for (const [port, one] of known) {
        const seconds = now.get(port);
        assert.ok(seconds !== undefined, `the router of ${machine} has forgotten the connection from port ${port}`);
        known.set(port, { seconds, times: one.times + (seconds > one.seconds ? 1 : 0) });
      }
    }
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
    const before = labs.map(disconnections);
    hosts.network.forget('north');
    for (const i of [0, 1]) await hosts.until(() => disconnections(labs[i]) > before[i]); // by keepalive
    heal();
    await assertUndisturbed(run);
  });

  it('go on after a link that swallows packets and tells nobody', async () => {
    const { run, heal } = await held();
    const healLink = hosts.network.swallow('south');
    const before = disconnections(labs[2]);
    await hosts.until(() => disconnections(labs[2]) > before); // by keepalive: nothing else tells
    await hosts.until(() => !hosts.online().includes('c3')); // and the coordinator's own
    healLink();
    heal();
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
