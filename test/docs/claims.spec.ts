/**
 * The pages that promise something name, beside each claim, the test that tries to break it:
 * `(test: test/path/file.spec.ts, "its title")`, or several in one bracket, `; test: ...`. Here every such test is looked
 * for, and every claim without one is found.
 *
 * Each list item, table row and paragraph of these pages is a claim, except in the sections below, which promise nothing.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT } from '../e2e/support.js';

/** Sections that are no claims, by page and heading (`''`: above the first), and what they are. A new section is claims. */
const NO_CLAIMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'SECURITY.md': { Reporting: 'an address', 'What does not hold yet': 'the opposite of a claim' },
  'docs/privacy.md': {
    '': 'what the page is about',
    'In a run': 'how to: options and commands, which commands.spec.ts runs',
    'What does a run cost?': 'how to',
    'What ε means here': 'definitions',
    'Choosing a budget': 'advice',
    'What is not promised': 'the opposite of a claim',
  },
  'docs/secure-aggregation.md': {
    'Switching it on': 'how to: options and keys',
    'What is not promised': 'the opposite of a claim',
    'The five phases': 'how the protocol goes',
    Parameters: 'definitions',
    Cost: 'measurements of one machine, and how to take them again',
    'For those who embed it': 'how to',
  },
};

const PAGES = Object.keys(NO_CLAIMS);

interface Block {
  readonly heading: string;
  readonly text: string;
}

interface Marker {
  readonly path: string;
  readonly title: string;
}

/** Paragraphs, list items and rows of tables; headings, head rows, code and what only leads up to a list are none. */
function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  for (const part of markdown.replace(/^```.*?^```$/gms, '').split(/\n\s*\n/)) {
    const lines = part.split('\n').filter((line) => line.trim() !== '');
    const rule = lines.findIndex((line) => /^\|[\s:|-]+\|$/.test(line));
    const texts: string[] = [];
    for (const line of rule < 0 ? lines : lines.slice(rule + 1)) {
      const title = /^#{1,6}\s+(.*)$/.exec(line)?.[1];
      if (title !== undefined) heading = line.startsWith('# ') ? '' : title;
      else if (texts.length === 0 || /^(\s*[-*]|\s*\d+\.|\|)\s?/.test(line)) texts.push(line);
      else texts.push(`${texts.pop()} ${line.trim()}`);
    }
    for (const text of texts) if (!/^[^.]*:$/.test(text)) blocks.push({ heading, text });
  }
  return blocks;
}

function markersIn(text: string): Marker[] {
  const found = text.matchAll(/[(;] ?test:\s+(\S+),\s+"(.+?)"(?=[);])/g);
  return [...found].map(([, path, title]) => ({ path, title }));
}

