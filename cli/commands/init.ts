/**
 * `starling init NAME`: a project of the user's own, outside this package: a workload with its test, a table, a run and a
 * policy. It is docs/examples/project with the name put in, so that what people begin with is what our tests run.
 */
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { command, print } from './options.js';

/** The package's own folder, seen from dist/cli/commands. */
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url));
/** What npm takes for a package, and a plan for a workload. */
const NAME = /^[a-z][a-z0-9._-]{0,99}$/;

/** Writes nothing into a folder that holds something. */
export function initCommand(): Command {
  return command('init', 'begin a project with a workload of your own', 'starling init our-study')
    .argument('NAME', 'of the workload, and of the new folder')
    .action(initAction);
}

async function initAction(folder: string): Promise<void> {
  const name = basename(folder);
  if (!NAME.test(name))
    throw invalidArgument('NAME', 'a small letter, then small letters, digits, dots and dashes', name);
  const held = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    throw new FlError('invalid-argument', `NAME: ${folder}: expected a new folder, got ${cause.code}`, { cause });
  });
  if (held.length > 0) throw invalidArgument('NAME', `a folder ${folder} that is new or empty`, held[0]);
  await mkdir(folder, { recursive: true });
  await cp(join(PACKAGE, 'docs', 'examples', 'project'), folder, { recursive: true });
  for (const file of ['workload.ts', 'policy.yaml', 'README.md']) {
    const text = await readFile(join(folder, file), 'utf8');
    await writeFile(join(folder, file), text.replace(/\bNAME\b/, name));
  }
  const manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Manifest;
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifestOf(name, manifest), null, 2)}\n`);
  await writeFile(join(folder, '.gitignore'), 'node_modules/\nstarling-runs/\n'); // npm would leave it out of our package
  print(`${folder}: now cd ${folder}, npm install, npm test, npx starling simulate run.yaml`);
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly engines: object;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The versions are those that this very package is built and tested with. */
function manifestOf(name: string, { name: own, version, engines, devDependencies }: Manifest): object {
  return {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    engines,
    scripts: { test: 'node --test', types: 'tsc' },
    dependencies: { [own]: version },
    devDependencies: { '@types/node': devDependencies['@types/node'], typescript: devDependencies.typescript },
  };
}
