/**
 * Mistakes that a user may make on the command line, made from a seed: misspelt words, wrong values, and files that are not
 * what they should be. Each is one for certain, so that whoever takes it for right is wrong.
 */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { createProgram } from '../../cli/program.js';
import { POLICY_KEYS } from '../../client/policy/table.js';
import type { Rng } from '../../shared/rng.js';
import { SETTINGS } from '../../shared/run/settings.js';

/** Makes the arguments of a command that must be refused. `folder` is for its files. */
export type Mistake = (rng: Rng, folder: string) => Promise<readonly string[]> | readonly string[];

const pick = <T>(rng: Rng, items: readonly T[]): T => items[rng.below(items.length)];

const JUNK = [
  ...[
    '',
    ' ',
    'x',
    '-',
    '--',
    'null',
    'true',
    'NaN',
    'Infinity',
    '-Infinity',
    '1e999',
    '-1',
    '1.5',
    '0x10',
    '1,5',
    '1_000',
  ],
  ...[
    '٣',
    'é',
    '\u202e',
    '\u0000',
    '../..',
    '{}',
    '[]',
    '[1',
    '"',
    "'",
    '%s',
    '$HOME',
    '__proto__',
    'constructor',
    'toString',
  ],
  ...[
    'hasOwnProperty',
    'a'.repeat(5000),
    '9'.repeat(400),
    'trimmed-mean:',
    'dirichlet:',
    'dirichlet:-1',
    'shards:0',
    'fedadam:',
  ],
  ...[
    'fedadam:lr',
    'fedadam:lr=',
    'fedadam:lr=x',
    'fedadam:lr=1,lr=2',
    'top-k:',
    'top-k:0',
    'top-k:2',
    'fedavg:lr=0',
    'iid:1',
  ],
];
/** For YAML, where a value has a type. */
const VALUES = [
  ...JUNK,
  null,
  true,
  -1,
  0,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  [],
  [1],
  {},
  { a: 1 },
  [[]],
  [null],
  2 ** 60,
];

/** One character less, more, another, or two changed about; never the word itself. */
function misspelt(rng: Rng, word: string): string {
  const at = rng.below(word.length);
  const letter = 'abcdefghijklmnopqrstuvwxyz0'[rng.below(27)];
  const other = pick(rng, [
    word.slice(0, at) + word.slice(at + 1),
    word.slice(0, at) + letter + word.slice(at),
    word.slice(0, at) + letter + word.slice(at + 1),
    word.slice(0, at) + (word[at + 1] ?? '') + word[at] + word.slice(at + 2),
    word.toUpperCase(),
    word.replaceAll('-', '_'),
  ]);
  return other === word ? `${word}x` : other;
}

interface Place {
  readonly path: readonly string[];
  readonly command: Command;
}

function placesOf(command: Command, path: readonly string[] = []): Place[] {
  return [{ path, command }, ...command.commands.flatMap((one) => placesOf(one, [...path, one.name()]))];
}

const PLACES = placesOf(await createProgram());
const LEAVES = PLACES.filter(({ command }) => command.commands.length === 0);
const GROUPS = PLACES.filter(({ command }) => command.commands.length > 0);

const unknownOption: Mistake = (rng) => {
  const { path, command } = pick(rng, LEAVES);
  const known = ['--help', ...command.options.map(({ long }) => long!)];
  const word = `--${misspelt(rng, pick(rng, known).slice(2))}`;
  return [...path, known.includes(word) ? '--no-such-thing' : word];
};

const unknownCommand: Mistake = (rng) => {
  const { path, command } = pick(rng, GROUPS);
  const known = ['help', ...command.commands.map((one) => one.name())];
  const word = misspelt(rng, pick(rng, known)).replace(/^-+/, '') || 'x';
  return [...path, known.includes(word) ? 'no-such-thing' : word];
};

const excess: Mistake = (rng) => {
  const { path, command } = pick(rng, LEAVES);
  const required = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long!, '1']);
  return [...path, ...required, 'one', 'two', 'three'];
};

/** Settings that hold any text, or name a place. */
const FREE = ['out', 'workload', 'secure-aggregation', 'secret-noise', 'hyper'];
const SIMULATE = ['simulate', '--workload', 'cnn', '--scale', 'smoke'];

const wrongValue: Mistake = (rng) => {
  const keys = Object.keys(SETTINGS).filter((key) => !FREE.includes(key)) as (keyof typeof SETTINGS)[];
  for (;;) {
    const key = pick(rng, keys);
    const value = pick(rng, JUNK);
    const { schema } = SETTINGS[key];
    const asNumber = value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value;
    const isText = schema.safeParse('some text').success;
    if (!isText && schema.safeParse(asNumber).success) continue; // right, as it happens
    return [...SIMULATE, `--${key}`, value];
  }
};

