/**
 * A newcomer, who has this repository and its pages: a clean clone, then README.md and each page of docs/, its commands as
 * they stand, in a shell of its own, and what the page says that they leave. Ends with a table of the seconds of each page.
 *
 * Left to others: commands for other machines (`npm run hosts`), `npm test` (each push), downloads from beyond the package
 * registry. Until the package is published, `npm install starling-fl` takes the clone's own tarball.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { blocksOf } from '../docs/page.js';
import { runShell } from '../docs/shell.js';
import { ROOT } from '../e2e/support.js';

const execute = promisify(execFile);

/** What a page promises of its commands. */
interface Promised {
  /** Words of the page, so that a promise that it no longer makes is found. */
  readonly says: string;
  /** Below the page's folder; it has bytes, and `holds`. */
  readonly file: string;
  readonly holds?: RegExp;
}

/** Of each page with commands. */
const PROMISED: Readonly<Record<string, readonly Promised[]>> = {
  'README.md': [
    { says: '`first-run/report.html` is the page', file: 'first-run/report.html', holds: /^<!doctype html>/i },
    { says: '`report.json` the numbers', file: 'first-run/report.json', holds: /"status":\s*"completed"/ },
    { says: '`models/final.safetensors`', file: 'first-run/models/final.safetensors', holds: /"workload":"cnn"/ },
    { says: 'It ends with a page to open in a\nbrowser.', file: 'output', holds: /^report +\S+report\.html$/m },
    { says: 'beside each client training alone', file: 'first-run/report.json', holds: /"local[/"]/ },
  ],
  'docs/data.md': [
    { says: '`starling data list`', file: 'output', holds: /^mnist +ok/m },
    { says: 'It loads what `client run` would load', file: 'output', holds: /samples\.csv: 30 rows/ },
  ],
  'docs/ledger.md': [
    { says: '`verify` ends with 0 and a summary', file: 'output', holds: /[1-9]\d* signatures hold/ },
    { says: 'A signature, with nothing of Starling', file: 'run/ledger.jsonl' },
  ],
  'docs/policy.md': [
    { says: '`init` writes every key with its default', file: 'policy.yaml', holds: /max-runs-per-month/ },
    { says: '`check` takes the operator', file: 'output', holds: /a client with this policy follows it/ },
  ],
  'docs/privacy-audit.md': [
    { says: '`audit.svg`', file: 'audit/audit.svg', holds: /^<svg/ },
    { says: '`audit.json`', file: 'audit/audit.json', holds: /example/ },
  ],
  'docs/privacy.md': [
    { says: 'ends in state `budget-exhausted`', file: 'patients/report.json', holds: /"budget-exhausted"/ },
    { says: 'Thirty phones', file: 'phones/report.json', holds: /"completed"/ },
  ],
  'docs/simulations.md': [
    { says: 'says that the run is complete', file: 'output', holds: /complete/ },
    { says: '`models/best.safetensors`', file: 'early/models/best.safetensors' },
    { says: '`central.*` in\n`report.json`', file: 'run/report.json', holds: /"central\./ },
    { says: '`validation.loss` is theirs', file: 'chosen/report.json', holds: /"validation\.loss"/ },
  ],
  'docs/use-the-model.md': [
    { says: '`models/final.safetensors`', file: 'run/models/final.safetensors', holds: /"round":"3"/ },
    { says: 'Every number of an\nexample stands in one row', file: 'predictions.csv', holds: /probabilities\[9\]/ },
    { says: '`layer.weight` and\n`layer.bias`', file: 'cnn.safetensors', holds: /"logits\.weight"/ },
    { says: 'the metadata is in\nthe file', file: 'cnn.onnx', holds: /workload/ },
    { says: 'with both files beside the page', file: 'web/model.json', holds: /weightsManifest/ },
  ],
  'docs/workloads.md': [
    { says: '0.23 for the federation', file: 'output', holds: /^federated +0\.23/m },
    { says: '0.65 for the best lab alone', file: 'output', holds: /^best client alone +0\.6[45]/m },
    { says: 'Run the example first', file: 'output', holds: /^report +\S+report\.html$/m },
  ],
};

