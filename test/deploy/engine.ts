/**
 * A Docker engine of a test's own: its socket, its data and its processes are in one folder, and nothing of it is left when
 * it is closed. No image can be pulled where we test, so base images are made of what this machine has.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../e2e/support.js';

const run = promisify(execFile);

/** What the Dockerfile's stages call beside node. */
const PROGRAMS = ['/bin/sh', '/bin/mkdir', '/bin/chown', '/bin/chmod', '/bin/mv', '/bin/ln', '/usr/bin/env'];
const START_LIMIT_MS = 60_000;

/** What compose calls the test's containers by. */
export const PROJECT = 'starling-test';

/** By the names that the Dockerfile's build arguments have. */
export const BASES = { BUILD_IMAGE: 'starling-test/build:20', NODE_IMAGE: 'starling-test/node:20' } as const;

/** An engine that runs. */
export class Engine {
  readonly folder: string;
  readonly #daemon: ChildProcess;

  private constructor(folder: string, daemon: ChildProcess) {
    this.folder = folder;
    this.#daemon = daemon;
  }

  /** Starts `dockerd`, which needs root. */
  static async start(): Promise<Engine> {
    const folder = await mkdtemp(join(tmpdir(), 'starling-docker-'));
    const log = await open(join(folder, 'dockerd.log'), 'w');
    const places = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
    const own = [...places, '--pidfile', join(folder, 'pid'), '--host', `unix://${folder}/sock`];
    // what it would set of the machine's network stays set when it has ended: FORWARD drops, for everybody
    own.push('--bridge', 'none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false');
    const daemon = spawn('dockerd', own, { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    const engine = new Engine(folder, daemon);
    const untilMs = Date.now() + START_LIMIT_MS;
    for (;;) {
      const isUp = await engine.docker('version').then(
        () => true,
        () => false,
      );
      if (isUp) return engine;
      if (daemon.exitCode !== null || Date.now() > untilMs) {
        await engine.close();
        throw new Error(`dockerd did not start; it runs as root, and needs docker.io and iptables`);
      }
      await new Promise((again) => setTimeout(again, 100));
    }
  }

  /** What the programs of Docker read. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, DOCKER_HOST: `unix://${this.folder}/sock`, DOCKER_BUILDKIT: '0', ...BASES };
  }

  /** Standard output of `docker ARGS`, which must succeed. */
  async docker(...args: string[]): Promise<string> {
    return (await run('docker', args, { env: this.env, cwd: ROOT, maxBuffer: 64 * 2 ** 20 })).stdout.trim();
  }

  /** Standard output of `docker-compose -f FILE ARGS`, in a project of the test. */
  async compose(file: string, ...args: string[]): Promise<string> {
    const all = ['--project-name', PROJECT, '--file', file, ...args];
    return (await run('docker-compose', all, { env: this.env, cwd: dirname(file) })).stdout.trim();
  }

  /** The two base images: Node with what it is linked to, and the same with npm and what npm has fetched before. */
  async importBases(): Promise<void> {
    const folder = join(this.folder, 'base');
    for (const path of ['tmp', 'root', 'etc', 'usr/local/bin', 'usr/bin'])
      await mkdir(join(folder, path), { recursive: true });
    await writeFile(join(folder, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\n');
    await symlink('/usr/bin/node', join(folder, 'usr/local/bin/node'));
    await cp(process.execPath, join(folder, 'usr/bin/node'));
    const files = await withLibraries(PROGRAMS, process.execPath);
    const tar = join(this.folder, 'base.tar');
    await run('tar', ['-C', '/', '-chf', tar, ...files.map((file) => file.slice(1))]);
    await run('tar', ['-C', folder, '-rf', tar, '.']);
    await this.docker('import', tar, BASES.NODE_IMAGE);
    await run('tar', ['-C', '/', '-rf', tar, ...(await npmFiles())]);
    await run('tar', ['-C', await npmLink(folder), '-rf', tar, 'usr/local/bin/npm']);
    await run('tar', ['--transform', 's,^[.]/,root/.npm/,', '-C', join(homedir(), '.npm'), '-rf', tar, './_cacache']);
    await this.docker('import', tar, BASES.BUILD_IMAGE);
    await rm(tar);
  }

  /** Builds a target of deploy/docker/Dockerfile and gives it `name`. */
  async build(target: string, name: string): Promise<void> {
    const bases = Object.entries(BASES).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
    const what = ['-f', 'deploy/docker/Dockerfile', '--target', target, '--tag', name];
    await this.docker('build', '--network', 'host', ...what, ...bases, '.');
  }

  /** What `docker inspect` says of a container, or of an image. */
  async inspect(name: string): Promise<Inspected> {
    const [found] = JSON.parse(await this.docker('inspect', name)) as Inspected[];
    assert.ok(found, name);
    return found;
  }

  /** Ends the engine with all its containers and removes its folder. */
  async close(): Promise<void> {
    const all = await this.docker('ps', '--all', '--quiet').catch(() => '');
    if (all !== '') await this.docker('rm', '--force', '--volumes', ...all.split('\n'));
    await this.docker('network', 'prune', '--force').catch(() => '');
    const gone = new Promise((resolve) => this.#daemon.once('exit', resolve));
    if (this.#daemon.exitCode === null && this.#daemon.kill('SIGTERM')) await gone;
    const networks = join(this.folder, 'exec', 'netns', 'default'); // stays mounted after a build on the host's network
    await run('umount', ['--lazy', networks]).catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** As far as tests ask. */
export interface Inspected {
  readonly Id: string;
  /** Of an image, in bytes, with its base. */
  readonly Size: number;
  readonly State: {
    readonly Pid: number;
    readonly Running: boolean;
    readonly StartedAt: string;
    readonly Health?: { readonly Status: string };
  };
  readonly HostConfig: { readonly ReadonlyRootfs: boolean; readonly CapDrop: readonly string[] };
  readonly Config: {
    readonly User: string;
    readonly Healthcheck?: { readonly Test: readonly string[] };
    readonly Volumes: Readonly<Record<string, object>>;
  };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
}

/** Programs and the libraries that they are linked to, by ldd(1). */
async function withLibraries(programs: readonly string[], ...also: string[]): Promise<string[]> {
  const { stdout } = await run('ldd', [...programs, ...also]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path);
  return [...new Set([...programs, ...libraries])];
}

/** npm, the certificates it trusts and how this machine has set it up, relative to `/`. */
async function npmFiles(): Promise<string[]> {
  const { stdout } = await run('npm', ['root', '--global']);
  const wanted = [join(stdout.trim(), 'npm'), '/etc/ssl/certs/ca-certificates.crt', '/usr/etc/npmrc'];
  const there = await Promise.all(
    wanted.map((path) =>
      run('test', ['-e', path]).then(
        () => [path],
        () => [],
      ),
    ),
  );
  return there.flat().map((path) => path.slice(1));
}

/** A folder with `usr/local/bin/npm`, a link to its program. */
async function npmLink(folder: string): Promise<string> {
  const { stdout } = await run('npm', ['root', '--global']);
  const at = resolve(folder, '..', 'npm-link');
  await mkdir(join(at, 'usr/local/bin'), { recursive: true });
  await symlink(join(stdout.trim(), 'npm', 'bin', 'npm-cli.js'), join(at, 'usr/local/bin/npm'));
  return at;
}