const wrongHyper: Mistake = (rng) => [
  ...SIMULATE,
  '--hyper',
  pick(rng, [...JUNK, 'filters=many', '=1', 'x=1', 'filters=', '__proto__=1']),
];
const wrongWorkload: Mistake = (rng) => {
  const [value, ...rest] = [pick(rng, ['simulate', 'workloads', 'client check-data .']), ...JUNK];
  return value === 'workloads' ? ['workloads', pick(rng, rest)] : [...value.split(' '), '--workload', pick(rng, rest)];
};

const wrongElsewhere: Mistake = (rng) => {
  const junk = pick(
    rng,
    JUNK.filter((text) => !Number.isFinite(Number(text)) || Number(text) < 0),
  );
  const privacy = (over: object) => {
    const options = { 'noise-multiplier': '1', steps: '10', delta: '1e-5', 'sampling-rate': '0.1', ...over };
    return ['privacy', 'epsilon', ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, value])];
  };
  return pick(rng, [
    ...['noise-multiplier', 'steps', 'delta', 'sampling-rate'].map((key) => privacy({ [key]: junk })),
    ['token', 'create', '--name', 'x', '--expires', junk],
    ['token', 'create', '--name', 'x', '--uses', junk],
    ['client', 'run', '--slice', junk],
    ['client', 'join', junk],
    ['client', 'join', `starling1.${junk}`],
    ['client', 'join', `starling1.${Buffer.from(junk).toString('base64url')}`],
    ['coordinator', '--log-level', junk],
    ['coordinator', '--config', `/no-such-folder/${junk.replaceAll('\0', '')}`],
    ['data', 'get', junk],
    ['bench', junk],
    ['schema', junk],
    ['completion', junk],
    ['init', `${junk.replaceAll('/', '')}!`],
  ]);
};

const RUN = { workload: 'cnn', scale: 'smoke', cohort: 3, rounds: 2 };
const POLICY = { workloads: ['cnn'], 'min-cohort': 3, 'max-epsilon': 10 };
const CONFIG = { listen: '127.0.0.1:0', 'log-level': 'warn' };

async function fileOf(folder: string, name: string, text: string | Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(folder, 'f')), name);
  await writeFile(path, text);
  return path;
}

/** The command that reads a file of such keys. */
const readers = (path: string, run: string): Readonly<Record<'run' | 'policy' | 'config', readonly string[][]>> => ({
  run: [
    ['simulate', path],
    ['run', 'start', path],
    ['client', 'policy', 'check', path],
  ],
  policy: [['client', 'policy', 'check', run, '--policy', path]],
  config: [['coordinator', '--config', path]],
});

const wrongKey: Mistake = async (rng, folder) => {
  const [kind, good] = pick(rng, [
    ['run', RUN],
    ['policy', POLICY],
    ['config', CONFIG],
  ] as const);
  const entries = Object.entries(good);
  const at = rng.below(entries.length);
  const key = misspelt(rng, entries[at][0]);
  entries[at] = [key in good ? 'no-such-key' : key, entries[at][1]];
  const path = await fileOf(folder, 'file.yaml', stringify(Object.fromEntries(entries)));
  return pick(rng, readers(path, await fileOf(folder, 'run.yaml', stringify(RUN)))[kind]);
};

const wrongYamlValue: Mistake = async (rng, folder) => {
  const [kind, good, table] = pick(rng, [
    ['run', RUN, SETTINGS],
    ['policy', POLICY, POLICY_KEYS],
  ] as const);
  const rows = Object.entries(table).filter(([key]) => !FREE.includes(key));
  for (;;) {
    const [key, { schema }] = pick(rng, rows);
    const value = pick(rng, VALUES);
    if (schema.safeParse(value).success || (value === null && schema.safeParse(undefined).success)) continue;
    const path = await fileOf(folder, 'file.yaml', stringify({ ...good, [key]: value }));
    return pick(rng, readers(path, await fileOf(folder, 'run.yaml', stringify(RUN)))[kind]);
  }
};

/** Ten levels of ten references: 10^10 items. */
const BOMB = Array.from(
  { length: 10 },
  (_, i) =>
    `a${i}: &a${i} [${Array(10)
      .fill(i === 0 ? 'x' : `*a${i - 1}`)
      .join(', ')}]`,
);

