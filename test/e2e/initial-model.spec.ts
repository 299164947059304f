/** A run that starts from a stored model: the one that another run left, simulated and by labs, each asked for its consent. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';
import { Deployment, starling, succeed, withFolder } from './support.js';

const SMALL = { workload: 'cnn', scale: 'smoke', clients: 2, cohort: 2, rounds: 1 };
const OPTIONS = ['--workload', 'cnn', '--scale', 'smoke', '--clients', '2', '--rounds', '1', '--json', '-'];

/** What a run directory says that it began with: run.json, its ledger, and whether it verifies. */
async function begunWith(directory: string, cwd: string): Promise<(string | undefined)[]> {
  const { spec } = JSON.parse(await readFile(join(directory, 'run.json'), 'utf8'));
  const [opened] = (await readFile(join(directory, 'ledger.jsonl'), 'utf8')).split('\n');
  await succeed(['verify', directory], { cwd });
  return [spec.work.initialModel, JSON.parse(opened).entry.modelSha256];
}

describe('initial-model', function () {
  this.timeout(120_000);

  it('starts a simulation where another ended, to the bit, and says so in run.json and in the ledger', () =>
    withFolder(async (cwd) => {
      const simulate = async (...more: string[]) =>
        JSON.parse(await succeed(['simulate', ...OPTIONS, ...more], { cwd })) as Report;
      const first = await simulate('--seed', '1', '--out', 'first');
      const file = join(cwd, 'first', 'models', `${first.modelSha256}.safetensors`);
      const second = await simulate('--seed', '2', '--out', 'second', '--initial-model', file);
      assert.deepEqual(await begunWith(join(cwd, 'second'), cwd), [first.modelSha256, first.modelSha256]);
      assert.notEqual(second.modelSha256, first.modelSha256);

      // the same model as PyTorch would have it: other names, other order, kernels the other way round
      const { params } = decode(await readFile(file));
      const names: string[] = [];
      const foreign = params.layout.map(({ name, shape, offset, size }) => {
        const data = params.values.slice(offset, offset + size);
        const turned = shape.length === 2;
        names.push(`${name}: ${turned ? `{from: t.${name}, transpose: [1, 0]}` : `t.${name}`}`);
        if (!turned) return { name: `t.${name}`, shape, data };
        const [rows, columns] = shape;
        const transposed = data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]);
        return { name: `t.${name}`, shape: [columns, rows], data: transposed };
      });
      let offset = 0;
      const layout = foreign.reverse().map(({ name, shape, data }) => {
        const entry = { name, shape, offset, size: data.length };
        offset += data.length;
        return entry;
      });
      const values = Float32Array.from(foreign.flatMap(({ data }) => [...data]));
      await writeFile(join(cwd, 'torch.safetensors'), encode({ layout, values }, { format: 'pt' }));
      await writeFile(join(cwd, 'names.yaml'), names.join('\n'));
      const refused = await starling(['simulate', ...OPTIONS, '--initial-model', 'torch.safetensors'], { cwd });
      assert.equal(refused.code, 2);
      assert.match(
        refused.stderr,
        /initial-model: torch\.safetensors is not this workload's model: .*got none of that name; /,
      );
      const from = ['--initial-model', 'torch.safetensors', '--initial-model-names', 'names.yaml'];
      const third = await simulate('--seed', '2', '--out', 'third', ...from);
      assert.equal(third.modelSha256, second.modelSha256);
    }));

  it('is asked of each lab: one whose policy names the model takes part, another says which key would allow it', async () => {
    const site = await Deployment.open();
    try {
      const careful = await site.openLab('careful', '--slice', '1/3');
      await site.openLab('a', '--slice', '2/3');
      const first = await site.run({ ...SMALL, seed: 1 });
      await site.follow(first);
      const { report, directory } = await site.show(first);
      const model = join(directory, 'models', `${report.modelSha256}.safetensors`);
      const policy = await site.openPolicy(`first-model: [workload, ${report.modelSha256}]\n`);
      await site.lab('b', '--policy', policy, '--slice', '3/3');

      const warm = { ...SMALL, cohort: 3, clients: 3, 'min-survivors': 1, seed: 2, 'initial-model': model };
      const run = await site.run(warm);
      await site.follow(run);
      const said = await careful.line(/plan declined .*first-model/);
      assert.match(
        said,
        new RegExp(`got ${report.modelSha256}; next: if this site agrees with that start, add the hash`),
      );
      const { report: ended, directory: second } = await site.show(run);
      assert.deepEqual([ended.status, ended.rounds[0].survivors, ended.rounds[0].dropped.length], ['completed', 1, 2]);
      assert.deepEqual(await begunWith(second, site.folder), [report.modelSha256, report.modelSha256]);
    } finally {
      await site.close();
    }
  });

  it('is refused before anything starts when it is none', () =>
    withFolder(async (cwd) => {
      const says = async (...more: string[]) => {
        const { code, stderr } = await starling(['simulate', ...OPTIONS, ...more], { cwd });
        assert.equal(code, 2, stderr);
        return stderr;
      };
      assert.match(
        await says('--initial-model', 'nowhere'),
        /initial-model: nowhere: expected a safetensors file, got ENOENT/,
      );
      assert.match(await says('--initial-model', '.'), /got a folder; the models of a run are in its folder models\//);
      assert.match(
        await says('--initial-model-names', 'x'),
        /initial-model-names: expected initial-model beside it, got none/,
      );
    }));
});
