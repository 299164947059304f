/** Joining at an address where somebody else answers: the token's secret does not go out, and no membership is made. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinClient, membershipDirectory } from '../../client/join.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { encodeJoinToken } from '../../shared/join-token.js';
import type { ParticipantService } from '../../shared/service.js';
import { type Identity, sha256Hex } from '../../shared/signing/identity.js';
import { signIdentification } from '../../shared/signing/login.js';
import { coordinatorKey, strangerKey } from '../support/one-client.js';
import { ADMIN_TOKEN, FakeAdmin, FakeParticipant } from '../transport/fake-coordinator.js';

describe('a join', () => {
  let folder: string;
  let server: GrpcServer;
  let asked: string[];
  /** Whose key is shown, who signs for it, and who is said to have enrolled the client. */
  let who: { shown: Identity; signs: Identity; enrols: Identity; at?: string };
  const honest = { shown: coordinatorKey, signs: coordinatorKey, enrols: coordinatorKey };

  before(async () => {
    const participant: ParticipantService = Object.assign(new FakeParticipant(), {
      async identify({ address, nonce }: { address: string; nonce: Uint8Array }) {
        asked.push('identify');
        const about = { address: who.at ?? address, coordinatorKey: who.shown.publicKey, clientNonce: nonce };
        return { coordinatorKey: who.shown.publicKey, signature: signIdentification(who.signs, about) };
      },
      async enrol() {
        asked.push('enrol');
        return { client: 'lab', coordinatorKey: who.enrols.publicKey };
      },
    });
    server = await serveGrpc({ participant, admin: new FakeAdmin(), adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' });
  });
  after(() => server.close());
  beforeEach(async () => {
    asked = [];
    folder = await mkdtemp(join(tmpdir(), 'starling-another-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const token = () => {
    const fingerprint = sha256Hex(coordinatorKey.publicKey);
    return encodeJoinToken({ address: server.address, fingerprint, secret: 'secret' });
  };
  const visible = async () => (await readdir(folder)).filter((name) => !name.startsWith('.new-'));

  const wrong: Record<string, { about: Partial<typeof who>; hears: string[] }> = {
    'another coordinator': { about: { shown: strangerKey, signs: strangerKey }, hears: ['identify'] },
    'one that shows a key which it has not': { about: { signs: strangerKey }, hears: ['identify'] },
    'one that passes on a signature over another address': { about: { at: 'elsewhere:1' }, hears: ['identify'] },
    'one whose key changes with the enrolment': { about: { enrols: strangerKey }, hears: ['identify', 'enrol'] },
  };
  for (const [what, { about, hears }] of Object.entries(wrong)) {
    it(`is refused with ${what}`, async () => {
      who = { ...honest, ...about };
      await assert.rejects(joinClient({ token: token(), clientsDir: folder }), {
        code: 'permission-denied',
        message: /is not the one that made this token$/,
      });
      assert.deepEqual([asked, await visible()], [hears, []]);
    });
  }

  it('is made with the one of the token, and a machine with several clients asks for a name', async () => {
    who = honest;
    assert.equal((await joinClient({ token: token(), clientsDir: folder })).client, 'lab');
    assert.equal(await membershipDirectory({ clientsDir: folder }), join(folder, 'lab'));
    await mkdir(join(folder, 'other'));
    await assert.rejects(membershipDirectory({ clientsDir: folder }), { message: /--name, one of lab, other/ });
    assert.equal(await membershipDirectory({ clientsDir: folder, name: 'other' }), join(folder, 'other'));
    await assert.rejects(membershipDirectory({ clientsDir: folder, name: 'third' }), { code: 'not-found' });
  });
});
