/** The rules that hold the architecture bite where they should and nowhere else; generated code is current. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, withFolder } from './e2e/support.js';

const binary = (name: string) => join(ROOT, 'node_modules', '.bin', name);

/** File -> source and the one complaint about it; none: clean. */
const FIXTURES: Readonly<Record<string, readonly [source: string, complaint?: string]>> = {
  'shared/harmless.ts': [`import { sum } from './sums.js';\nexport const total = sum([1, 2]);\n`],
  'shared/privacy/noise.ts': ['export const noise = Math.random();\n', 'Math.random: draw from an Rng (shared/rng.ts)'],
  'client/workloads/random.ts': [
    `import * as tf from '@tensorflow/tfjs-core';\nexport const start = tf.randomNormal([2]);\n`,
    'tf.random*: draw from an Rng (shared/rng.ts)',
  ],
  'client/workloads/clock.ts': ['export const nowMs = Date.now();\n'], // only the pure core takes its time from a Clock
  'server/round/step.ts': ['export const nowMs = Date.now();\n', 'ambient time: take a Clock (shared/clock.ts)'],
  'shared/wait.ts': ['setTimeout(() => {}, 10);\n', 'ambient time: take a Clock (shared/clock.ts)'],
  'client/sides.ts': [`export { step } from '../server/round.js';\n`, 'client imports shared only'],
  'server/sides.ts': [`export { step } from '../client/session.js';\n`, 'server imports shared only'],
  'shared/sides.ts': [`export { step } from '../server/round.js';\n`, 'shared imports nothing of the others'],
  'simulations/sides.ts': [
    `export { toyModel } from '../test/support/toy.js';\n`,
    'simulations import neither the command line nor tests',
  ],
  'simulations/lines.ts': [
    `export { print } from '../cli/commands/options.js';\n`,
    'simulations import neither the command line nor tests',
  ],
  'cli/sides.ts': [`export { toyModel } from '../test/support/toy.js';\n`, 'the command line does not import tests'],
  'server/round/shell.ts': [`export { join } from 'node:path';\n`, 'server/round imports shared only'],
  'server/round/registry.ts': [`export { Registry } from '../registry.js';\n`, 'server/round imports shared only'],
  'server/round/pure.ts': [`export { FlError } from '../../shared/errors.js';\n`],
  'shared/tensors.ts': [`export { tensor } from '@tensorflow/tfjs-core';\n`, 'TensorFlow.js lives in client/'],
  'server/tensors.ts': [`export { tensor } from '@tensorflow/tfjs-node';\n`, 'TensorFlow.js lives in client/'],
  'shared/calls.ts': [
    `export { Server } from '@grpc/grpc-js';\n`,
    'gRPC lives in server/grpc, client/grpc and the generated code',
  ],
  'server/grpc/calls.ts': [`export { Server } from '@grpc/grpc-js';\n`],
};

interface Diagnostic {
  readonly severity: string;
  readonly message: string;
  readonly location: { readonly path: string };
}

describe('the lint rules', () => {
  let found: readonly Diagnostic[];

  before(() =>
    withFolder(async (folder) => {
      for (const name of ['biome.json', '.biome']) await cp(join(ROOT, name), join(folder, name), { recursive: true });
      for (const [path, [source]] of Object.entries(FIXTURES)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), source);
      }
      const args = ['lint', '--vcs-enabled=false', '--reporter=json', '.'];
      const stdout = await new Promise<string>((resolve) => {
        execFile(binary('biome'), args, { cwd: folder }, (_, text) => resolve(text)); // it fails, as it should
      });
      found = (JSON.parse(stdout) as { diagnostics: Diagnostic[] }).diagnostics;
    }),
  );

  for (const [path, [, complaint]] of Object.entries(FIXTURES)) {
    it(`${path}: ${complaint ?? 'nothing to say'}`, () => {
      const said = found.filter(({ location }) => location.path === path);
      assert.deepEqual(
        said.map(({ severity, message }) => [severity, message]),
        complaint === undefined ? [] : [['error', complaint]],
      );
    });
  }
});

describe('the tree', () => {
  it('is clean for the linter and the formatter', async () => {
    await promisify(execFile)(binary('biome'), ['check', '.'], { cwd: ROOT, maxBuffer: 16 * 1024 * 1024 });
  });
});

describe('the wire', () => {
  it('has generated code that is what the .proto files say', () =>
    withFolder(async (folder) => {
      await promisify(execFile)(binary('buf'), ['generate', '-o', folder], { cwd: ROOT });
      const made = await filesBelow(join(folder, 'shared', 'wire', 'gen'));
      assert.ok(made.size > 0);
      assert.deepEqual(made, await filesBelow(join(ROOT, 'shared', 'wire', 'gen')));
    }));

  it('is clean for buf lint', async () => {
    const { stdout } = await promisify(execFile)(binary('buf'), ['lint'], { cwd: ROOT });
    assert.equal(stdout, '');
  });
});

async function filesBelow(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
}
