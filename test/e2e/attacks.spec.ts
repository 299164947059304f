/**
 * Every attack on the door that we know, over the network, on the process that an operator starts, in the middle of a round:
 * each is told why in words, leaves a line in the security log, and changes nothing of the run. What strangers can make the
 * process hold is in door.spec.ts; what a stranger's bytes and time may be, limit by limit, in test/transport/guests.spec.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { ClientHttp2Session } from 'node:http2';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connectAdmin } from '../../client/grpc/admin.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { joinClient } from '../../client/join.js';
import { systemClock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import { toHex } from '../../shared/hex.js';
import { decodeJoinToken, encodeJoinToken } from '../../shared/join-token.js';
import { MAX_MESSAGE_BYTES } from '../../shared/service.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { issue, type KeyPair, newAuthority } from '../../shared/tls/certificate.js';
import { certificatesIn, OPERATOR_SERVER_NAME } from '../../shared/tls/subject.js';
import { DownloadModelRequest, UploadUpdateRequest } from '../../shared/wire/gen/starling/v1/participant.js';
import { SESSION_KEY } from '../../shared/wire/status.js';
import { Relay } from '../secure/relay.js';
import { begin, CONTROL, ENROL, endOf, prefix } from '../support/raw-call.js';
import { toyModel, toySpec } from '../support/toy.js';
import { Siege } from './siege.js';

const PARTICIPANT = '/starling.v1.ParticipantService';
const DAY_MS = 86_400_000;
const PATHS = ['../../identity.key', '..', '/etc/passwd', 'r/../r', 'r\0', '.new-r', ''];
const SESSION = new Uint8Array(32);
const UNKNOWN = { run: 'r', round: 1, attempt: 1, sha256: 'ab'.repeat(32) };

/** What the attacker is told, and what the security log says. */
interface Outcome {
  readonly told: string | readonly string[];
  readonly words: RegExp;
  readonly lines: readonly RegExp[];
}

const told = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'let in',
    (thrown) => `${FlError.from(thrown).code}: ${FlError.from(thrown).message}`,
  );
const c1 = { kind: 'client', name: 'c-1' } as const;

/** As who shows this certificate. */
function shown(siege: Siege, { certificate, key }: KeyPair): ClientTls {
  return { authorities: [siege.authority.certificate], certificate, key };
}

async function byCertificate(siege: Siege, certificate: KeyPair): Promise<string> {
  return told(siege.dial(shown(siege, certificate)).uploadStatus(SESSION, UNKNOWN));
}

function byToken(siege: Siege, token: string): Promise<string> {
  return told(joinClient({ token, clientsDir: join(siege.folder, 'strangers') }));
}

/** A lab that is enrolled, connected, and in no run. */
async function mallory(siege: Siege) {
  await siege.join('mallory');
  await siege.start('mallory');
  while (!siege.sessions.has('mallory')) await new Promise((resolve) => setImmediate(resolve));
  return siege.sessions.get('mallory')!;
}

function call(session: ClientHttp2Session, path: string, message: Uint8Array, headers = {}): Promise<string> {
  const stream = begin(session, path, headers);
  stream.end(Buffer.concat([prefix(message.length), message]));
  return endOf(stream);
}

