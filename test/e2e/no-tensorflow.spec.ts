/**
 * A coordinator's machine needs no TensorFlow: here is one that has none. The program and its packages are laid out as
 * npm would, without `@tensorflow` and without a back end that lives elsewhere.
 */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { outcome, ROOT, spawnStarling, starling, succeed } from './support.js';

describe('without TensorFlow', () => {
  let folder: string;
  const here = () => ({ cwd: folder, cli: join(folder, 'dist', 'cli', 'main.js') });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-bare-'));
    const tests = join(ROOT, 'dist', 'test') + sep;
    await cp(join(ROOT, 'dist'), join(folder, 'dist'), {
      recursive: true,
      filter: (path) => !`${path}${sep}`.startsWith(tests),
    });
    await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
    await mkdir(join(folder, 'node_modules'));
    for (const name of await readdir(join(ROOT, 'node_modules'))) {
      if (name === '@tensorflow' || name === 'webgpu' || name.startsWith('.')) continue;
      await symlink(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
    }
  });

  after(() => rm(folder, { recursive: true, force: true }));

  it('a coordinator starts and serves its operator', async () => {
    const coordinator = spawnStarling(['coordinator', '--listen', '127.0.0.1:0'], here());
    const ended = outcome(coordinator);
    try {
      await new Promise<void>((resolve, reject) => {
        coordinator.stdout!.once('data', () => resolve());
        void ended.then(({ stderr }) => reject(new Error(stderr)));
      });
      assert.equal(await succeed(['run', 'list', '--json'], here()), '[]\n');
      assert.match(await succeed(['token', 'create', '--name', 'charite'], here()), /^starling1\.[\w-]+\n$/);
    } finally {
      coordinator.kill();
    }
    assert.equal((await ended).code, 0);
  });

  it('help is printed', async () => {
    assert.match(await succeed(['--help'], here()), /^Usage: starling /);
  });

  it('doctor says of every back end that it is not here, and how to get it', async () => {
    const { backends } = JSON.parse(await succeed(['doctor', '--json'], here()));
    assert.deepEqual(
      backends.map(({ name, available }: { name: string; available: boolean }) => [name, available]),
      ['tfjs-node-gpu', 'tfjs-node', 'webgpu', 'wasm', 'cpu'].map((name) => [name, false]),
    );
    for (const { why } of backends) assert.match(why, /is not installed; to get it: npm install /);
  });

  it('a command that needs it says what to install', async () => {
    const { code, stderr } = await starling(['simulate', '--workload', 'cnn', '--scale', 'smoke'], here());
    assert.equal(code, 1);
    assert.match(stderr, /@tensorflow\/tfjs-core/);
  });
});
