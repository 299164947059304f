/** What every call over gRPC has: an end by a status, a session of its form, a writer that waits. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { writeOrWait } from '../../server/grpc/call.js';
import { UPDATE } from './fake-coordinator.js';
import { bytes, eachLink, hasCode } from './fixture.js';

describe('a call', () => {
  const link = eachLink();

  it('that meets a fault of the program tells the operator of it, and the caller only that there was one', async () => {
    const fault = new TypeError('/srv/starling: undefined');
    link.admin.listRuns = async () => {
      throw fault;
    };
    await assert.rejects(
      link.operator.listRuns(),
      hasCode('internal', /^a fault of the coordinator; its log says more$/),
    );
    assert.deepEqual(link.faults, [[fault, 'ListRuns']]);
  });

  it('has a session of 32 bytes', async () => {
    const message = /expected 64 hex digits/;
    for (const length of [31, 33]) {
      await assert.rejects(link.client.uploadStatus(bytes(length), UPDATE), hasCode('permission-denied', message));
    }
  });

  it('writes on when there is room, and not to one that has left', async () => {
    for (const [event, isRead] of [
      ['drain', true],
      ['cancelled', false],
    ] as const) {
      const call = Object.assign(new EventEmitter(), { cancelled: false, write: () => false });
      let isDone = false;
      const written = writeOrWait(call, bytes(1)).finally(() => {
        isDone = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(isDone, false);
      call.cancelled = !isRead;
      call.emit(event);
      assert.equal(await written, isRead);
      assert.equal(call.listenerCount('drain'), 0);
    }
  });
});
