/**
 * Accounts and roles over TLS: every call of proto/starling/v1/admin.proto by every role, and what a credential that is
 * nobody's, another's or no longer good can do. The table is here once more, as a person would write it.
 */
import assert from 'node:assert/strict';
import { connectAdmin, type GrpcAdmin } from '../../client/grpc/admin.js';
import { Accounts } from '../../server/accounts.js';
import { type AccountKey, ROLES, type Role } from '../../shared/people.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { certificatesIn } from '../../shared/tls/subject.js';
import { AdminServiceService } from '../../shared/wire/gen/starling/v1/admin.js';
import { toyModel, toySpec } from '../support/toy.js';
import { ADMIN_TOKEN } from '../transport/fake-coordinator.js';
import { Door } from './door.js';

const everybody = ['viewer', 'operator', 'auditor', 'admin'];
const ALLOWED: Record<string, readonly string[]> = {
  listClients: everybody,
  listRuns: everybody,
  getRun: everybody,
  watchRun: everybody,
  startRun: ['operator', 'admin'],
  stopRun: ['operator', 'admin'],
  resumeRun: ['operator', 'admin'],
  archiveRun: ['operator', 'admin'],
  repairRun: ['operator', 'admin'],
  deleteRun: ['admin'],
  listTokens: ['auditor', 'admin'],
  listAccounts: ['auditor', 'admin'],
  createToken: ['admin'],
  revokeToken: ['admin'],
  setStanding: ['admin'],
  reEnrol: ['admin'],
  addAccount: ['admin'],
  rotateAccount: ['admin'],
  renewAccount: everybody,
  removeAccount: ['admin'],
};

/** One call of each kind: what follows from it is none of this test's, so most name what is not there. */
const CALLS: Record<string, (admin: GrpcAdmin) => Promise<unknown>> = {
  listClients: (admin) => admin.listClients(),
  listRuns: (admin) => admin.listRuns(),
  getRun: (admin) => admin.getRun('none'),
  watchRun: async (admin) => {
    for await (const _ of admin.watchRun('none'));
  },
  startRun: (admin) => admin.startRun(toySpec(), encode(toyModel())),
  stopRun: (admin) => admin.stopRun('none', 'x'),
  resumeRun: (admin) => admin.resumeRun('none'),
  archiveRun: (admin) => admin.archiveRun('none'),
  repairRun: (admin) => admin.repairRun('none'),
  deleteRun: (admin) => admin.deleteRun('none'),
  listTokens: (admin) => admin.listTokens(),
  listAccounts: (admin) => admin.listAccounts(),
  createToken: (admin) => admin.createToken({ name: 'lab', uses: 1, expiresMs: 1 }),
  revokeToken: (admin) => admin.revokeToken('0'.repeat(12)),
  setStanding: (admin) => admin.setStanding({ client: 'none', change: 'revoke', reason: '' }),
  reEnrol: (admin) => admin.reEnrol({ client: 'none', expiresMs: 1 }),
  addAccount: (admin) => admin.addAccount({ name: 'eve', role: 'viewer' }),
  rotateAccount: (admin) => admin.rotateAccount('none'),
  renewAccount: (admin) => admin.renewAccount(''),
  removeAccount: (admin) => admin.removeAccount('none'),
};

