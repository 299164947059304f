/** A client that lies to a coordinator about its own past: only what the coordinator itself has signed counts. */
import assert from 'node:assert/strict';
import { newsOf } from '../../server/shown.js';
import { toHex } from '../../shared/hex.js';
import { signHead } from '../../shared/ledger/against.js';
import type { TaskId } from '../../shared/run/plan.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { type SignedTask, signTask } from '../../shared/signing/shown.js';
import { start } from '../support/rounds.js';

const [coordinator, liar] = [1, 2].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed)));
const taskAt = (round: number, attempt: number, kind: TaskId['kind'] = 'train', run = 'r'): TaskId => {
  return { run, kind, round, attempt };
};
const signed = (task: TaskId, by = coordinator): SignedTask => ({ task, signature: signTask(by, task) });
const head = (round: number, by = coordinator) => signHead({ run: 'r', round, lineSha256: 'a'.repeat(64) }, by);
const heard = (shown: Partial<Parameters<typeof newsOf>[0]>) =>
  newsOf(
    { tasks: [], heads: [], ...shown },
    [toHex(coordinator.publicKey)],
    (run) => (run === 'r' ? start() : undefined),
    (run) => run === 'r' || run === 'damaged',
  );

describe('what clients show of a run in round 1 attempt 1', () => {
  it('counts when it is news and the coordinator has signed it', () => {
    assert.deepEqual(heard({ tasks: [signed(taskAt(1, 9)), signed(taskAt(2, 3, 'evaluate'))], heads: [head(1)] }), [
      { run: 'r', round: 1, attempt: 9, isCommitted: false },
      { run: 'r', round: 2, attempt: 3, isCommitted: true },
      { run: 'r', round: 1, attempt: 0, isCommitted: true },
    ]);
    assert.deepEqual(heard({ tasks: [signed(taskAt(4, 1, 'train', 'gone'))] }), [
      { run: 'gone', round: 4, attempt: 1, isCommitted: false },
    ]);
  });

  it('counts for nothing when it is forged, altered, of another kind, or known', () => {
    const first = signed(taskAt(1, 1));
    const lies: SignedTask[] = [
      signed(taskAt(1, 999_999), liar),
      { task: taskAt(1, 999_999), signature: first.signature },
      { task: taskAt(1, 2, 'evaluate'), signature: signed(taskAt(1, 2)).signature },
      { task: taskAt(5, 1), signature: new Uint8Array(64) },
      { task: taskAt(1, 7), signature: signed(taskAt(1, 7, 'train', 'other')).signature },
      first,
      signed(taskAt(3, 1, 'train', 'damaged')),
    ];
    const heads = [head(3, liar), { ...head(1), head: { ...head(1).head, round: 2 } }];
    assert.deepEqual(heard({ tasks: lies, heads }), []);
  });
});
