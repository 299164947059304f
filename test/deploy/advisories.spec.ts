/** `npm audit` as CI asks for it, of a registry on this machine that answers what a test wants. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT } from '../e2e/support.js';
import { type Advisories, advisoriesOf } from './advisories.js';

const AGAINST_TWEETNACL = {
  tweetnacl: [
    {
      ...{ id: 1, url: 'https://example.org/1', title: 'a test', severity: 'high', vulnerable_versions: '<=1.0.3' },
      ...{ cwe: [], cvss: { score: 0, vectorString: null } },
    },
  ],
};

/** The package, as a registry shows it: npm looks whether another version would do. */
const TWEETNACL = {
  ...{ name: 'tweetnacl', 'dist-tags': { latest: '1.0.3' } },
  versions: { '1.0.3': { name: 'tweetnacl', version: '1.0.3' } },
};

describe('what is known against the packages that users get', function () {
  this.timeout(60_000);
  let registry: Server;
  let url: string;
  let asked: Record<string, readonly string[]>;
  let answer: { readonly status: number; readonly body: unknown };

  beforeEach(async () => {
    asked = {};
    registry = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      if (request.method === 'POST') {
        const sent = Buffer.concat(parts);
        const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
        asked = JSON.parse(text.toString());
      }
      const { status, body } = request.method === 'POST' ? answer : { status: 200, body: TWEETNACL };
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    });
    registry.listen(0, '127.0.0.1');
    await once(registry, 'listening');
    url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/`;
  });

  afterEach(() => {
    registry.closeAllConnections();
    registry.close();
  });

  const ask = (): Promise<Advisories> => advisoriesOf('--registry', url);
  /** The code of the program that CI runs. */
  async function codeOfCi(): Promise<number> {
    const program = join(ROOT, 'dist', 'test', 'deploy', 'advisories.js');
    const child = spawn(process.execPath, [program, '--registry', url], { stdio: 'ignore' });
    const [code] = (await once(child, 'exit')) as [number];
    return code;
  }

  it('is nothing where a registry has nothing to say of any of them', async () => {
    answer = { status: 200, body: {} };
    assert.deepEqual(await ask(), { kind: 'clean' });
    assert.deepEqual(asked.tweetnacl, ['1.0.3'], 'it was asked');
    assert.equal(asked.mocha, undefined, 'users get none of what only development needs');
  });

  it('fails CI when there is something, by the name of the package', async () => {
    answer = { status: 200, body: AGAINST_TWEETNACL };
    assert.deepEqual(await ask(), { kind: 'found', packages: ['tweetnacl (high)'] });
    assert.equal(await codeOfCi(), 1);
  });

  it('is not known where no registry answers, which is said and is no failure', async () => {
    answer = { status: 405, body: {} };
    const { kind, reason } = (await ask()) as Extract<Advisories, { kind: 'unanswered' }>;
    assert.equal(kind, 'unanswered');
    assert.match(reason, /^405 Method Not Allowed/);
    assert.equal(await codeOfCi(), 0);
    registry.close();
    assert.equal((await ask()).kind, 'unanswered', 'nobody listens');
  });
});
