/**
 * Workloads from their authors' files: the example of docs/workloads.md keeps every promise of a workload, and a file
 * that is none says what it lacks.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selectBackend } from '../../../client/backends/index.js';
import { codeSha256, plannedCodeSha256 } from '../../../client/workloads/code.js';
import { isWorkloadPath, loadWorkload } from '../../../client/workloads/index.js';
import { loadPlannedWorkload } from '../../../client/workloads/planned.js';
import { FlError } from '../../../shared/errors.js';
import { VERSION } from '../../../shared/version.js';
import { CLAIMS, type Subject, subjectOf } from './claims.js';

const EXAMPLE = 'docs/examples/my-workload.ts';

describe('the example of docs/workloads.md', () => {
  let subject: Subject;
  before(async () => {
    await selectBackend('cpu');
    subject = subjectOf(await loadWorkload(EXAMPLE));
  });
  for (const [claim, check] of CLAIMS) it(claim, () => check(subject));
});

describe('a workload from a file outside the package', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-workload-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const write = async (name: string, code: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, code);
    return path;
  };

  it('may be TypeScript in several files, and uses the package and the TensorFlow of this process', async () => {
    await write('numbers.ts', 'export const answer: number = 42;');
    const path = await write(
      'mine.ts',
      `import { add } from '@tensorflow/tfjs-core';
       import { defineWorkload } from 'starling-fl/workloads';
       import { answer } from './numbers.js';
       const f = () => { throw new Error(); };
       const scale = { clients: 1, cohort: 1, rounds: 1, partition: 'iid', training: {}, hyper: { answer } };
       export default defineWorkload({ init: f, load: f, examples: f, batch: f, metrics: () => ({ add, defineWorkload, url: import.meta.url }), loss: f,
         manifest: { name: 'mine', topic: '', paper: '', data: '', privacyUnits: [], headline: { metric: 'm', better: 'lower' },
           scales: { smoke: scale, demo: scale, full: scale } } } as any);`,
    );
    const workload = await loadWorkload(path);
    assert.deepEqual(workload.manifest.scales.demo.hyper, { answer: 42 });
    const seen = (workload.metrics as unknown as () => Record<string, unknown>)();
    assert.equal(seen.add, (await import('@tensorflow/tfjs-core')).add);
    assert.equal(seen.defineWorkload, (await import('../../../client/workloads/index.js')).defineWorkload);
    assert.equal(seen.url, new URL(`file://${path}`).href);
  });

  it('is refused with the reason, when it is none', async () => {
    const cases: [string, string, RegExp][] = [
      ['empty.ts', '', /empty\.ts: expected a workload as default export .* got undefined/],
      ['bare.mjs', 'export default {};', /bare\.mjs: expected a workload with init\(\), got undefined/],
      ['typo.ts', 'export default {\n  init( };', /typo\.ts:2:9: Expected/],
      [
        'lost.ts',
        "import x from './nowhere.js'; export default x;",
        /lost\.ts:1:15: Could not resolve "\.\/nowhere\.js"/,
      ],
      ['throws.ts', "throw new Error('no disk');", /throws\.ts: throws\.ts:1:7: Error: no disk$/],
      [
        'lossless.ts',
        'const f = () => {}; export default { init: f, load: f, examples: f, batch: f, metrics: f };',
        /lossless\.ts: expected a workload with loss\(\) or train\(\), got undefined/,
      ],
      [
        'manifestless.ts',
        'const f = () => {}; export default { init: f, load: f, examples: f, batch: f, metrics: f, loss: f };',
        /manifestless\.ts: expected a workload with manifest\.name, a string, got undefined/,
      ],
    ];
    for (const [name, code, message] of cases) {
      const path = await write(name, code);
      await assert.rejects(loadWorkload(path), (error) => {
        assert.ok(error instanceof FlError);
        assert.equal(error.code, 'invalid-argument');
        assert.match(error.message, message);
        return true;
      });
    }
    await assert.rejects(loadWorkload('./not-there.ts'), /workload: expected a file, got none: .*not-there\.ts/);
  });

  /** A workload whose functions do nothing but what these say. */
  const body = (
    name: string,
    members: string,
    scale = "const scale = { clients: 1, cohort: 1, rounds: 1, partition: 'iid', training: {}, hyper: {} };",
  ) =>
    `${scale}
     const f = () => undefined;
     const workload = { init: f, load: f, examples: f, batch: f, metrics: f, loss: f, ${members}
       manifest: { name: '${name}', topic: '', paper: '', data: '', privacyUnits: [], headline: { metric: 'm', better: 'lower' },
         scales: { smoke: scale, demo: scale, full: scale } } };`;

  it('may be CommonJS: required packages are those of this process', async () => {
    const use = `metrics: () => ({ add: tf.add, defineWorkload, here: __dirnameOf() }),`;
    const required = `const tf = require('@tensorflow/tfjs-core');
      const { defineWorkload } = require('starling-fl/workloads');
      const { basename } = require('node:path');
      const __dirnameOf = () => basename('a/b');`;
    await write('helper.cjs', 'module.exports = { twice: (x) => 2 * x };');
    const files = {
      'common.js': `${required} ${body('common', use)} module.exports = defineWorkload(workload);`,
      'common.cjs': `${required} require('./helper.cjs'); ${body('common', use)} module.exports = workload;`,
      'compiled.js': `"use strict"; Object.defineProperty(exports, '__esModule', { value: true }); ${required} ${body('common', use)} exports.default = workload;`,
    };
    for (const [name, code] of Object.entries(files)) {
      const workload = await loadWorkload(await write(name, code));
      assert.equal(workload.manifest.name, 'common', name);
      const seen = (workload.metrics as unknown as () => Record<string, unknown>)();
      assert.equal(seen.add, (await import('@tensorflow/tfjs-core')).add, name);
      assert.equal(seen.defineWorkload, (await import('../../../client/workloads/index.js')).defineWorkload, name);
    }
  });

  it("says where in its author's files it failed, whatever failed there", async () => {
    await write(
      'deep.ts',
      `interface Row { readonly x: number }\n\nexport function first(rows: readonly Row[]): number {\n  return rows[0].x;\n}`,
    );
    const path = await write(
      'faulty.ts',
      `import { first } from './deep.js';\nimport * as tf from '@tensorflow/tfjs-core';\n${body(
        'faulty',
        `load: async () => { await null; return (undefined as any).rows; },\nexamples: () => first([]),\nloss: () => tf.tensor([1, 2, 3], [2]),\nbatch: () => { throw 'text'; },`,
      )}\nexport default workload;`,
    );
    const workload = (await loadWorkload(path)) as unknown as Record<string, (...args: unknown[]) => unknown>;
    const said = async (member: string): Promise<string> => {
      try {
        await workload[member]();
      } catch (error) {
        assert.ok(error instanceof FlError);
        return error.message;
      }
      return assert.fail(`${member} threw nothing`);
    };
    assert.match(
      await said('load'),
      /^faulty\.ts:5:\d+: TypeError: Cannot read properties of undefined \(reading 'rows'\)$/,
    );
    assert.match(await said('examples'), /^deep\.ts:4:1[0-8]: TypeError: Cannot read properties of undefined/);
    assert.match(await said('loss'), /^faulty\.ts:7:\d+: Error: .*shape/);
    assert.equal(await said('batch'), 'text'); // no error, so no place
  });

  it('is known by what it does: not by its place, its name, its comments or its spaces', async () => {
    const code = body('known', 'loss: () => 1,');
    await mkdir(join(folder, 'elsewhere'));
    const same = [
      await write('known.ts', `${code} export default workload;`),
      await write('elsewhere/other.ts', `// a copy\n\n${code}\n\n  export default workload; // the same`),
      await write('known.js', `${code} export default workload;`),
    ];
    const hashes = await Promise.all(same.map((path) => codeSha256(path)));
    assert.equal(new Set(hashes).size, 1, hashes.join(' '));
    assert.match(hashes[0], /^[0-9a-f]{64}$/);
    const other = await write('other.ts', `${body('known', 'loss: () => 2,')} export default workload;`);
    assert.notEqual(await codeSha256(other), hashes[0]);

    // what it imports is its code, too; the package that it runs in is not
    const importing = (answer: number, where: string) =>
      Promise.all([
        write(`${where}/part.ts`, `export const answer = ${answer};`),
        write(
          `${where}/whole.ts`,
          `import { answer } from './part.js'; import * as tf from '@tensorflow/tfjs-core'; ${body('known', 'loss: () => tf.scalar(answer),')} export default workload;`,
        ),
      ]).then(([, path]) => codeSha256(path));
    for (const where of ['a', 'b', 'c']) await mkdir(join(folder, where));
    const [a, b, c] = [await importing(1, 'a'), await importing(1, 'b'), await importing(2, 'c')];
    assert.deepEqual([a === b, a === c], [true, false]);
  });

  it('is, built in, known by its name and the version that it came with', async () => {
    const text = `workload cnn of starling-fl ${VERSION}`;
    assert.equal(await codeSha256('cnn'), createHash('sha256').update(text).digest('hex'));
    assert.notEqual(await codeSha256('misa'), await codeSha256('cnn'));
    assert.equal(await plannedCodeSha256('sine', { sine: EXAMPLE }), await codeSha256(EXAMPLE));
  });

  it('is told from a name', async () => {
    for (const path of ['./x', '../x', '/x', 'x.ts', 'x.mjs', 'a/b.js', 'C:\\x']) assert.ok(isWorkloadPath(path), path);
    for (const name of ['cnn', 'my-workload', 'ts']) assert.ok(!isWorkloadPath(name), name);
    await assert.rejects(loadWorkload('cmm'), /workload: expected one of cnn.* or a path, got "cmm"/);
  });

  it('is not taken from a plan, unless the site named the file itself', async () => {
    await assert.rejects(
      loadPlannedWorkload(EXAMPLE, {}),
      (error) => error instanceof FlError && error.code === 'permission-denied',
    );
    assert.equal((await loadPlannedWorkload('sine', { sine: EXAMPLE })).manifest.name, 'my-workload');
    assert.equal((await loadPlannedWorkload('cnn', {})).manifest.name, 'cnn');
  });
});
