/** The security log on a real disk: it grows in files of bounded size, and whoever changes it without the key is seen. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSecurityLog, readSecurityLog, type SecurityEvent } from '../../../server/audit/log.js';
import { identityFromSeed } from '../../../shared/signing/identity.js';
import { FakeClock } from '../../support/fake-clock.js';

const identity = identityFromSeed(new Uint8Array(32).fill(3));
const refused = (reason: string): SecurityEvent => ({ event: 'refused', peer: '10.0.0.9:1', reason });

describe('the security log', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-audit-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const open = (sizes = {}) => openSecurityLog(directory, { identity, clock: new FakeClock(), ...sizes });
  const file = (name = 'security-log.jsonl') => join(directory, name);
  async function reasons(key = identity.publicKey): Promise<string[]> {
    const found: string[] = [];
    for await (const { entry } of readSecurityLog(directory, key))
      if (entry.event === 'refused') found.push(entry.reason);
    return found;
  }

  it('goes on after a restart, in a file for its owner alone', async () => {
    await (await open()).add(refused('a'));
    await (await open()).add(refused('b'));
    assert.deepEqual(await reasons(), ['a', 'b']);
    assert.equal((await stat(file())).mode & 0o777, 0o600);
  });

  it('is cut into files of bounded size, of which the oldest go; the chain runs on', async () => {
    const log = await open({ fileBytes: 1_000, keptFiles: 3 });
    for (let i = 0; i < 40; i++) await log.add(refused(`${i}`));
    const names = (await readdir(directory)).sort();
    assert.equal(names.length, 4);
    for (const name of names) assert.ok((await stat(file(name))).size <= 1_000);
    const kept = await reasons();
    assert.deepEqual(
      kept,
      Array.from({ length: kept.length }, (_, i) => `${40 - kept.length + i}`),
    );
    const [oldest, middle] = names;
    await rm(file(middle));
    await assert.rejects(reasons(), new RegExp(`corrupt|${'previous'}`));
    assert.ok(oldest.startsWith('security-log.'));
  });

  it('shows every change: a word, a line that is gone, two that are swapped, one of another key', async () => {
    const log = await open();
    for (const reason of ['a', 'b', 'c']) await log.add(refused(reason));
    const text = await readFile(file(), 'utf8');
    const [a, b, c] = text.split('\n');
    const other = await mkdtemp(join(tmpdir(), 'starling-audit-'));
    await (
      await openSecurityLog(other, { identity: identityFromSeed(new Uint8Array(32)), clock: new FakeClock() })
    ).add(refused('a'));
    const forged = (await readFile(join(other, 'security-log.jsonl'), 'utf8')).trim();
    await rm(other, { recursive: true });
    const changes: [string[], number][] = [
      [[a, b.replace('"b"', '"x"'), c], 2],
      [[a, c], 2],
      [[b, a, c], 2],
      [[forged, b, c], 1],
      [[a, b, c.slice(0, -1)], 3],
    ];
    for (const [lines, at] of changes) {
      await writeFile(file(), `${lines.join('\n')}\n`);
      await assert.rejects(reasons(), new RegExp(`security-log.jsonl, line ${at}: `), lines.join('\n'));
    }
    await writeFile(file(), text);
    assert.deepEqual(await reasons(), ['a', 'b', 'c']);
  });
});
