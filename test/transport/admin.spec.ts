/**
 * Every call of the operator through real gRPC on loopback.
 */
import assert from 'node:assert/strict';
import { connectAdmin } from '../../client/grpc/admin.js';
import { FlError } from '../../shared/errors.js';
import { ADMIN_TOKEN, RUN_INFO, SPEC } from './fake-coordinator.js';
import { bytes, eachLink, hasCode, signal } from './fixture.js';

describe('the operator over gRPC', () => {
  const link = eachLink();

  it('has every call carried', async () => {
    const { operator, admin } = link;
    const model = bytes(600_001);
    assert.equal(await operator.createToken({ name: 'lab-1', uses: 3, expiresMs: 86_400_000 }), 'sl1.token');
    assert.deepEqual(await operator.listClients(), await admin.listClients());
    assert.equal(await operator.startRun(SPEC, model), 'run-1');
    await operator.stopRun('run-1', 'enough');
    await operator.resumeRun('run-1');
    assert.equal(await operator.archiveRun('run-1'), '/data/archive/run-1');
    await operator.deleteRun('run-1');
    assert.deepEqual(await operator.repairRun('run-1'), await admin.repairRun('run-1'));
    admin.calls.pop();
    assert.deepEqual(await operator.listRuns(), [RUN_INFO]);
    assert.deepEqual(await operator.listRuns({ archived: true }), []);
    assert.deepEqual(await operator.getRun('run-1'), { info: RUN_INFO, report: admin.report });
    assert.deepEqual(admin.calls, [
      { name: 'lab-1', uses: 3, expiresMs: 86_400_000 },
      { spec: SPEC, model },
      { stop: 'run-1', reason: 'enough' },
      { resume: 'run-1' },
      { archive: 'run-1' },
      { delete: 'run-1' },
      { repair: 'run-1' },
      { get: 'run-1' },
    ]);
  });

  it('gets a report of any length', async () => {
    link.admin.report = JSON.stringify({ text: 'ä–€'.repeat(1_000_000) });
    assert.equal((await link.operator.getRun('run-1')).report, link.admin.report);
  });

  it('watches a run to its end, and lets go when told', async () => {
    const events: string[] = [];
    for await (const event of link.operator.watchRun('run-1')) events.push(event);
    assert.deepEqual(events, link.admin.events);
    link.admin.watchForever = true;
    const aborted = signal();
    link.admin.onAbort = aborted.fire;
    const stop = new AbortController();
    for await (const event of link.operator.watchRun('run-1', stop.signal)) if (event.includes('ended')) stop.abort();
    await aborted.promise;
  });

  it('gets the code and the text of an error as they were thrown', async () => {
    await assert.rejects(link.operator.resumeRun('other'), (error: unknown) => {
      assert.ok(error instanceof FlError);
      assert.equal(error.code, 'not-found');
      assert.equal(error.message, 'run: expected a run of this coordinator, got "other" (100 % sure)');
      return true;
    });
  });

  it('is told what is wrong with a specification before a coordinator sees it', async () => {
    const [calls, engine] = [link.admin.calls.length, { ...SPEC.engine, cohort: 0 }];
    const refused = hasCode('invalid-argument', /^run spec: engine\.cohort: /);
    await assert.rejects(link.operator.startRun({ ...SPEC, engine }, bytes(10)), refused);
    assert.equal(link.admin.calls.length, calls);
  });

  it('is refused every call without the token', async () => {
    const stranger = connectAdmin(link.server.address, `${ADMIN_TOKEN}x`);
    const denied = hasCode('permission-denied', /admin token/);
    await assert.rejects(stranger.createToken({ name: 'lab-1', uses: 1, expiresMs: 1 }), denied);
    await assert.rejects(stranger.listClients(), denied);
    await assert.rejects(stranger.startRun(SPEC, bytes(9_000_000)), denied);
    await assert.rejects(stranger.stopRun('run-1', ''), denied);
    await assert.rejects(stranger.resumeRun('run-1'), denied);
    await assert.rejects(stranger.archiveRun('run-1'), denied);
    await assert.rejects(stranger.deleteRun('run-1'), denied);
    await assert.rejects(stranger.repairRun('run-1'), denied);
    await assert.rejects(stranger.listRuns(), denied);
    await assert.rejects(stranger.getRun('run-1'), denied);
    await assert.rejects(async () => {
      for await (const _event of stranger.watchRun('run-1'));
    }, denied);
    assert.deepEqual(link.admin.calls, []);
    stranger.close();
  });
});