const HEAD = ['| page | commands | load before | seconds | exit |', '| --- | --- | --- | --- | --- |'];

const documents = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md'));
const commands = new Map<string, readonly string[]>();
for (const page of ['README.md', ...documents.map((name) => `docs/${name}`)]) {
  // README first: it brings the program into PATH
  const lines = blocksOf(await readFile(join(ROOT, page), 'utf8'))
    .filter(({ machine }) => machine === undefined)
    .flatMap(({ lines }) => lines)
    .filter((line) => !isElsewhere(line));
  if (lines.length > 0) commands.set(page, lines);
}

describe('a newcomer with a clean clone', function () {
  this.timeout(1_800_000);
  let folder: string;
  let clone: string;
  let tarball: string;
  let env: NodeJS.ProcessEnv;
  const rows: string[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-newcomer-'));
    clone = join(folder, 'starling');
    await execute('git', ['clone', '--quiet', ROOT, clone]);
    const home = join(folder, 'home');
    const bin = join(folder, 'npm', 'bin');
    await mkdir(home);
    await mkdir(bin, { recursive: true });
    const { stdout: cache } = await execute('npm', ['config', 'get', 'cache']);
    const { STARLING_DATA_DIR: _data, STARLING_HOME: _home, NODE_OPTIONS: _options, ...ours } = process.env;
    env = {
      ...ours,
      HOME: home,
      PATH: `${bin}:${ours.PATH}`,
      npm_config_cache: cache.trim(),
      npm_config_prefix: join(folder, 'npm'), // where `npm link` links to
      npm_config_prefer_offline: 'true',
    };
  });

  after(async () => {
    process.stdout.write(`${[...HEAD, ...rows].join('\n')}\n`);
    await rm(folder, { recursive: true });
  });

  it('is promised something by each page with commands, and by no other', () => {
    assert.deepEqual(Object.keys(PROMISED).sort(), [...commands.keys()].sort());
  });

  for (const [page, lines] of commands) {
    it(`finds that ${page} does what it says`, async () => {
      const markdown = await readFile(join(clone, page), 'utf8');
      assert.ok(
        lines.every((line) => markdown.includes(line)),
        `${page} is not what is committed`,
      );
      const cwd = page === 'README.md' ? clone : join(folder, basename(page, '.md'));
      await mkdir(cwd, { recursive: true });
      const script = lines
        .map((line) => line.replace(/^npm install starling-fl$/, `npm install '${tarball}'`))
        .join('\n');
      const load = loadavg()[0];
      const start = performance.now();
      const { code, output } = await runShell(script, { cwd, env });
      const seconds = (performance.now() - start) / 1000;
      rows.push(`| ${page} | ${lines.length} | ${load.toFixed(0)} | ${seconds.toFixed(0)} | ${code} |`);
      assert.equal(code, 0, `${page}\n${output.slice(-8000)}`);

      for (const { says, file, holds } of PROMISED[page]) {
        assert.ok(markdown.includes(says), `${page} no longer says "${says}"`);
        const text = file === 'output' ? output : await readFile(join(cwd, file), 'latin1');
        assert.ok(text.length > 0, `${page}: ${file} is empty`);
        if (holds !== undefined) assert.match(text, holds, `${page}: "${says}" (${file})`);
      }
      if (page === 'README.md') {
        const { stdout } = await execute(process.execPath, ['dist/cli/pack.js', folder], { cwd: clone, env });
        tarball = stdout.trim();
      }
    });
  }

  it('would be told of a page whose command fails', async () => {
    const { code, output } = await runShell('starling flap\nstarling --version', { cwd: folder, env });
    assert.equal(code, 2);
    assert.match(output, /unknown command 'flap'/);
  });
});

function isElsewhere(line: string): boolean {
  return line === 'npm ci && npm test' || /^(git clone|starling data get)\b/.test(line);
}
