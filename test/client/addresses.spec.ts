/** Where a client looks for its coordinator when that has moved: by the coordinator's signed word, or by a person's. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { addressesIn, NOTICE_FILE } from '../../client/addresses.js';
import { joinClient, type Membership } from '../../client/join.js';
import { setAddress } from '../../client/set-address.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { toHex } from '../../shared/hex.js';
import type { CoordinatorFrame, ParticipantService } from '../../shared/service.js';
import { MAX_NOTICE_ADDRESSES, type SignedNotice, signNotice } from '../../shared/signing/address-notice.js';
import { identityFromSeed, newIdentitySeed } from '../../shared/signing/identity.js';
import { openAdmin } from '../../simulations/open-admin.js';

const coordinator = identityFromSeed(newIdentitySeed());
const MEMBERSHIP: Membership = {
  client: 'lab',
  address: 'old.example.org:7437',
  others: ['other.example.org:7437'],
  coordinatorKey: toHex(coordinator.publicKey),
};

describe('the addresses of a coordinator', () => {
  let directory: string;
  const notices: string[] = [];
  const open = () => {
    const notice = (message: string, fields: object) => void notices.push(`${message} ${JSON.stringify(fields)}`);
    return addressesIn(directory, MEMBERSHIP, { coordinatorKey: coordinator.publicKey, notice });
  };
  /** A control stream that ends after these frames. */
  const stream = async (addresses: ReturnType<typeof open>, ...frames: CoordinatorFrame[]) => {
    const connect: ParticipantService['connect'] = (toClient) => {
      for (const frame of frames) toClient.send(frame);
      toClient.close('lost');
      return { send() {}, close() {} };
    };
    const heard: CoordinatorFrame[] = [];
    addresses.connect(connect, { send: (frame) => void heard.push(frame), close() {} });
    assert.deepEqual(heard, frames, 'the client hears all that it would have heard');
  };
  const welcome = (addresses?: SignedNotice): CoordinatorFrame => {
    return { kind: 'welcome', session: new Uint8Array(32), addresses };
  };
  const said = (number: number, ...addresses: string[]) => signNotice(coordinator, { addresses, number });
  const tried = async (addresses: ReturnType<typeof open>, times: number) => {
    const at: string[] = [];
    for (let i = 0; i < times; i++) {
      at.push(addresses.current().split('.')[0]);
      await stream(addresses);
    }
    return at.join(' ');
  };
  const kept = async (text: string) => {
    while (!(await readFile(join(directory, NOTICE_FILE), 'utf8').catch(() => '')).includes(text)) await setImmediate();
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-addresses-'));
    await writeFile(join(directory, 'client.json'), JSON.stringify(MEMBERSHIP));
    notices.length = 0;
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('are tried one after the other where it is not let in, and again from where it was let in last', async () => {
    const addresses = open();
    await stream(addresses, welcome(said(7, 'new.example.org:7437')));
    await kept('"number":7');
    assert.equal(await tried(addresses, 4), 'old new other old');
    await stream(addresses, welcome());
    assert.equal(await tried(addresses, 2), 'new other');
  });

  it('are kept as the coordinator has signed them, over a restart', async () => {
    await stream(open(), welcome(said(7, 'new.example.org:7437')));
    await kept('new.example.org');
    assert.equal(await tried(open(), 3), 'old new other');
  });

  it('are not taken from an older word, nor from one that another has signed or changed', async () => {
    const addresses = open();
    await stream(addresses, welcome(said(7, 'new.example.org:7437')));
    await kept('"number":7');
    const thief = identityFromSeed(newIdentitySeed());
    const theirs = { addresses: ['thief.example.org:7437'], number: 8 };
    await stream(addresses, welcome(said(6, 'older.example.org:7437')));
    await stream(addresses, welcome(signNotice(thief, theirs)));
    await stream(addresses, welcome({ ...said(7, 'new.example.org:7437'), ...theirs }));
    await stream(addresses, welcome({ ...said(7, 'new.example.org:7437'), number: 9 }));
    assert.equal(await tried(addresses, 4), 'old new other old');
    const [older, ...forged] = notices;
    assert.match(older, /addresses not taken .*older/);
    assert.equal(forged.length, 3);
    for (const one of forged) assert.match(one, /its signature is not by the coordinator/);
    await writeFile(join(directory, NOTICE_FILE), JSON.stringify({ ...theirs, signature: toHex(said(8).signature) }));
    assert.equal(await tried(open(), 3), 'old other old', 'what was changed on the disk is nobody’s word');
  });

  it('follow a person who corrects client.json while the client runs', async () => {
    const addresses = open();
    await writeFile(
      join(directory, 'client.json'),
      JSON.stringify({ ...MEMBERSHIP, address: 'by-hand.example.org:7437' }),
    );
    assert.equal(await tried(addresses, 3), 'by-hand other by-hand');
    await writeFile(join(directory, 'client.json'), '{'); // being written
    assert.equal(addresses.current(), 'other.example.org:7437');
  });

  it('are at most eight, the first ones', () => {
    const many = Array.from({ length: MAX_NOTICE_ADDRESSES + 1 }, (_, i) => `h${i}.example.org:1`);
    assert.deepEqual(said(1, ...many).addresses, many.slice(0, 8));
  });

  it('are changed by set-address for the coordinator that was joined, and for no other', async () => {
    const [dataDir, another] = [join(directory, 'coordinator'), join(directory, 'another')];
    const clientsDir = join(directory, 'clients');
    const running: CoordinatorProcess[] = [];
    const start = async (where: string, publicAddress: string) => {
      const options = { dataDir: where, listen: '0.0.0.0:0', publicAddresses: [publicAddress], logLevel: 'silent' };
      running.push(await startCoordinator(options));
      return running.at(-1)!;
    };
    try {
      const first = await start(dataDir, '127.0.0.2');
      const admin = await openAdmin({ dataDir });
      const token = await admin.createToken({ name: 'lab', uses: 1, expiresMs: 60_000 });
      admin.close();
      const { address } = await joinClient({ token, clientsDir });
      await running.pop()!.stop();
      assert.equal(address, first.addresses[0]);
      const moved = await start(dataDir, '127.0.0.4');
      const stranger = await start(another, '127.0.0.6');
      const to = (at: string) => setAddress({ clientsDir, address: at });
      await assert.rejects(to(stranger.addresses[0]), { code: 'unavailable' });
      await assert.rejects(to('127.0.0.7:9'), { code: 'unavailable' });
      await assert.rejects(to('nowhere'), { code: 'invalid-argument' });
      const stored = async () => JSON.parse(await readFile(join(clientsDir, 'lab', 'client.json'), 'utf8')).address;
      assert.equal(await stored(), address);
      await to(moved.addresses[0]);
      assert.equal(await stored(), moved.addresses[0]);
    } finally {
      for (const one of running) await one.stop();
    }
  });
});