/** What is wrong with a page, for whoever wrote it. @param readTest the source of a file under test/; undefined: none */
async function faultsOf(
  page: string,
  markdown: string,
  readTest: (path: string) => Promise<string | undefined>,
): Promise<string[]> {
  const faults: string[] = [];
  for (const { heading, text } of blocksOf(markdown)) {
    const markers = markersIn(text);
    const where = `${page}, "${heading}": ${text.slice(0, 70)}`;
    if (markers.length < text.split(/[(;] ?test:/).length - 1)
      faults.push(`${where}: a marker that is not (test: FILE, "title")`);
    if (markers.length === 0 && NO_CLAIMS[page]?.[heading] === undefined) faults.push(`${where}: names no test`);
    for (const { path, title } of markers) {
      const source = path.endsWith('.spec.ts') ? await readTest(path) : undefined;
      if (source === undefined) faults.push(`${where}: no file ${path}`);
      else if (!(await hasTest(source, title, path, readTest))) faults.push(`${where}: ${path} has no test "${title}"`);
    }
  }
  return faults;
}

/** Letters that a template must have of its own. */
const LEAST_OF_A_TITLE = 8;

/** Of a title that is cited by its beginning, as `mocha -g` finds it. */
const LEAST_OF_A_BEGINNING = 20;

/** A title as it stands in the source, or its beginning, or one that a template there becomes with words that stand there as well. */
async function hasTest(
  source: string,
  title: string,
  path: string,
  readTest: (path: string) => Promise<string | undefined>,
): Promise<boolean> {
  const imports = [...source.matchAll(/from '(\.\.?\/[^']+)\.js'/g)].map(([, name]) =>
    join(dirname(path), `${name}.ts`),
  );
  const read = await Promise.all(imports.filter((name) => name.startsWith('test/')).map(readTest));
  const known = [source, ...read].join('\n');
  const isTable = /\bit\(\s*[A-Za-z_]/.test(source);
  if (isTable && [`'${title}'`, `"${title}"`, `\`${title}\``].some((quoted) => known.includes(quoted))) return true;
  return [...source.matchAll(/\bit\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/gs)].some(([, quote, raw]) => {
    const written = raw.replace(/\\(['"`])/g, '$1');
    if (written === title || (title.length >= LEAST_OF_A_BEGINNING && written.startsWith(title))) return true;
    if (quote !== '`' || !written.includes('${')) return false;
    const parts = written.split(/\$\{[^}]*\}/);
    if (parts.join('').length < LEAST_OF_A_TITLE) return false; // anything would be a title
    const fixed = parts.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    // a hole may hold what stands between holes as well, such as a colon: the least that fits, then the most
    return ['(.+?)', '(.+)'].some((hole) => {
      const holes = new RegExp(`^${fixed.join(hole)}$`, 's').exec(title)?.slice(1);
      return holes?.every((word) => known.includes(word)) ?? false;
    });
  });
}

const readTest = (path: string) =>
  /^test\/[\w/.-]+\.ts$/.test(path) && !path.includes('..')
    ? readFile(join(ROOT, path), 'utf8').catch(() => undefined)
    : Promise.resolve(undefined);

describe('the claims of', () => {
  for (const page of PAGES) {
    it(`${page} each name a test that there is`, async () => {
      const faults = await faultsOf(page, await readFile(join(ROOT, page), 'utf8'), readTest);
      assert.deepEqual(faults, []);
    });

    it(`${page} are all but the sections that are said to be none, each of which is there`, async () => {
      const headings = new Set(blocksOf(await readFile(join(ROOT, page), 'utf8')).map(({ heading }) => heading));
      assert.deepEqual(
        Object.keys(NO_CLAIMS[page]).filter((heading) => !headings.has(heading)),
        [],
      );
    });
  }
});

describe('a page', () => {
  const source = [
    "it('holds', () => {}); for (const who of ['coordinator']) it(`is refused by $",
    '{who}`, () => {});',
  ].join('');
  const faults = (markdown: string) =>
    faultsOf('SECURITY.md', markdown, async (path) => (path === 'test/a.spec.ts' ? source : undefined));
  const page = (...lines: string[]) => `# Security\n\n## What holds today\n${lines.join('\n')}\n`;

  it('whose claims name their tests is right, also over two lines and by a template', async () => {
    const two = ['- One (test: test/a.spec.ts,', '  "holds").'];
    assert.deepEqual(await faults(page(...two, '- Two (test: test/a.spec.ts, "is refused by coordinator").')), []);
    assert.deepEqual(await faults(page('- One (test: test/a.spec.ts, "holds"; test: test/a.spec.ts, "holds").')), []);
    assert.deepEqual(await faults(`${page('- One (test: test/a.spec.ts, "holds").')}\n## Reporting\nTo us.\n`), []);
  });

  for (const [what, lines, fault] of [
    ['a claim without a test', ['- One (test: test/a.spec.ts, "holds").', '- Two.'], /- Two\.: names no test$/],
    ['a row without a test', ['| claim |', '| --- |', '| nothing leaks |'], /nothing leaks \|: names no test$/],
    ['a claim before what leads up to a list', ['Nothing leaks. For:', '', '- One.'], /leaks\. For:: names no test$/],
    ['a paragraph without a test', ['Nothing leaks.'], /Nothing leaks\.: names no test$/],
    ['a test in no file', ['- One (test: test/b.spec.ts, "holds").'], /no file test\/b\.spec\.ts$/],
    [
      'a test in a file that no test run takes',
      ['- One (test: test/support/toy.ts, "holds").'],
      /no file test\/support\/toy\.ts$/,
    ],
    ['a test that a file does not have', ['- One (test: test/a.spec.ts, "held").'], /has no test "held"$/],
    [
      'a second test that is not there',
      ['- One (test: test/a.spec.ts, "holds"; test: test/a.spec.ts, "held").'],
      /has no test "held"$/,
    ],
    [
      'a word that no template gets',
      ['- One (test: test/a.spec.ts, "is refused by me").'],
      /no test "is refused by me"$/,
    ],
    ['a marker of another form', ['- One (test: test/a.spec.ts).'], /a marker that is not \(test: FILE, "title"\)$/],
  ] as const) {
    it(`with ${what} is found`, async () => {
      assert.match((await faults(page(...lines))).join('\n'), new RegExp(fault.source, 'm'));
    });
  }
});

describe('a group of 50 out of 1,000 clients, 50 of them corrupt', () => {
  it('holds more corrupt clients than its part by the chances that docs/secure-aggregation.md states', () => {
    const choose = (n: number, k: number) =>
      Array.from({ length: k }, (_, i) => (n - i) / (i + 1)).reduce((a, b) => a * b, 1);
    const chance = (corrupt: number) => (choose(50, corrupt) * choose(950, 50 - corrupt)) / choose(1000, 50);
    const moreThan = (least: number) =>
      Array.from({ length: 50 - least }, (_, i) => chance(least + 1 + i)).reduce((a, b) => a + b, 0);
    assert.equal(moreThan(5).toFixed(2), '0.03');
    assert.equal((moreThan(10) * 100_000).toFixed(1), '1.4');
  });
});
