/**
 * `npm run gallery -- NAME`: runs a workload with several seeds, or reads runs that are there, and writes its page, its
 * pictures and the list of all. `npm run gallery -- --render` makes all pages again from the results that are kept.
 */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Workload } from '../client/workload.js';
import { FlError, invalidArgument } from '../shared/errors.js';
import { CLI } from '../simulations/local-process.js';
import { asWrongUse, exampleText, newRunDirectory, print } from './commands/options.js';

/** Rates and rounds of reference rows are chosen on what every row goes without. */
const HELD_OUT = ['--validation-fraction', '0.1'];

interface Options {
  readonly scale: string;
  readonly seeds: string;
  readonly from?: readonly string[];
  readonly out: string;
  readonly render?: boolean;
  readonly resume?: boolean;
}

const program = new Command('gallery')
  .description('the page of a workload, from runs with several seeds')
  .argument('[NAME]', 'a built-in workload or a file whose default export is one')
  .argument('[SIMULATE...]', 'after --: more options of starling simulate')
  .option('--scale <NAME>', 'smoke, demo or full', 'demo')
  .option('--seeds <LIST>', 'seeds of the runs', '1,2,3,4,5')
  .option('--from <DIR...>', 'make no run; read these run directories')
  .option('--out <DIR>', 'where the pages are', join('docs', 'workloads'))
  .option(
    '--resume',
    'run again only seeds whose code, data or settings have changed, and go on with what was interrupted',
  )
  .option('--render', 'make all pages again from the results that are kept beside them')
  .addHelpText('after', exampleText('npm run gallery -- cnn --resume'))
  .action(galleryAction);

async function galleryAction(name: string | undefined, more: readonly string[], options: Options): Promise<void> {
  const { makePage, renderAll } = await import('../simulations/gallery/make.js');
  if (options.render) {
    for (const [file, content] of Object.entries(await renderAll(options.out))) {
      await writeFile(join(options.out, file), content);
      print(join(options.out, file));
    }
    return;
  }
  if (name === undefined) throw invalidArgument('NAME', 'a workload', 'nothing');
  const { loadWorkload } = await import('../client/workloads/index.js');
  const workload = await loadWorkload(name).catch(asWrongUse);
  const directories = options.from ?? (await runSeeds(name, workload, options, more));
  const { page, warnings } = await makePage(workload, directories, options.out);
  for (const warning of warnings) print(`warning: ${warning}`);
  print(page);
}

/** One after another, each with the whole machine. Returns their run directories. */
async function runSeeds(
  name: string,
  workload: Workload,
  options: Options,
  more: readonly string[],
): Promise<string[]> {
  const seeds = options.seeds.split(',').map(Number);
  if (!seeds.every(Number.isSafeInteger)) throw invalidArgument('seeds', 'integers with commas between', options.seeds);
  const title = `gallery-${workload.manifest.name.replaceAll('/', '-')}`;
  const parent = options.resume ? join('starling-runs', title) : newRunDirectory(title, Date.now());
  const { keyOf } = await import('../simulations/gallery/key.js');
  const directories: string[] = [];
  for (const seed of seeds) {
    const chosen = ['--workload', name, '--scale', options.scale, '--baselines', 'tuned', '--seed', `${seed}`];
    const held = workload.validation === undefined && !more.includes('--validation-fraction') ? HELD_OUT : [];
    const args = [...chosen, ...held, ...more];
    const key = options.resume ? `-${await keyOf({ name, workload, scale: options.scale, seed, args })}` : '';
    const directory = join(parent, `seed${seed}${key}`);
    await starling(['simulate', ...args, '--out', directory]); // which does nothing where it is complete
    directories.push(directory);
  }
  print(`runs: ${directories.join(' ')}`);
  return directories;
}

async function starling(args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: 'inherit' });
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new FlError('aborted', `starling ${args.join(' ')} ended with ${code}`);
}

try {
  await program.parseAsync();
} catch (thrown) {
  const { code, message } = FlError.from(thrown);
  process.stderr.write(`gallery: ${message}\n`);
  process.exitCode = code === 'invalid-argument' ? 2 : 1;
}
