/** How heart reads and scales patients, with files that are made up; test/long/heart.long.ts does it with the real ones. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DATA_SETS, findData } from '../../../../client/data/index.js';
import { withReadings } from '../../../../client/data/readings.js';
import {
  FEATURES,
  HOSPITALS,
  type Patients,
  readHeart,
  uciCodes,
} from '../../../../client/workloads/heart/patients.js';
import { TEST_PATIENTS, TEST_PATIENTS_OF_COPY } from '../../../../client/workloads/heart/split.js';
import type { FlError } from '../../../../shared/errors.js';
import { rngFromSeed } from '../../../../shared/rng.js';

const WIDTH = FEATURES.length;
/** Of each hospital; every seventh line has a gap. */
const LINES = 420;

const failsWith = (code: FlError['code'], message: RegExp) => (thrown: FlError) =>
  thrown.code === code && message.test(thrown.message);

/** Of one feature of some patients. */
function spread(values: Float32Array, rows: readonly number[], at: number): [mean: number, deviation: number] {
  const column = rows.map((i) => values[i * WIDTH + at]);
  const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
  const squares = column.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return [mean, Math.sqrt(squares / (column.length - 1))];
}

const of = ({ hospitals }: Patients, hospital: number) =>
  [...hospitals.keys()].filter((i) => hospitals[i] === hospital);
const illOf = ({ ill }: Patients) => ill.reduce((sum, one) => sum + one, 0);

describe('the patients of heart, from files', () => {
  let folder: string;
  let uci: string;
  /** Patients without a gap, and who of them is ill. */
  let complete = 0;
  let ill = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-heart-'));
    uci = join(folder, 'uci');
    await mkdir(uci);
    const rng = rngFromSeed(1);
    for (const [hospital, name] of HOSPITALS.entries()) {
      const lines = Array.from({ length: LINES }, (_, i) => {
        const grade = rng.below(5);
        const hasGap = i % 7 === 0;
        if (!hasGap) complete += 1;
        if (!hasGap && grade > 0) ill += 1;
        const age = 40 + 10 * hospital + rng.below(20);
        const rest = [rng.below(2), 1 + rng.below(4), 120 + rng.below(30), hasGap ? '?' : 200 + rng.below(90)];
        const tail = [rng.below(2), rng.below(3), 150 + rng.below(30), rng.below(2), rng.below(40) / 10, '?', '?', '?'];
        return [age, ...rest, ...tail, grade].join(',');
      });
      await writeFile(join(uci, `processed.${name}.data`), `${lines.join('\n')}\n`);
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('are those without a gap; whoever is of any grade is ill; FLamby says who is tested', async () => {
    const { train, test } = await readHeart(uci);
    assert.equal(train.count + test.count, complete);
    assert.equal(illOf(train) + illOf(test), ill);
    assert.deepEqual(
      HOSPITALS.map((_, hospital) => of(test, hospital).length),
      HOSPITALS.map((name) => TEST_PATIENTS[name].length),
    );
  });

  it('are scaled by the training patients of their hospital, or of all, and by nobody who is tested', async () => {
    const { train } = await readHeart(uci);
    const isStandard = ([mean, deviation]: [number, number], what: string) => {
      assert.ok(Math.abs(mean) < 1e-5 && Math.abs(deviation - 1) < 1e-5, `${what}: ${mean}, ${deviation}`);
    };
    for (const [at, feature] of FEATURES.entries()) {
      isStandard(spread(train.pooled, [...train.hospitals.keys()], at), feature);
      for (const [hospital, name] of HOSPITALS.entries()) {
        isStandard(spread(train.own, of(train, hospital), at), `${feature} of ${name}`);
      }
    }
  });

  it('are refused in words where a file is not as UCI writes it', async () => {
    const path = join(uci, 'processed.va.data');
    const refuses = async (text: string, message: RegExp) => {
      await writeFile(path, text);
      await assert.rejects(readHeart(uci), failsWith('invalid-argument', message));
    };
    await refuses(
      '63,1,3,145,233,1,0,150,0,2.3,0,0,1,1\n57,0,0,120,354,0,1,163,1,0.6,2,0,2,1\n',
      /processed\.va\.data: line 2, chest pain: expected 1, 2, 3 or 4/,
    );
    await refuses('63,1,3\n', /line 1: expected 14 cells, got 3/);
    await refuses('63,1,1,145,233,1,2,150,0,2.3,3,0,6,none\n', /line 1.*expected a number, got "none"/);
  });

  it('of the copy are written in the codes of UCI: chest pain, ECG and diagnosis', () => {
    const line = (cp: number, ecg: number, diagnosis: number) =>
      `63,1,${cp},145,233,1,${ecg},150,0,2.3,0,0,1,${diagnosis}`;
    assert.deepEqual([line(0, 0, 0), line(1, 1, 1), line(2, 2, 1), line(3, 0, 0)].map(uciCodes), [
      line(4, 2, 1),
      line(2, 0, 0),
      line(3, 1, 0),
      line(1, 2, 1),
    ]);
    assert.equal(new Set(TEST_PATIENTS_OF_COPY).size, TEST_PATIENTS.cleveland.length);
  });

  it('of a copy that is not the listed one are refused, for what is coded otherwise cannot be seen', async () => {
    const [copy, message] = [join(folder, 'copy'), /heart_cleveland\.csv has another SHA-256.*starling data get heart/];
    await mkdir(copy);
    const { differs, files } = DATA_SETS.find(({ name }) => name === 'heart')!.copy!;
    for (const { name } of files) await writeFile(join(copy, name), 'age,sex\n');
    const { result, differences } = await withReadings(async () => findData('heart', { dataDir: copy, env: {} }));
    assert.deepEqual([result, differences], [copy, [differs]]);
    await assert.rejects(readHeart(copy), failsWith('corrupt', message));
    // UCI's own come first where both are
    const both = await withReadings(async () => findData('heart', { dataDir: uci, env: { STARLING_DATA_DIR: copy } }));
    assert.deepEqual([both.result, both.differences], [uci, []]);
  });
});
