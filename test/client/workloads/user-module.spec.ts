/**
 * Workloads from their authors' files: the example of docs/workloads.md keeps every promise of a workload, and a file
 * that is none says what it lacks.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selectBackend } from '../../../client/backends/index.js';
import { isWorkloadPath, loadWorkload } from '../../../client/workloads/index.js';
import { loadPlannedWorkload } from '../../../client/workloads/planned.js';
import { FlError } from '../../../shared/errors.js';
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
      ['typo.ts', 'export default {\n  init( };', /typo\.ts:2: Expected/],
      ['lost.ts', "import x from './nowhere.js'; export default x;", /lost\.ts:1: Could not resolve "\.\/nowhere\.js"/],
      ['throws.ts', "throw new Error('no disk');", /throws\.ts: no disk/],
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
    await assert.rejects(loadWorkload('./not-there.ts'), /workload: no file .*not-there\.ts/);
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
