/** Two machines, as far as one has them: a coordinator for a public address, a lab that joins it, and their commands. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJoinToken } from '../../shared/join-token.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { succeed, withFolder } from './support.js';

describe('a coordinator for other machines', () => {
  it('listens by TLS, has a lab join it by its token alone, and gives its operator new authorities', () =>
    withFolder(async (folder) => {
      const dataDir = join(folder, 'coordinator');
      const operator = (...args: string[]) => succeed([...args, '--data-dir', dataDir], { cwd: folder });
      const children: Child[] = [];
      const start = (...args: string[]) => {
        const child = startChild(args, folder);
        children.push(child);
        return child;
      };
      const serve = ['coordinator', '--data-dir', dataDir, '--listen', '0.0.0.0:0', '--public-address', '127.0.0.2'];
      try {
        const first = start(...serve, '--log-level', 'warn');
        assert.match(await first.line(/listens on/), /by TLS; clients reach it at 127\.0\.0\.2:\d+, 127\.0\.0\.1:\d+$/);
        const token = (await operator('token', 'create', '--name', 'lab')).trim();
        const { address, others, authority } = decodeJoinToken(token);
        assert.match(address, /^127\.0\.0\.2:/);
        assert.deepEqual(others, [], "this machine's own address is of no use elsewhere");
        await start('client', 'run', '--join', token).line(/lab: connected/);
        const home = join(folder, 'clients', 'lab');
        assert.match(await readFile(join(home, 'certificate.pem'), 'utf8'), /^-----BEGIN CERTIFICATE-----/);
        const [only] = JSON.parse(await operator('authority', 'show', '--json'));
        assert.equal(only.sha256, authority);
        await first.end();
        await operator('authority', 'roll');
        const both = JSON.parse(await operator('authority', 'show', '--json'));
        assert.equal(both.length, 2);
        assert.equal(both[1].sha256, authority);
        await operator('authority', 'retire');
        assert.deepEqual(JSON.parse(await operator('authority', 'show', '--json')), [both[0]]);
      } finally {
        await Promise.all(children.map((child) => child.end()));
      }
    }));
});
