/**
 * The gallery on disk: `OUT/NAME.md`, `OUT/NAME/` with its pictures and results.json, and `OUT/README.md`, the list of all.
 * Run directories are read, results.json is kept, pages are made from it and can be made again without any run.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Manifest, Workload } from '../../client/workload.js';
import { listWorkloads, loadWorkload } from '../../client/workloads/index.js';
import { FlError } from '../../shared/errors.js';
import type { Report, RowName } from '../../shared/run/report.js';
import { type IndexEntry, indexOf } from './index-page.js';
import { pageName, pageOf } from './page.js';
import { enoughClients } from './private-rows.js';
import { type Picture, type Results, type RunFacts, type RunFiles, resultsOf } from './results.js';
import { checkPage } from './rules.js';

/** A page is looked at over a network, and a repository keeps its pictures for ever. */
const LARGE_BYTES = 300_000;
const TEXT_LINES = 40;

const ENDINGS: Readonly<Record<string, string>> = {
  'image/png': '.png',
  'image/jpeg': '.jpg',
  'image/gif': '.gif',
  'image/svg+xml': '.svg',
};

/** A page that was written. */
export interface MadePage {
  readonly page: string;
  /** What somebody should look at. */
  readonly warnings: readonly string[];
}

/**
 * Writes the page of a workload from run directories, one for each seed, and the list of all.
 * @throws FlError invalid-argument: a directory holds no finished run of this workload · failed-precondition: a page needs
 *   what the runs do not have (rules.ts); then nothing is written
 */
export async function makePage(workload: Workload, directories: readonly string[], out: string): Promise<MadePage> {
  const { manifest } = workload;
  const runs = await Promise.all(directories.map((directory) => readRunDirectory(directory, manifest.name)));
  const [first] = runs.toSorted((a, b) => a.report.seed - b.report.seed);
  const pictures = await picturesOf(first);
  const titles = pictures.map(({ file, title }) => ({ file, title }));
  const results = resultsOf(runs, { pictures: titles, texts: await textsOf(first), ...manifest });
  checkPage(manifest, results);
  const name = pageName(manifest.name);
  const folder = join(out, name);
  await rm(folder, { recursive: true, force: true }); // pictures that are made no more
  await mkdir(folder, { recursive: true });
  for (const { file, bytes } of pictures) await writeFile(join(folder, file), bytes);
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  const page = join(out, `${name}.md`);
  await writeFile(page, pageOf(manifest, results));
  await writeFile(join(out, 'README.md'), indexOf(await entriesIn(out)));
  return { page, warnings: warningsOf(pictures) };
}

/** Makes every page again from its results, and the list of all; returns the files' contents by name. */
export async function renderAll(out: string): Promise<Record<string, string>> {
  const entries = await entriesIn(out);
  const pages = entries.flatMap(({ manifest, results }) =>
    results === undefined ? [] : [[`${pageName(manifest.name)}.md`, checkedPage(manifest, results)] as const],
  );
  return { ...Object.fromEntries(pages), 'README.md': indexOf(entries) };
}

function checkedPage(manifest: Manifest, results: Results): string {
  checkPage(manifest, results);
  return pageOf(manifest, results);
}

/** The built-in workloads, in the order of the course, each with its results if there are any. */
async function entriesIn(out: string): Promise<IndexEntry[]> {
  const manifests = await Promise.all(listWorkloads().map(async (name) => (await loadWorkload(name)).manifest));
  return Promise.all(
    manifests.map(async (manifest) => {
      const results = await storedResults(out, manifest);
      return { manifest, results };
    }),
  );
}

async function storedResults(out: string, { name }: Manifest): Promise<Results | undefined> {
  const file = await readFile(join(out, pageName(name), 'results.json'), 'utf8').catch(() => undefined);
  return file === undefined ? undefined : (JSON.parse(file) as Results);
}

interface ReadRun extends RunFiles {
  readonly directory: string;
}

async function readRunDirectory(directory: string, workload: string): Promise<ReadRun> {
  const read = async <Content>(name: string) => {
    const file = await readFile(join(directory, name), 'utf8').catch((cause) => {
      throw new FlError('invalid-argument', `${directory}: expected a run directory, got no ${name}`, { cause });
    });
    return JSON.parse(file) as Content;
  };
  const report = await read<Report>('report.json');
  const facts = await read<RunFacts>('run.json');
  if (report.workload === workload) return { directory, report, facts, enough: await enoughIn(directory, report) };
  throw new FlError('invalid-argument', `${directory}: expected a run of ${workload}, got one of ${report.workload}`);
}

/** By row with privacy: clients that would be enough, from the specification of the run that it is. */
async function enoughIn(directory: string, { baselines, privacy }: Report): Promise<RunFiles['enough']> {
  const rows: (readonly [RowName, string])[] = [
    ...(privacy === null ? [] : [['federated', directory] as const]),
    ...(baselines.private?.privacy ? [['private', join(directory, 'private')] as const] : []),
    ...Object.entries(baselines.federated ?? {}).flatMap(([name, { privacy }]) =>
      privacy === null ? [] : [[`federated/${name}`, join(directory, 'federated', name)] as const],
    ),
  ];
  const found = rows.map(async ([row, folder]) => {
    const file = await readFile(join(folder, 'run.json'), 'utf8').catch(() => undefined);
    return [row, file === undefined ? undefined : enoughClients((JSON.parse(file) as RunFacts).spec)] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

type PictureFile = Picture & { readonly bytes: Uint8Array };

async function picturesOf({ directory, report }: ReadRun): Promise<PictureFile[]> {
  const pictures = report.artefacts.flatMap(({ path, mime, title }) => {
    if (!Object.hasOwn(ENDINGS, mime)) return [];
    const file = `${pageName(basename(path).replace(/\.[^.]*$/, ''))}${ENDINGS[mime]}`;
    return readFile(join(directory, path)).then((bytes) => ({ file, title, bytes }));
  });
  return Promise.all(pictures);
}

function warningsOf(pictures: readonly PictureFile[]): string[] {
  if (pictures.length === 0) return ['the run made no picture'];
  const large = pictures.filter(({ bytes }) => bytes.length > LARGE_BYTES);
  return large.map(({ file, bytes }) => `${file} has ${bytes.length} bytes; at most ${LARGE_BYTES}, please`);
}

async function textsOf({ directory, report }: ReadRun): Promise<Results['texts']> {
  const texts = report.artefacts.filter(({ mime }) => mime === 'text/plain');
  return Promise.all(
    texts.map(async ({ path, title }) => {
      const lines = (await readFile(join(directory, path), 'utf8')).trimEnd().split('\n');
      const more = lines.length > TEXT_LINES ? ['…'] : [];
      return { title, text: [...lines.slice(0, TEXT_LINES), ...more].join('\n') };
    }),
  );
}
