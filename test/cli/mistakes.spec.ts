/**
 * A user's mistake never shows a stack trace: each ends with 2 and says the field, what was expected, what came and what to
 * do next. Five hundred and more, from a fixed seed, in this process.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rngFromSeed } from '../../shared/rng.js';
import { inProcess } from '../support/in-process.js';
import { folderFor, MISTAKES } from './mistakes.js';

const SEED = Number(process.env.MISTAKES_SEED ?? 20261201);

/** Ours, and what commander says: the field, what was expected, what came. */
const FORMS = [
  /^starling: \S.*: expected .+, got .+/s,
  /^starling: \S+: unknown key ".*"; known are .+/s,
  /^starling: \S+: not YAML: .+/s,
  /^starling: \S+\.ts(:\d+){0,2}: .+/s, // a workload that does not compile, or throws when it is loaded: its own words
  /^error: unknown (option|command) '.*'/s,
  /^error: missing required argument '.+'/s,
  /^error: required option '.+' not specified/s,
  /^error: too many arguments.* Expected \d+ arguments? but got \d+/s,
  /^error: (option|command-argument value) '.*' (argument '.*' )?is invalid(?: for argument '.*')?\. (expected|Allowed choices are) .+/s,
];
/** What a program says when it fails, and not what it says of its input. */
const CRASH =
  /\n\s+at .+:\d+:\d+|Cannot read prop|is not a function|is not iterable|undefined \(|Maximum call stack|Invalid typed array/;

describe('a mistake on the command line', function () {
  this.timeout(120_000);
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'starling-mistakes-'));
  });
  after(() => rm(root, { recursive: true, force: true }));

  it('is made five hundred times', () => {
    assert.ok(MISTAKES.reduce((sum, [, count]) => sum + count, 0) >= 500);
  });

  for (const [kind, count, make] of MISTAKES) {
    it(`${kind}: ends with 2, and says field, expected, got and what next`, async () => {
      const wrong: string[] = [];
      for (let i = 0; i < count; i++) {
        const rng = rngFromSeed(SEED).split(`${kind}/${i}`);
        const args = await make(rng, await folderFor(root));
        const { code, stdout, stderr } = await inProcess(args);
        const isFormed =
          FORMS.some((form) => form.test(stderr)) &&
          !CRASH.test(stderr.replace(/got an error: .*/, '')) &&
          stderr.length < 5000;
        const hasNext = /\nnext: starling.* --help says what it takes\n$/.test(stderr);
        if (code === 2 && stdout === '' && isFormed && hasNext) continue;
        wrong.push(
          `${i}: starling ${JSON.stringify(args).slice(0, 300)}\n   ${code}: ${stdout.slice(0, 200)}${stderr.slice(0, 400)}`,
        );
      }
      assert.equal(wrong.length, 0, `seed ${SEED}: ${wrong.length} of ${count}\n${wrong.join('\n')}`);
    });
  }
});
