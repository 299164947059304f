/** Schemas for editors, completion for shells and the project of `starling init`: made from what the program itself is. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { completionScript } from '../../cli/completion.js';
import { createProgram } from '../../cli/program.js';
import { SCHEMAS } from '../../cli/schemas.js';
import { POLICY_KEYS, policyRows } from '../../client/policy/table.js';
import { SETTINGS } from '../../shared/run/settings.js';
import { ROOT } from '../e2e/support.js';
import { inProcess } from '../support/in-process.js';

type Schema = {
  properties: Record<string, Record<string, unknown>>;
  required: string[];
  additionalProperties: boolean;
};
const schema = (name: 'run' | 'policy') => SCHEMAS[name]() as Schema;

describe('the schema of a file', () => {
  it('has each key with its help, and no other', () => {
    const run = schema('run');
    assert.deepEqual(Object.keys(run.properties), Object.keys(SETTINGS));
    assert.deepEqual([run.required, run.additionalProperties], [['workload'], false]);
    assert.equal(run.properties.rounds.description, SETTINGS.rounds.help);
    const policy = schema('policy');
    assert.deepEqual(Object.keys(policy.properties), Object.keys(POLICY_KEYS));
    assert.deepEqual([policy.required, policy.additionalProperties], [[], false]);
  });

  it('says in the words of JSON Schema what the program takes', () => {
    const { rounds, scale, 'clipping-bound': bound, hyper, 'drop-fraction': fraction } = schema('run').properties;
    const { description: _, ...wanted } = rounds;
    assert.deepEqual(wanted, { type: 'integer', minimum: 1, maximum: 1_000_000 });
    assert.deepEqual(scale.enum, ['smoke', 'demo', 'full']);
    assert.deepEqual(bound.anyOf, [
      { type: 'number', exclusiveMinimum: 0 },
      { type: 'string', const: 'adaptive' },
    ]);
    assert.equal(hyper.type, 'object');
    assert.deepEqual([fraction.minimum, fraction.exclusiveMaximum], [0, 1]);
    for (const [key, { default: value }] of policyRows()) {
      const { type } = schema('policy').properties[key];
      const of = { number: ['number', 'integer'], boolean: ['boolean'], string: ['string', undefined] };
      if (value !== undefined) assert.ok((of[typeof value as keyof typeof of] as unknown[]).includes(type), key);
    }
  });

  it('is printed by starling schema', async () => {
    const { code, stdout } = await inProcess(['schema', 'policy']);
    assert.deepEqual([code, JSON.parse(stdout)], [0, JSON.parse(JSON.stringify(schema('policy')))]);
  });
});

describe('the completion of bash', () => {
  let folder: string;
  let script: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-completion-'));
    script = join(folder, 'starling.bash');
    await writeFile(script, completionScript(await createProgram(), 'bash'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** What bash offers for the last word. */
  const offered = async (...words: string[]) => {
    const driver = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _starling; echo "\${COMPREPLY[*]}"`;
    const { stdout } = await promisify(execFile)('bash', ['-uc', driver, 'bash', script, ...words]);
    return stdout.trim().split(' ').filter(Boolean);
  };

  it('offers the words that the command takes there', async () => {
    assert.deepEqual(await offered('starling', 'simu'), ['simulate']);
    assert.deepEqual(await offered('/usr/bin/starling', 'client', 'ch'), ['check-data']);
    assert.deepEqual(await offered('starling', 'client', 'check-data', 'x', '--wor'), ['--workload']);
    assert.deepEqual(await offered('starling', 'completion', ''), ['bash', 'zsh', 'fish', '--help']);
    assert.deepEqual(await offered('starling', 'simulate', '--seed', '1', '--rou'), ['--rounds']);
    assert.deepEqual(await offered('starling', 'run', 'start', '--rou'), []);
  });

  it('knows every command; zsh and fish are told the same', async () => {
    const paths: string[] = [];
    const walk = (command: Command, above: string) => {
      for (const one of command.commands) {
        paths.push(`${above} ${one.name()}`);
        walk(one, `${above} ${one.name()}`);
      }
    };
    walk(await createProgram(), 'starling');
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const text = completionScript(await createProgram(), shell);
      for (const path of paths) assert.ok(text.includes(`'${path}'`), `${shell}: ${path}`);
    }
  });
});

describe('starling init', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-init-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('writes a project whose files carry its name, and whose table, run and policy are taken', async () => {
    const project = join(folder, 'our-study');
    assert.equal((await inProcess(['init', project])).code, 0);
    const files = ['.gitignore', 'README.md', 'data', 'package.json', 'policy.yaml', 'run.yaml', 'tsconfig.json'];
    assert.deepEqual((await readdir(project)).sort(), [...files, 'workload.test.mjs', 'workload.ts']);
    const text = (name: string) => readFile(join(project, name), 'utf8');
    for (const name of ['README.md', 'policy.yaml', 'workload.ts']) {
      assert.ok(!/\bNAME\b/.test(await text(name)) && (await text(name)).includes('our-study'), name);
    }
    const { name, dependencies, devDependencies } = JSON.parse(await text('package.json'));
    const own = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    assert.equal(name, 'our-study');
    assert.deepEqual(dependencies, { 'starling-fl': own.version });
    assert.deepEqual(Object.keys(devDependencies), ['@types/node', 'typescript']);
    for (const kind of ['run', 'policy'] as const) {
      for (const key of Object.keys(parse(await text(`${kind}.yaml`)))) assert.ok(key in schema(kind).properties, key);
    }
    const workload = ['--workload', join(project, 'workload.ts')];
    const checked = await inProcess(['client', 'check-data', join(project, 'data'), ...workload]);
    assert.equal(checked.code, 0, checked.stderr);
  });

  it('writes over nothing', async () => {
    const project = join(folder, 'held');
    assert.equal((await inProcess(['init', project])).code, 0);
    await writeFile(join(project, 'workload.ts'), 'mine');
    const { code, stderr } = await inProcess(['init', project]);
    assert.equal(code, 2);
    assert.match(stderr, /^starling: NAME: expected a folder \S+held that is new or empty, got "\.gitignore"\n/);
    assert.equal(await readFile(join(project, 'workload.ts'), 'utf8'), 'mine');
  });
});