const noYaml: Mistake = async (rng, folder) => {
  const text = pick<string | Uint8Array>(rng, [
    ...[
      'workload: [cnn',
      'workload: cnn\nworkload: cnn',
      '- cnn',
      '42',
      '"text"',
      '\tworkload: cnn',
      'workload: "cnn',
      '%YAML 9',
    ],
    ...[
      'workload: *nowhere',
      '? [a]: b\n: c',
      '--- 1\n--- 2',
      'workload: !!js/function x',
      '{"workload": ',
      '\0',
      BOMB.join('\n'),
    ],
    ...[
      '[1, 2]: 3',
      '<<: 1',
      'workload: cnn\n  scale: smoke',
      '&a [*a]',
      'null: 1',
      '__proto__: {workload: cnn}',
      'toString: 1',
    ],
    rng.bytes(64),
    Buffer.from('workload: cnn', 'utf16le'),
  ]);
  const path = await fileOf(folder, 'file.yaml', text);
  const kind = pick(rng, ['run', 'policy', 'config'] as const);
  const all = readers(path, await fileOf(folder, 'run.yaml', stringify(RUN)));
  return pick(rng, all[kind]);
};

const noFile: Mistake = async (rng, folder) => {
  const path = pick(rng, [
    folder,
    join(folder, 'none'),
    join(folder, 'none', 'none'),
    '',
    `${folder}\0`,
    'x'.repeat(5000),
  ]);
  const run = await fileOf(folder, 'run.yaml', stringify(RUN));
  return pick(rng, [
    ...Object.values(readers(path, run)).flat(),
    [...SIMULATE, '--initial-model', path],
    [...SIMULATE, '--initial-model', run, '--initial-model-names', path],
    ['simulate', '--workload', `${path}/x.ts`],
    ['client', 'check-data', `${path}/no`, '--workload', 'cnn'],
    ['client', 'policy', 'check', run, '--workload', `${path}/x.ts`],
  ]);
};

const noModel: Mistake = async (rng, folder) => {
  const header = (value: unknown) => {
    const json = Buffer.from(JSON.stringify(value));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, rng.bytes(16)]);
  };
  const tensor = { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] };
  const bytes = pick<Uint8Array>(rng, [
    new Uint8Array(),
    rng.bytes(1 + rng.below(200)),
    new Uint8Array(8).fill(255),
    header(pick(rng, VALUES)),
    header({ x: pick(rng, VALUES) }),
    header({ x: tensor }),
    header({ x: { ...tensor, [pick(rng, Object.keys(tensor))]: pick(rng, VALUES) } }),
    header({ 'conv1/kernel': tensor }).subarray(0, 8 + rng.below(60)),
  ]);
  return [...SIMULATE, '--initial-model', await fileOf(folder, 'model.safetensors', bytes)];
};

const PROJECT = fileURLToPath(new URL('../../../docs/examples/project/', import.meta.url));
const TABLE = await readFile(join(PROJECT, 'data', 'samples.csv'), 'utf8');
const WORKLOAD = await readFile(join(PROJECT, 'workload.ts'), 'utf8');

const wrongTable: Mistake = async (rng, folder) => {
  const lines = TABLE.trimEnd().split('\n');
  const at = 1 + rng.below(lines.length - 1);
  const cells = lines[at].split(',');
  const cell = rng.below(cells.length);
  const junk = pick(rng, [
    ...['', ' ', 'NA', 'x', '1e999', '1,5', 'Infinity', '٣', '\u0000', '"', 'a"b', '1;2', 'null', '−1'],
    'x'.repeat(5000),
  ]);
  const withCell = cells.map((old, i) => (i === cell ? junk : old)).join(',');
  const bytes = pick<string | Uint8Array>(rng, [
    ...[withCell, withCell, withCell, cells.slice(1).join(','), `${lines[at]},1`, `"${lines[at]}`].map((line) => {
      return lines.with(at, line).join('\n');
    }),
    lines
      .with(
        0,
        lines[0]
          .split(',')
          .map((name, i) => (i === cell ? misspelt(rng, name) : name))
          .join(','),
      )
      .join('\n'),
    lines.with(0, lines[0].replaceAll(',', ';')).join('\n'),
    lines[0],
    '',
    rng.bytes(200),
    Buffer.from(TABLE, 'utf16le'),
    Buffer.concat([Buffer.from(`${lines[0]}\n1,1,`), Buffer.of(0xff), Buffer.from(',1\n')]),
  ]);
  const path = await fileOf(folder, 'samples.csv', bytes);
  return ['client', 'check-data', dirname(path), '--workload', join(PROJECT, 'workload.ts')];
};

