/** Accounts of operators: whose token is whose, through every change, and that nothing is said before it is durable. */
import assert from 'node:assert/strict';
import { Accounts } from '../../server/accounts.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { turns } from '../support/hand-fed.js';

/** A log and a file for the admin token that keep nothing before `release`. */
function open({ records = [] as unknown[], isSlow = false } = {}) {
  const log: unknown[] = [...records];
  let release = () => {};
  const opened = new Promise<void>((resolve) => {
    release = resolve;
  });
  const gate = isSlow ? opened : Promise.resolve();
  const kept: string[] = [];
  const append = async (record: unknown) => {
    await gate;
    log.push(record);
  };
  const keep = async (token: string) => {
    await gate;
    kept.push(token);
  };
  return { accounts: new Accounts({ append }, records, { token: 'root', keep }), log, kept, release };
}

const roleOf = (accounts: Accounts, token: string) => {
  const account = accounts.accountOf(token);
  return account && `${account.name} ${account.role}`;
};

describe('an account', () => {
  it('is called by its last token and no other, keeps its role, and is nobody once it is removed', async () => {
    const { accounts, log } = open();
    await accounts.add({ name: 'eve', role: 'viewer' }, 'first', 1);
    assert.deepEqual(await accounts.rotate('eve', 'second', 2).then(({ name, role }) => [name, role]), [
      'eve',
      'viewer',
    ]);
    const seen = ({ accounts: all }: { accounts: Accounts }) =>
      ['first', 'second', 'root', 'none'].map((token) => roleOf(all, token));
    const expected = [undefined, 'eve viewer', 'admin admin', undefined];
    assert.deepEqual(seen({ accounts }), expected);
    assert.deepEqual(seen(open({ records: log })), expected, 'after a restart');
    await accounts.remove('eve');
    assert.deepEqual(seen({ accounts }), [undefined, undefined, 'admin admin', undefined]);
  });

  it('is not written over, and admin is not removed', async () => {
    const { accounts } = open();
    await accounts.add({ name: 'eve', role: 'viewer' }, 'hers', 1);
    await assert.rejects(accounts.add({ name: 'eve', role: 'admin' }, 'mine', 2), { code: 'already-exists' });
    await assert.rejects(accounts.add({ name: 'admin', role: 'viewer' }, 'mine', 2), { code: 'already-exists' });
    await assert.rejects(accounts.remove('admin'), { code: 'failed-precondition' });
    for (const act of [() => accounts.remove('bob'), () => accounts.rotate('bob', 'x', 3)])
      await assert.rejects(act, { code: 'not-found' });
    assert.deepEqual(
      [roleOf(accounts, 'hers'), roleOf(accounts, 'mine'), roleOf(accounts, 'root')],
      [...['eve viewer', undefined, 'admin admin']],
    );
  });

  it('called admin in a log is not the one whose token lies in the data directory', () => {
    const forged = { kind: 'account', name: 'admin', role: 'viewer', hash: sha256Hex('forged'), atMs: 0 };
    const { accounts } = open({ records: [forged] });
    assert.deepEqual([roleOf(accounts, 'root'), roleOf(accounts, 'forged')], ['admin admin', undefined]);
  });

  it('is made, given another token and removed when that is on the disk, and not said before', async () => {
    for (const act of [
      (accounts: Accounts) => accounts.add({ name: 'eve', role: 'viewer' }, 'hers', 1),
      (accounts: Accounts) => accounts.rotate('bob', 'new', 1),
      (accounts: Accounts) => accounts.remove('bob'),
    ]) {
      const bob = { kind: 'account', name: 'bob', role: 'viewer', hash: sha256Hex('old'), atMs: 0 };
      const { accounts, log, release } = open({ records: [bob], isSlow: true });
      let isSaid = false;
      const said = act(accounts).then(() => {
        isSaid = true;
      });
      await turns();
      assert.deepEqual([isSaid, log.length], [false, 1]);
      release();
      await said;
      assert.equal(log.length, 2);
    }
  });

  it('admin has its new token when that is on the disk, and the old one until then', async () => {
    const { accounts, kept, release } = open({ isSlow: true });
    const rotated = accounts.rotate('admin', 'new', 1);
    await turns();
    assert.deepEqual([roleOf(accounts, 'root'), roleOf(accounts, 'new'), kept], ['admin admin', undefined, []]);
    release();
    await rotated;
    assert.deepEqual([roleOf(accounts, 'root'), roleOf(accounts, 'new'), kept], [undefined, 'admin admin', ['new']]);
  });
});
