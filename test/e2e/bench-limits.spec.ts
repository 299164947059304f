/** A benchmark that needs more descriptors than there are says so before it begins. */
import assert from 'node:assert/strict';
import { starling, withFolder } from './support.js';

describe('starling bench tls', () => {
  it('is refused where it may not open as many files as it has clients, with what to do', () =>
    withFolder(async (cwd) => {
      const about = { cwd, via: ['prlimit', '--nofile=512:512'] };
      const { code, stderr } = await starling(['bench', 'tls', '--active', '300', '--idle', '2000'], about);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /bench tls: expected open files for 2300 connections, got \d+; next: raise .*ulimit -n/);
      assert.doesNotMatch(stderr, /\n {4}at /);
    }));
});
