import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { judgeOwner, lockDirectory } from '../../../shared/disk/lock.js';

const LOCK_MODULE = new URL('../../../shared/disk/lock.js', import.meta.url).href;

describe('lock', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'starling-lock-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const refuses = (message: RegExp) =>
    assert.throws(
      () => lockDirectory(directory),
      (error: Error & { code?: string }) => error.code === 'already-exists' && message.test(error.message),
    );

  it('admits one holder at a time and leaves no file behind', () => {
    const release = lockDirectory(directory);
    refuses(new RegExp(`process ${process.pid} holds it`));
    release();
    const again = lockDirectory(directory);
    release(); // giving back twice must not free the next holder's lock
    refuses(/holds it/);
    again();
    assert.deepEqual(readdirSync(directory), []);
  });

  it('is taken over from a process that was killed, not from one that lives', async () => {
    const script = `import { lockDirectory } from ${JSON.stringify(LOCK_MODULE)};
      lockDirectory(${JSON.stringify(directory)}); console.log('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    refuses(new RegExp(`process ${child.pid} holds it`));
    child.kill('SIGKILL');
    await once(child, 'exit');
    lockDirectory(directory)();
    assert.deepEqual(readdirSync(directory), []);
  });

  it('refuses an owner on another host and names the file to delete', () => {
    const release = lockDirectory(directory);
    const path = join(directory, 'lock');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), host: 'elsewhere', nonce: 'x' }));
    release();
    assert.ok(existsSync(path));
    refuses(/on elsewhere holds it; if that one is gone, delete .*lock$/);
  });

  it('refuses while another process takes a dead lock over', () => {
    writeFileSync(join(directory, 'lock'), '{}');
    writeFileSync(join(directory, 'lock.evict'), '');
    refuses(/another process is taking it over; if none is, delete .*lock\.evict$/);
  });

  it('tells a living owner from a dead one and from a later process with the same pid', () => {
    const self = { host: 'a', bootId: 'b', pid: 7, startTicks: '70' };
    const owner = { host: 'a', bootId: 'b', pid: 5, startTicks: '50', nonce: 'n' };
    const running = (ticks?: string) => () => ticks;
    assert.equal(judgeOwner(owner, self, running('50')), 'alive');
    assert.equal(judgeOwner(owner, self, running(undefined)), 'dead');
    assert.equal(judgeOwner(owner, self, running('51')), 'dead');
    assert.equal(judgeOwner({ ...owner, bootId: 'earlier' }, self, running('50')), 'dead');
    assert.equal(judgeOwner({ ...owner, host: 'elsewhere' }, self, running('50')), 'unknown');
  });
});