const ATTACKS: Readonly<Record<string, (siege: Siege) => Promise<Outcome>>> = {
  'a forged certificate': async (siege) => {
    const { key } = await newAuthority(systemClock.nowMs());
    const forger = { certificate: siege.authority.certificate, key };
    const forged = await issue(forger, { subject: c1, nowMs: systemClock.nowMs() });
    const line = /^TLS: .* got a certificate with a forged signature$/;
    return { told: await byCertificate(siege, forged), words: /^unavailable: /, lines: [line] }; // TLS says no more
  },
  'an expired certificate': async (siege) => {
    const expired = await issue(siege.authority, { subject: c1, nowMs: systemClock.nowMs() - 91 * DAY_MS });
    const words = /certificate: expected a valid one of a client, got .* has expired: renew it/;
    return { told: await byCertificate(siege, expired), words, lines: [words] };
  },
  'a certificate of a foreign authority': async (siege) => {
    const foreign = await issue(await newAuthority(systemClock.nowMs()), { subject: c1, nowMs: systemClock.nowMs() });
    const words = /certificate: expected a valid one of a client, got .* not trusted here/;
    return { told: await byCertificate(siege, foreign), words, lines: [words] };
  },
  'a revoked certificate': async (siege) => {
    const { session } = await mallory(siege);
    await siege.admin.setStanding({ client: 'mallory', change: 'revoke', reason: 'laptop stolen' });
    const { tls } = siege.homes.get('mallory')!;
    const again = await siege.start('mallory', siege.dial(tls));
    const stream = again.done.then(
      () => 'let in',
      ({ message }: Error) => message,
    );
    const words = /mallory" is revoked \(laptop stolen\)/;
    const answers = [await told(siege.dial(tls).uploadStatus(session, UNKNOWN)), await stream];
    return { told: answers, words, lines: [/^client "mallory" is revoked/, /^login: client "mallory" is revoked/] };
  },
  'TLS 1.2': async (siege) => {
    const { certificate: cert, key } = siege.homes.get('c-1')!.tls;
    const old = { maxVersion: 'TLSv1.2', rejectUnauthorized: false } as const;
    const socket = connectTls({ port: siege.port, host: '127.0.0.1', cert, key, ...old });
    const [{ message }] = (await once(socket, 'error')) as [Error];
    return { told: message, words: /alert protocol version/, lines: [/^TLS: expected version 1.3, got an older one$/] };
  },
  plaintext: async (siege) => ({
    told: await told(siege.dial(undefined).uploadStatus(SESSION, UNKNOWN)),
    words: /^unavailable: /,
    lines: [/^TLS: expected a handshake, got plaintext or something else$/],
  }),
  'a token that is used up, expired or guessed': async (siege) => {
    const once = await siege.token('once');
    assert.equal(await byToken(siege, once), 'let in');
    const short = await siege.admin.createToken({ name: 'short', uses: 1, expiresMs: 1 });
    const guess = encodeJoinToken({ ...decodeJoinToken(once), secret: 'A'.repeat(43) });
    const answers = [await byToken(siege, once), await byToken(siege, short), await byToken(siege, guess)];
    assert.equal((await siege.admin.listClients()).length, 5, 'the one that was good, and no other');
    const words = /^permission-denied: token: (used up|expired|not known)/;
    return { told: answers, words, lines: [/^join: .*used up/, /^join: .*expired/, /^join: .*not known/] };
  },
  'a relay on an old address': async (siege) => {
    const { tls } = await siege.join('roamer');
    await siege.join('mallory');
    const subject = { kind: 'server', hosts: ['127.0.0.1'] } as const; // as good as the coordinator's own
    const front = await issue(siege.authority, { subject, nowMs: systemClock.nowMs() });
    const trusted = [siege.authority.certificate];
    const behind = siege.homes.get('mallory')!.tls;
    const relay = await Relay.start(siege.address, { front: { ...front, trusted, own: trusted }, behind });
    try {
      const victim = await siege.start('roamer', siege.dial(tls, relay.address));
      const says = () => siege.notices.find((notice) => /^roamer: sent away/.test(notice));
      while (says() === undefined) await new Promise((resolve) => setImmediate(resolve));
      victim.stop();
      assert.ok(!relay.fromCoordinator.some(({ kind }) => kind === 'welcome'));
      const words = new RegExp(`address: expected ${siege.address}.*, got ${relay.address}`);
      return { told: says()!, words, lines: [new RegExp(`^login: ${words.source}`)] };
    } finally {
      await relay.close();
    }
  },
  'an upload and an evaluation that are said again': async (siege) => {
    const update = siege.frameOf('c-1', 'small-update');
    const evaluation = siege.frameOf('c-1', 'evaluation');
    const first = siege.said.find(({ client, frame }) => client === 'c-1' && frame.kind === 'small-update')!.frame;
    for (const name of ['c-1', 'c-2']) {
      for (const frame of [update, first, evaluation]) siege.streams.get(name)!.send(frame);
    }
    const by = async (name: string) => {
      const { session, service } = siege.sessions.get(name)!;
      const whole = async function* () {
        yield update.data;
      };
      return told(service.upload(session, update.signed, 0, whole()));
    };
    assert.equal(await by('c-1'), 'let in', 'a lab that has not heard says it again: it counts once');
    const words = /^permission-denied: update header: the signature is not by client "c-2"$/;
    const lines = [/^update header: the signature is not by/, /^evaluation: the signature is not by client "c-2"$/];
    return { told: await by('c-2'), words, lines };
  },
  "the model of another's run": async (siege) => {
    const { session, service } = await mallory(siege);
    const { modelSha256: sha256 } = JSON.parse((await siege.admin.getRun(siege.run)).report);
    const words = new RegExp(`run "${siege.run}" is not known here`);
    const download = service.download(session, { run: siege.run, sha256, offset: 0 });
    return { told: await told(download[Symbol.asyncIterator]().next()), words, lines: [words] };
  },
  'a viewer who starts a run, and one who stops this': async (siege) => {
    const { token, tls } = await siege.admin.addAccount({ name: 'ada', role: 'viewer' });
    const [certificate, ...authorities] = certificatesIn(tls);
    const viewer = connectAdmin(siege.address, token, {
      tls: () => ({ certificate, authorities, key: tls, serverName: OPERATOR_SERVER_NAME }),
    });
    const answers = [
      await told(viewer.startRun(toySpec(), encode(toyModel()))),
      await told(viewer.stopRun(siege.run, 'x')),
    ];
    assert.deepEqual(
      (await viewer.listRuns()).map(({ run }) => run),
      [siege.run],
    );
    viewer.close();
    const words = /St(art|op)Run: expected an account that is .*, got "ada", which is viewer$/;
    return { told: answers, words, lines: [/^StartRun: .*"ada"/, /^StopRun: .*"ada"/] };
  },
  'a length that no message may have': async (siege) => {
    const answers: string[] = [];
    const ways: [string | undefined, string, number][] = [
      [undefined, ENROL, 2 ** 32 - 1],
      ['c-1', CONTROL, 2 ** 32 - 1],
      ['c-1', `${PARTICIPANT}/UploadUpdate`, MAX_MESSAGE_BYTES + 1],
    ];
    for (const [client, path, bytes] of ways) {
      const stream = begin(await siege.raw(client), path, { [SESSION_KEY]: '0'.repeat(64) });
      const end = endOf(stream);
      stream.write(prefix(bytes));
      answers.push(await end);
    }
    const words = /^8: expected a message of at most \d+ bytes, got one of \d+/;
    return { told: answers, words, lines: [/at most 262144 bytes, got one of 4294967300/] };
  },
  'names that are paths': async (siege) => {
    const files = async () => (await readdir(siege.folder, { recursive: true })).sort();
    const { session } = await mallory(siege);
    const before = await files();
    const asLab = await siege.raw('mallory');
    const headers = { [SESSION_KEY]: toHex(session) };
    const answers: string[] = [];
    for (const run of PATHS) {
      const download = DownloadModelRequest.encode({ run, sha256: UNKNOWN.sha256, offset: 0n }).finish();
      answers.push(await call(asLab, `${PARTICIPANT}/DownloadModel`, download, headers));
      const value = { ...UNKNOWN, run, signature: new Uint8Array(64), offset: 0n, sizeBytes: 4n };
      const header = { ...value, weights: [1], metrics: [] };
      const upload = UploadUpdateRequest.encode({ part: { $case: 'header', value: header } }).finish();
      answers.push(await call(asLab, `${PARTICIPANT}/UploadUpdate`, upload, headers));
      answers.push(await told(siege.admin.stopRun(run, 'x')));
      answers.push(await told(siege.admin.createToken({ name: `x/${run}`, uses: 1, expiresMs: 1 })));
    }
    assert.deepEqual(await files(), before, 'nothing was made, moved or removed');
    const words = /^([357]|invalid-argument|not-found|permission-denied): .*(expected|not known|not by)/;
    return { told: answers, words, lines: [/^run: expected .*identity\.key/] };
  },
};

describe('an attack on a process, in the middle of a round', function () {
  this.timeout(120_000);
  let siege: Siege;
  beforeEach(async () => {
    siege = await Siege.open();
  });
  afterEach(() => siege.close());

  for (const [name, attack] of Object.entries(ATTACKS)) {
    it(`${name}: is told why, has its line, and changes nothing`, () =>
      siege.inMidRound(name, async () => {
        const { told: answers, words, lines } = await attack(siege);
        for (const answer of [answers].flat()) assert.match(answer, words);
        await siege.hasLines(...lines);
      }));
  }
});
