/** A service that has failed ends in bounded time, in words. */
import assert from 'node:assert/strict';
import { serve } from '../../../cli/commands/service.js';
import { diskError } from '../../../shared/disk/files.js';
import { FlError } from '../../../shared/errors.js';

const full = diskError('journal', Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));

describe('a service of the command line', () => {
  it('that has failed is closed once, and named when its machine is at fault', async () => {
    let stops = 0;
    const stop = async () => void stops++;
    await assert.rejects(serve({ done: Promise.reject(full), stop }, 'the coordinator of /x'), {
      code: 'resource-exhausted',
      message: 'the coordinator of /x cannot go on: journal: ENOSPC: no space left',
    });
    assert.equal(stops, 1);
  });

  it('ends with its own failure, whether closing hangs or fails as well', async () => {
    const failure = new FlError('permission-denied', 'the coordinator refused this client');
    for (const stop of [() => new Promise<void>(() => {}), () => Promise.reject(new Error('closing failed'))])
      await assert.rejects(serve({ done: Promise.reject(failure), stop }, 'x', 1), failure);
  });

  it('that was stopped has succeeded', async () => {
    await serve({ done: Promise.resolve(), stop: () => Promise.reject(new Error('not asked for')) }, 'x');
  });
});