describe('an account', () => {
  let door: Door;
  let opened: GrpcAdmin[] = [];

  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(async () => {
    for (const admin of opened) admin.close();
    opened = [];
    await door.close();
  });

  function connected({ token, tls }: Pick<AccountKey, 'token' | 'tls'>): GrpcAdmin {
    const [certificate, ...authorities] = certificatesIn(tls);
    const admin = connectAdmin(door.server.address, token, { tls: () => ({ certificate, authorities, key: tls }) });
    opened.push(admin);
    return admin;
  }
  const root = async () => connected({ token: ADMIN_TOKEN, tls: await door.certificates.issueOperator('admin') });
  const outcome = (call: Promise<unknown>) =>
    call.then(
      () => 'done',
      ({ message }: Error) => message,
    );

  it('may make the calls of its role and no other, and is told in words', async () => {
    assert.deepEqual(
      Object.keys(CALLS).sort(),
      Object.keys(AdminServiceService).sort(),
      'a call that is new needs a row in this test',
    );
    const admin = await root();
    const keys: Partial<Record<Role, AccountKey>> = {};
    for (const role of ROLES) keys[role] = await admin.addAccount({ name: `the-${role}`, role });
    for (const role of ROLES) {
      const operator = connected(keys[role]!);
      for (const [name, call] of Object.entries(CALLS)) {
        const got = await outcome(call(operator));
        const isAllowed = ALLOWED[name].includes(role);
        const method = name[0].toUpperCase() + name.slice(1);
        const refusal = `${method}: expected an account that is `;
        assert.equal(!got.startsWith(refusal), isAllowed, `${role} ${name}: ${got}`);
        if (!isAllowed) assert.ok(got.endsWith(`got "the-${role}", which is ${role}`), got);
      }
    }
    const runs = await admin.listRuns();
    assert.equal(runs.length, 2, 'one of the operator, one of the admin, none of who may not start one');
  });

  it('that is removed, or has another token, is nobody by the one before', async () => {
    const admin = await root();
    const first = await admin.addAccount({ name: 'ada', role: 'viewer' });
    const second = await admin.rotateAccount('ada');
    const nobody = /expected the admin token of this coordinator, or that of an account, got another/;
    await assert.rejects(connected(first).listRuns(), nobody);
    assert.deepEqual(await connected(second).listRuns(), []);
    await admin.removeAccount('ada');
    await assert.rejects(connected(second).listRuns(), nobody);
    await assert.rejects(admin.removeAccount('admin'), { code: 'failed-precondition' });
    await assert.rejects(admin.addAccount({ name: 'admin', role: 'viewer' }), { code: 'already-exists' });
  });

  it('that is removed hears nothing more of a run that it watches', async () => {
    const admin = await root();
    const ada = connected(await admin.addAccount({ name: 'ada', role: 'viewer' }));
    const run = await admin.startRun(toySpec(), encode(toyModel()));
    const events = ada.watchRun(run)[Symbol.asyncIterator]();
    assert.match((await events.next()).value, /"waiting"/);
    await admin.removeAccount('ada');
    await admin.stopRun(run, 'x');
    await assert.rejects(events.next(), { code: 'permission-denied' });
  });

  it('is no other by the certificate of the one and the token of the other', async () => {
    const admin = await root();
    const viewer = await admin.addAccount({ name: 'ada', role: 'viewer' });
    const operator = await admin.addAccount({ name: 'bob', role: 'operator' });
    const mixed = connected({ token: operator.token, tls: viewer.tls });
    await assert.rejects(mixed.stopRun('none', 'x'), /expected that of the account "bob", got that of "ada"/);
    const byRoot = connected({ token: ADMIN_TOKEN, tls: viewer.tls });
    await assert.rejects(byRoot.listTokens(), /expected that of the account "admin", got that of "ada"/);
  });

  it("is in no log by its token, and is there after a restart; the admin token that was replaced is nobody's", async () => {
    const log: unknown[] = [];
    const kept: string[] = [];
    const root = { token: 'first', keep: async (token: string) => void kept.push(token) };
    const append = async (record: unknown) => void log.push(JSON.parse(JSON.stringify(record)));
    const accounts = new Accounts({ append }, [], root);
    await accounts.add({ name: 'ada', role: 'viewer' }, 'sesame', 5);
    await accounts.rotate('admin', 'second', 6);
    assert.deepEqual(kept, ['second']);
    assert.ok(!/sesame|second/.test(JSON.stringify(log)));
    assert.equal(accounts.accountOf('first'), undefined);
    assert.equal(accounts.accountOf('second')?.name, 'admin');
    const next = new Accounts({ append }, log, { ...root, token: 'second' });
    assert.deepEqual(
      next.list(),
      [
        { name: 'ada', role: 'viewer', sinceMs: 5 },
        { name: 'admin', role: 'admin', sinceMs: 0 },
      ].sort((a, b) => (a.name < b.name ? -1 : 1)),
    );
    assert.deepEqual(next.accountOf('sesame'), { name: 'ada', role: 'viewer', sinceMs: 5 });
  });
});
