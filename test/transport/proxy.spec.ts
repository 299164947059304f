/** A lab that gets out by an HTTP CONNECT proxy only: it joins, works and is told what the proxy says when that says no. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGrpc } from '../../client/grpc/participant.js';
import { proxyFor } from '../../client/grpc/proxy.js';
import { joinClient } from '../../client/join.js';
import { setAddress } from '../../client/set-address.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { openAdmin } from '../../simulations/open-admin.js';

describe('https_proxy and no_proxy', () => {
  const proxied = (host: string, no_proxy = '') =>
    proxyFor(host, { https_proxy: 'http://p.example.org', no_proxy }) !== undefined;

  it('name the proxy, with its port and who asks, in small letters or capitals', () => {
    const { proxyHost, ...expected } = { proxyHost: 'p.example.org', port: 80 };
    assert.deepEqual(proxyFor('h.example.org', { https_proxy: 'http://p.example.org' }), {
      host: proxyHost,
      ...expected,
    });
    assert.deepEqual(proxyFor('h.example.org', { HTTPS_PROXY: 'http://us%40er:pa%3Ass@[2001:db8::1]:3128' }), {
      ...{ host: '2001:db8::1', port: 3128 },
      credentials: 'us@er:pa:ss',
    });
    assert.equal(proxyFor('h.example.org', {}), undefined);
    assert.equal(proxyFor('h.example.org', { http_proxy: 'http://p.example.org' }), undefined);
  });

  it('except names and what ends in them, addresses and blocks of them, and always this machine', () => {
    for (const [host, list, isProxied] of [
      ['h.example.org', 'example.org', false],
      ['h.example.org', ' .EXAMPLE.org , other', false],
      ['h.example.org', '*.example.org', false],
      ['example.org', 'example.org', false],
      ['badexample.org', 'example.org', true],
      ['h.example.org', '*', false],
      ['h.example.org', ',', true],
      ['10.0.0.1', '10.0.0.1', false],
      ['10.0.0.1', '0.0.1', true],
      ['110.0.0.1', '10.0.0.1', true],
      ['10.1.2.3', '192.0.2.0/24,10.0.0.0/8', false],
      ['11.1.2.3', '10.0.0.0/8', true],
      ['10.1.2.3', '10.0.0.0/x', true],
      ['2001:db8::7', '2001:db8::/32', false],
      ['127.0.0.1', '', false],
      ['localhost', '', false],
      ['::1', '', false],
    ] as const) {
      assert.equal(proxied(host, list), isProxied, `${host} with no_proxy=${list}`);
    }
  });

  it('are refused where they are no proxy of HTTP, and their password is not told', () => {
    for (const https_proxy of ['socks5://user:secret@p:1', 'user:secret@p:1', 'http://']) {
      assert.throws(
        () => proxyFor('h.example.org', { https_proxy }),
        ({ code, message }) => code === 'invalid-argument' && /https_proxy/.test(message) && !/secret/.test(message),
      );
    }
  });
});

describe('a lab behind a proxy', () => {
  const HUB = 'hub.starling.test'; // no name server knows it: the proxy alone does
  let folder: string;
  let coordinator: CoordinatorProcess;
  let proxy: Server;
  let token: string;
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const saved = { ...process.env };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-proxy-'));
    const dataDir = join(folder, 'coordinator');
    coordinator = await startCoordinator({
      dataDir,
      listen: '127.0.0.1:0',
      publicAddresses: [HUB],
      logLevel: 'silent',
    });
    const admin = await openAdmin({ dataDir });
    token = await admin.createToken({ name: 'lab', uses: 9, expiresMs: 60_000 });
    admin.close();
    proxy = createServer();
    proxy.on('connect', ({ url = '', headers }, socket: Socket) => {
      asked.push(url);
      sockets.add(socket.on('error', () => {}));
      const expected = `Basic ${Buffer.from('lab:pass word').toString('base64')}`;
      const isKnown = headers['proxy-authorization'] === expected;
      if (!isKnown) return socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      if (!url.startsWith(`${HUB}:`)) return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      const onwards = connect(Number(url.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        onwards.pipe(socket).pipe(onwards);
      });
      sockets.add(onwards.on('error', () => {}));
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  });

  after(async () => {
    for (const socket of sockets) socket.destroy();
    proxy.close();
    await coordinator.stop();
    await rm(folder, { recursive: true, force: true });
  });

  afterEach(() => {
    for (const name of ['https_proxy', 'no_proxy']) delete process.env[name];
    Object.assign(process.env, saved);
    asked.length = 0;
  });

  const use = (who: string) => {
    process.env.https_proxy = `http://${who}127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    delete process.env.no_proxy;
  };
  const joined = () => joinClient({ token, clientsDir: join(folder, 'clients') });

  it('joins by it and calls the coordinator by it, whose name only the proxy knows', async () => {
    use('lab:pass%20word@');
    const { client, address } = await joined();
    assert.equal(address, coordinator.addresses[0]);
    await setAddress({ clientsDir: join(folder, 'clients'), name: client, address });
    assert.deepEqual(new Set(asked), new Set([address]));
    assert.ok(asked.length >= 3, 'the look at the authority, the join, the check');
  });

  it('is told that the proxy does not know it', async () => {
    use('lab:wrong@');
    await assert.rejects(
      joined(),
      /the proxy 127\.0\.0\.1:\d+ \(https_proxy\) does not connect to hub.*: 407 Proxy Auth/,
    );
  });

  it('is told that an IPv6 address does not go by a proxy', () => {
    use('');
    assert.throws(() => connectGrpc('[2001:db8::1]:1', { tls: () => ({ authorities: [] }) }), /https_proxy/);
  });

  it('goes directly where no_proxy says so', async () => {
    use('lab:pass%20word@');
    process.env.no_proxy = 'starling.test';
    await assert.rejects(joined(), /ENOTFOUND|EAI_AGAIN/);
    assert.deepEqual(asked, []);
  });
});
