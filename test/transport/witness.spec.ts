/** What a coordinator's security log hears, of calls over real gRPC. */
import assert from 'node:assert/strict';
import { connectAdmin } from '../../client/grpc/admin.js';
import type { Action } from '../../server/grpc/witness.js';
import type { CoordinatorFrame } from '../../shared/service.js';
import { SPEC } from './fake-coordinator.js';
import { bytes, eachLink, hasCode, SIGNATURE, signal, until } from './fixture.js';

describe('the witness of calls', () => {
  const link = eachLink();

  function actions(): Omit<Action, 'peer'>[] {
    const heard: Omit<Action, 'peer'>[] = [];
    link.witness.acted = async ({ peer: _, ...action }) => void heard.push(action);
    return heard;
  }

  it('hears of actions by account and outcome, of a run by its name, and of no call that only reads', async () => {
    const heard = actions();
    await link.operator.startRun(SPEC, bytes(8));
    await link.operator.listRuns();
    await assert.rejects(link.operator.resumeRun('run-2'), hasCode('not-found'));
    const resumed = 'run: expected a run of this coordinator, got "run-2" (100 % sure)';
    assert.deepEqual(heard, [
      { account: 'admin', action: 'StartRun', about: { run: 'run-1' }, outcome: 'ok' },
      { account: 'admin', action: 'ResumeRun', about: { run: 'run-2' }, outcome: resumed },
    ]);
  });

  it('hears of short fields', async () => {
    const heard = actions();
    for (const length of [200, 201]) await link.operator.stopRun('run-1', 'x'.repeat(length));
    assert.deepEqual(
      heard.map(({ about }) => Object.keys(about).sort()),
      [['reason', 'run'], ['run']],
    );
  });

  it('hears of nobody’s action that it was refused, and of no action', async () => {
    const heard = actions();
    const nobody = connectAdmin(link.server.address, 'a-guess');
    await assert.rejects(nobody.stopRun('run-1', ''), hasCode('permission-denied'));
    nobody.close();
    assert.deepEqual(heard, []);
    assert.equal(link.refusals.length, 1);
  });

  it('hears of an action before its operator hears that it is done', async () => {
    const [isHeard, isWritten] = [signal(), signal()];
    link.witness.acted = async () => {
      isHeard.fire();
      await isWritten.promise;
    };
    let isDone = false;
    const stopped = link.operator.stopRun('run-1', '').then(() => {
      isDone = true;
    });
    await isHeard.promise;
    await link.operator.listRuns(); // would come after it, over the same connection
    assert.equal(isDone, false);
    isWritten.fire();
    await stopped;
  });

  it('hears of a plan once, to however many it goes', async () => {
    const plan = { run: 'run-1', kind: 'train', round: 3, attempt: 1 };
    const frame = (): CoordinatorFrame => {
      const body = Buffer.from(JSON.stringify(plan));
      return { kind: 'plan', body, signature: SIGNATURE, model: bytes(4) };
    };
    link.client.connect({ send() {}, close() {} });
    await until(() => link.participant.streams.length === 1);
    for (let i = 0; i < 2; i++) link.participant.streams[0].toClient.send(frame());
    assert.deepEqual(
      link.plans.map(({ planSha256: _, ...heard }) => heard),
      [plan],
    );
  });
});
