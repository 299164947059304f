/**
 * The commands of README.md and docs/ are run as they stand: each page's `sh` blocks, in order, by one shell in a fresh
 * folder. What a page asks of npm, git or the network is not run but compared with what it would reach.
 */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { DATA_SETS } from '../../client/data/index.js';
import { CLI } from '../../simulations/local-process.js';
import { ROOT, withFolder } from '../e2e/support.js';
import { blocksOf } from './page.js';
import { runShell } from './shell.js';

const {
  name: PACKAGE,
  scripts,
  ...installable
} = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
  name: string;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};
/** What a page may ask npm for: it is here, in the version that the tests know. */
const PACKAGES = Object.keys({ ...installable.dependencies, ...installable.devDependencies });
const NPM_BUILT_IN = ['ci', 'link'];

const pages = [
  'README.md',
  ...(await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

/** An HTTP CONNECT proxy to this machine, under each name and address that pages have for a coordinator's. */
const HUBS = ['hub.example.org', '192.0.2.10', '192.0.2.77', '192.0.2.99'];
let hub: string;

describe('the commands in', function () {
  this.timeout(900_000);
  const sockets = new Set<Duplex>();
  const proxy = createServer().on('connect', ({ url = '' }, socket) => {
    const [host, port] = url.split(':');
    if (!HUBS.includes(host)) return socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const onwards = connect(Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onwards.pipe(socket).pipe(onwards);
    });
    onwards.on('error', () => socket.destroy());
    socket.on('error', () => onwards.destroy());
    for (const one of [socket, onwards]) sockets.add(one.once('close', () => sockets.delete(one)));
  });

  before(async () => {
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    hub = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });

  after(() => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });

  for (const page of pages) {
    it(`${page} work as they stand`, async () => {
      const lines = commandsOf(await readFile(join(ROOT, page), 'utf8'));
      await withFolder(async (folder) => {
        for (const line of lines) if (line.startsWith('npm install ')) await install(folder, line.split(' ').slice(2));
        const { code, output } = await runScript(folder, lines.filter((line) => !isElsewhere(line)).join('\n'));
        assert.equal(code, 0, `${page}\n${output}`);
      });
      for (const line of lines.filter(isElsewhere))
        for (const part of line.split('&&')) assertReaches(part.trim(), page);
    });
  }

  it('this test would fail if a command did', () =>
    withFolder(async (folder) => {
      const { code, output } = await runScript(
        folder,
        commandsOf(
          '## Heading\n\n```sh\nstarling --version\n```\n\n```sh\nstarling flap\nstarling --version\n```',
        ).join('\n'),
      );
      assert.equal(code, 2);
      assert.match(output, /unknown command 'flap'/);
    }));
});

/** Lines of the `sh` blocks. */
function commandsOf(markdown: string): readonly string[] {
  return blocksOf(markdown).flatMap(({ lines }) => lines);
}

/** Needs the network, or changes this checkout. */
function isElsewhere(line: string): boolean {
  return /^(npm|git clone|cd starling\b|starling data get)\b/.test(line);
}

function assertReaches(command: string, page: string): void {
  const [program, verb, ...rest] = command.replace(/\s+#.*$/, '').split(/\s+/);
  if (program === 'npm' && verb === 'install') {
    const unknown = rest.filter((name) => ![PACKAGE, ...PACKAGES].includes(name));
    return assert.ok(rest.length > 0 && unknown.length === 0, `${page}: ${command}`);
  }
  if (program === 'npm') {
    const script = verb === 'run' ? rest[0] : verb;
    return assert.ok(
      NPM_BUILT_IN.includes(script) || script in scripts,
      `${page}: package.json has no script "${script}"`,
    );
  }
  if (program === 'starling') {
    const set = DATA_SETS.find(({ name }) => name === rest[1]);
    return assert.equal(set?.how.kind, 'download', `${page}: ${command}`);
  }
  assert.match(command, /^git clone https:\/\/\S+$|^cd starling$/, page);
}

/** As npm would, of what this checkout has. */
async function install(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names.filter((one) => PACKAGES.includes(one))) {
    const path = join(folder, 'node_modules', name);
    await mkdir(dirname(path), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), path);
  }
}

/** In `folder`, where this package is installed as npm would: its program in PATH and in node_modules. */
async function runScript(folder: string, script: string): Promise<{ code: number | null; output: string }> {
  const bin = join(folder, 'node_modules', '.bin');
  await mkdir(bin, { recursive: true });
  await symlink(ROOT, join(folder, 'node_modules', PACKAGE));
  await writeFile(join(bin, 'starling'), `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`, { mode: 0o755 });
  const env = {
    ...process.env,
    // the machine that pages call by this name is this one
    https_proxy: hub,
    PATH: `${bin}:${process.env.PATH}`,
    HOME: folder,
    STARLING_HOME: join(folder, '.starling'),
  };
  return runShell(script, { cwd: folder, env });
}
