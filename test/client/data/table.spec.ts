/** A site's table: what every program writes is read alike, and what is wrong is told by line and column. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTable } from '../../../client/workloads/index.js';

const COLUMNS = {
  age: { kind: 'number', min: 0, max: 130 },
  smoker: { kind: 'category', values: ['nein', 'früher', 'ja'] },
  note: { kind: 'text' },
} as const;

describe('a table of a site', () => {
  let folder: string;
  let file: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-table-'));
    file = join(folder, 'patients.csv');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const read = async (bytes: string | Uint8Array, options: { delimiter?: string } = {}) => {
    await writeFile(file, bytes);
    return readTable(file, { columns: COLUMNS, ...options });
  };
  const refused = async (bytes: string | Uint8Array, says: string) => {
    await assert.rejects(read(bytes), { code: 'invalid-argument', message: `${file}: ${says}` });
  };

  it('is the same with a byte order mark, CRLF, blank lines, spaces, other order and columns that nobody asked for', async () => {
    const expected = {
      count: 2,
      columns: { age: Float32Array.of(61, 4.5), smoker: Int32Array.of(1, 0), note: ['a, "b"\nc', ''] },
      missing: { age: 0, smoker: 0, note: 0 },
    };
    const plain = 'age,smoker,note\n61,früher,"a, ""b""\nc"\n4.5,nein,\n';
    assert.deepEqual(await read(plain), expected);
    assert.deepEqual(await read(`\ufeff${plain.replaceAll('\n', '\r\n')}\r\n\r\n`), expected);
    assert.deepEqual(await read(plain.trimEnd()), expected);
    assert.deepEqual(await read(plain.replaceAll('ü', 'u\u0308')), expected); // as macOS writes it
    const other = ' note ;id; smoker;"age"\n"a, ""b""\nc";1; früher ;\u00a06.1e1\n;2;nein;+4.50\n';
    assert.deepEqual(await read(other, { delimiter: ';' }), expected);
  });

  it('names line and column of a cell, after quoted line breaks too', async () => {
    const head = '\ufeffage,smoker,note\r\n40,ja,"two\r\nlines"\r\n\r\n'; // 4 lines
    await refused(`${head}12,ja,\r\nten,ja,\r\n`, 'line 6, column "age": expected a number, got "ten"');
    await refused(`${head}12,yes,\n`, 'line 5, column "smoker": expected one of nein, früher, ja, got "yes"');
    await refused(`${head}131,ja,\n`, 'line 5, column "age": expected at most 130, got "131"');
    await refused(`${head}-1,ja,\n`, 'line 5, column "age": expected at least 0, got "-1"');
    await refused(`${head}"1,5",ja,\n`, 'line 5, column "age": expected a number with a decimal point, got "1,5"');
    await refused(`${head}1e39,ja,\n`, 'line 5, column "age": expected a number that 32 bits hold, got "1e39"');
    for (const no of ['0x10', 'Infinity', '1_000', '1 000', '−5', '--1', '1e', '.']) {
      await refused(`${head}${no},ja,\n`, `line 5, column "age": expected a number, got "${no}"`);
    }
  });

  it('refuses a missing value, or counts what stands for it', async () => {
    const hint = 'a number (or `missing` in the workload, which says what stands for none)';
    for (const none of ['', ' ', '""', 'NA', 'n/a', 'NaN', 'null', '?']) {
      const got = JSON.stringify(none.replaceAll('"', '').trim());
      await refused(`age,smoker,note\n${none},ja,\n`, `line 2, column "age": expected ${hint}, got ${got}`);
    }
    await writeFile(file, 'age,smoker\n,ja\n7,\nNA,?\n');
    const { columns, missing } = await readTable(file, {
      columns: {
        age: { kind: 'number', missing: -1 },
        smoker: { kind: 'category', values: ['ja', 'unknown'], missing: 'unknown' },
      },
    });
    assert.deepEqual(columns, { age: Float32Array.of(-1, 7, -1), smoker: Int32Array.of(0, 1, 1) });
    assert.deepEqual(missing, { age: 2, smoker: 2 });
  });

  it('refuses what is no such table', async () => {
    await refused('', 'expected a row of column names and rows of data, got "an empty file"');
    await refused('age,note\n1,\n', 'line 1: expected a column "smoker", got age, note');
    await refused('age,age,smoker,note\n', 'line 1: expected each column name once, got "age"');
    await refused('age;smoker;note\n1;ja;\n', 'line 1: delimiter: expected ",", got ";"');
    await refused('age,smoker,note\n1,ja,\n2,ja\n', 'line 3: expected 3 cells, as in the first row, got 2');
    await refused('age,smoker,note\n1,ja,\n2,ja,,\n', 'line 3: expected 3 cells, as in the first row, got 4');
    await refused(
      'age,smoker,note\n1,ja,\n2,ja,"open\n3,ja,\n',
      'line 3: expected a closing quote, got the end of the file',
    );
    await refused(
      'age,smoker,note\n1,ja,\n2,ja,in"side\n',
      'line 3: expected quotes around a whole cell, and doubled inside one, got a quote is found on field 2, value is "in"',
    );
    await refused(
      Buffer.from('age,smoker,note\n1,fr\xfcher,\n', 'latin1'),
      'line 2: expected text in UTF-8, got another encoding (save it as "CSV UTF-8")',
    );
    await refused(Buffer.from('\ufeffage', 'utf16le'), 'expected text in UTF-8, got UTF-16 (save it as "CSV UTF-8")');
    const at = (path: string) => readTable(path, { columns: COLUMNS });
    await assert.rejects(at(folder), { message: `${folder}: expected a readable CSV file, got a folder` });
    await assert.rejects(at(`${file}x`), { message: `${file}x: expected a readable CSV file, got ENOENT` });
  });

  it('may have no rows', async () => {
    assert.deepEqual((await read('age,smoker,note\n')).columns.age, new Float32Array(0));
  });
});
