/** `starling client check-data` on the table that `starling init` brings, whole and broken. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../e2e/support.js';
import { inProcess } from '../../support/in-process.js';

describe('starling client check-data', () => {
  let folder: string;
  let table: string;
  let good: string;
  const check = (...more: string[]) =>
    inProcess(['client', 'check-data', join(folder, 'data'), '--workload', join(folder, 'workload.ts'), ...more]);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-check-'));
    await cp(join(ROOT, 'docs', 'examples', 'project'), folder, { recursive: true });
    table = join(folder, 'data', 'samples.csv');
    good = await readFile(table, 'utf8');
  });
  beforeEach(() => writeFile(table, good));
  after(() => rm(folder, { recursive: true, force: true }));

  it('counts, shows ranges, categories and what would be sent, and writes nothing', async () => {
    const { code, stdout, stderr } = await check('--json');
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    const { own, files, train, test, sent } = JSON.parse(stdout);
    assert.equal(own, true);
    const lines = good.trimEnd().split('\n').slice(1);
    const cells = lines.map((line) => line.split(','));
    const temperatures = cells.map(([temperature]) => Math.fround(Number(temperature)));
    const [file] = files;
    assert.deepEqual([file.path, file.count], [table, lines.length]);
    assert.deepEqual(file.columns[0], {
      ...{ column: 'temperature', missing: 0 },
      ...{ min: Math.min(...temperatures), max: Math.max(...temperatures) },
    });
    const coppers = cells.filter(([, , material]) => material === 'copper').length;
    assert.equal(file.columns[2].categories.copper, coppers);
    assert.deepEqual([train.count, test.count], [24, 6]);
    assert.deepEqual(sent, {
      channels: [
        { channel: 'update', tensor: 'kernel', shape: [5, 1] },
        { channel: 'update', tensor: 'bias', shape: [1] },
      ],
      updateBytes: 4 * 6,
      metrics: [{ name: 'error', size: 1 }],
      maskable: true,
    });
    assert.deepEqual(await readdir(join(folder, 'data')), ['samples.csv']);
  });

  it('counts the validation split of a workload beside the others', async () => {
    const file = join(folder, 'validated.ts');
    const text = `import base from './workload.js';
      export default { ...base, validation: {
        examples: (data, hyper) => base.examples(data, hyper).test,
        batch: (data, indices, context) => base.batch(data, indices, { ...context, split: 'test' }),
      } };`;
    await writeFile(file, text);
    const { code, stdout, stderr } = await inProcess([
      'client',
      'check-data',
      join(folder, 'data'),
      '--workload',
      file,
    ]);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
    assert.match(stdout, /^train: 24 examples$.*^validation: 6 examples$.*^test: 6 examples$/ms);
  });

  it('says it for people, too', async () => {
    const { code, stdout } = await check();
    assert.equal(code, 0);
    assert.match(stdout, /samples\.csv: 30 rows\n.*material +0 +steel: 10, copper: 10, aluminium: 10\n/s);
    assert.match(
      stdout,
      /\n {2}24 bytes of 32-bit numbers.*test figures as sums: error \[1\]\nnothing has been sent\n$/s,
    );
  });

  it('ends with 2 where the data are not as the workload expects', async () => {
    const refused = async (content: string | undefined, says: RegExp) => {
      if (content === undefined) await rm(table);
      else await writeFile(table, content);
      const { code, stdout, stderr } = await check();
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' }, stderr);
      assert.match(stderr, says);
      assert.match(stderr, /\nnext: starling client check-data --help .*\n$/);
    };
    await refused(
      good.replace('\n', '\nwarm,1,steel,1\n'),
      /samples\.csv: line 2, column "temperature": expected a number, got "warm"\n/,
    );
    await refused(
      good.replace('\n', '\n20,1,Steel,1\n'),
      /line 2, column "material": expected one of steel, copper, aluminium, got "Steel"\n/,
    );
    await refused(
      good.split('\n').slice(0, 1).join('\n'),
      /data: train: expected at least one example to train on, got 0\n/,
    );
    await refused(undefined, /samples\.csv: expected a readable CSV file, got ENOENT\n/);
    const missing = await inProcess(['client', 'check-data', join(folder, 'no'), '--workload', 'cnn']);
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /^starling: DIR: \S+no: expected the folder of this site's data, got ENOENT\n/);
  });

  it('says so when the examples are not from the folder', async () => {
    const args = ['client', 'check-data', join(folder, 'data'), '--workload', 'cnn', '--scale', 'smoke'];
    const { code, stdout } = await inProcess(args);
    assert.equal(code, 0);
    assert.match(stdout, /\nnot from \S+data: the workload gives as many examples from an empty folder\n/);
  });

  it('names split, tensor and example of a value that is no number', async () => {
    const file = join(folder, 'broken.ts');
    const source = await readFile(join(folder, 'workload.ts'), 'utf8');
    await writeFile(
      file,
      source.replace('({ expansion }) => expansion)', '({ expansion }, i) => (i === 3 ? NaN : expansion))'),
    );
    const { code, stderr } = await inProcess(['client', 'check-data', join(folder, 'data'), '--workload', file]);
    assert.equal(code, 2);
    assert.match(stderr, /data: train: batch\.y: example 3 of 24, value 0: expected a finite number, got NaN\n/);
  });
});