/** What is put in place of what: each makes a workload that cannot be one. */
const BROKEN: readonly (readonly [from: string | RegExp, to: string])[] = [
  ...['manifest', 'init', 'load', 'examples', 'batch', 'loss', 'metrics'].map((name) => {
    return [new RegExp(`^ {2}${name}:`, 'm'), `  ${name}s:`] as const;
  }),
  ...['name', 'topic', 'paper', 'data', 'privacyUnits', 'headline', 'scales'].map((name) => {
    return [new RegExp(`^ {4}${name}:`, 'm'), `    ${name}s:`] as const;
  }),
  ...['smoke', 'demo', 'full'].map((name) => [new RegExp(`^ {6}${name}:`, 'm'), `      ${name}s:`] as const),
  ...['export const other =', 'export default 42 ||', 'throw new Error("boom"); export default', '@#$'].map((to) => {
    return ['export default', to] as const;
  }),
  ["from 'starling-fl'", "from 'starling-flap'"],
  ["from 'node:path'", "from './no-such-file.js'"],
  ["import { join } from 'node:path';", ''],
  ['init: () => ({', 'init: () => { throw new Error("boom"); }, other: () => ({'],
  ['init: () => ({', 'init: () => null, other: () => ({'],
  ['init: () => ({', 'init: () => ({}), other: () => ({'],
  ['kernel: { shape: [FEATURES, 1]', 'kernel: { shape: [FEATURES, 2]'],
  ['kernel: { shape: [FEATURES, 1]', 'kernel: { shape: ["x"]'],
  ['data: new Float32Array(FEATURES)', 'data: null'],
  ['clients: 3, cohort: 3, rounds: 20', 'clients: "x", cohort: 3, rounds: 20'],
  ['clients: 3, cohort: 3, rounds: 20', 'clients: 3, cohort: 3, rounds: -1'],
  ["rounds: 20, partition: 'iid'", "rounds: 20, partition: 'thirds'"],
  ["rounds: 20, partition: 'iid'", 'rounds: 20, partition: 3'],
  ['batchSize: 10', 'batchSize: 0'],
  ['clientLr: 0.1', 'clientLr: "fast"'],
  [/load: async \(.*$/m, '$& throw new Error("boom");'],
  [/load: async \(.*$/m, '$& return undefined;'],
  [/load: async \(.*$/m, '$& throw "a text";'],
  ["join(dataDir, 'samples.csv')", "join(dataDir, 'other.csv')"],
  ['count: train.y.length', 'count: 0'],
  ['count: train.y.length', 'count: train.y.length + 100'],
  ['count: train.y.length', 'count: Number.NaN'],
  ['count: train.y.length', 'count: 3, labels: [1]'],
  ['examples: ({ train, test }) =>', 'examples: () => null, other: ({ train, test }) =>'],
  ['const { x, y } = data[split];', 'throw new Error("boom");'],
  ['const { x, y } = data[split];', 'return null;'],
  ['const { x, y } = data[split];', 'const { x, y } = data.none;'],
  ['x: tf.tensor2d(rows, [indices.length, FEATURES])', 'x: tf.scalar(1)'],
  ['x: tf.tensor2d(rows, [indices.length, FEATURES])', 'x: [1, 2]'],
  ['error: { sum:', 'error: { sums:'],
  ['count: batch.y.shape[0]', 'count: Number.NaN'],
  ['metrics: (params, batch) =>', 'metrics: () => { throw new Error("boom"); }, other: (params, batch) =>'],
];

const wrongModule: Mistake = async (rng, folder) => {
  const [from, to] = pick(rng, BROKEN);
  const source = WORKLOAD.replace(from, to);
  if (source === WORKLOAD) throw new Error(`the example holds no ${from}`);
  const path = await fileOf(folder, 'workload.ts', source);
  return ['client', 'check-data', join(PROJECT, 'data'), '--workload', path];
};

/** By kind, with how many of it are made. */
export const MISTAKES: readonly (readonly [kind: string, count: number, make: Mistake])[] = [
  ['an unknown option', 60, unknownOption],
  ['an unknown command', 30, unknownCommand],
  ['too many words', 30, excess],
  ['a wrong value of a setting', 110, wrongValue],
  ['a wrong setting of the workload', 20, wrongHyper],
  ['a workload that is none', 20, wrongWorkload],
  ['a wrong value of another option', 50, wrongElsewhere],
  ['a misspelt key', 40, wrongKey],
  ['a key with a wrong value', 70, wrongYamlValue],
  ['a file that is no YAML', 40, noYaml],
  ['no file', 30, noFile],
  ['a file that is no model', 30, noModel],
  ['a table that is not as the workload says', 50, wrongTable],
  ['a file that is no workload', 60, wrongModule],
];

/** A folder of one mistake's own. */
export async function folderFor(root: string): Promise<string> {
  await mkdir(root, { recursive: true });
  return mkdtemp(join(root, 'mistake-'));
}
