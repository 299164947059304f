/** The health port over real HTTP, and how many connections a process may take. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectionLimit, limitFor } from '../../server/descriptors.js';
import { serveHealth } from '../../server/health.js';
import { startCoordinator } from '../../server/main.js';
import { readinessOf } from '../../server/readiness.js';

const WELL = { reason: '', running: 2, paused: [], damaged: ['bad'] };

describe('the health port', () => {
  it('answers live, ready and why not, each as JSON with the status that a probe reads', async () => {
    let readiness: () => Promise<typeof WELL> = async () => WELL;
    const port = await serveHealth('0', () => readiness());
    const ask = async (path: string, method = 'GET') => {
      const response = await fetch(`http://${port.address}${path}`, { method });
      return [response.status, method === 'HEAD' ? null : await response.json()];
    };
    try {
      assert.match(port.address, /^127\.0\.0\.1:\d+$/);
      assert.deepEqual(await ask('/live'), [200, { live: true }]);
      assert.deepEqual(await ask('/ready'), [200, { ready: true, ...WELL }]);
      assert.deepEqual(await ask('/ready?verbose', 'HEAD'), [200, null]);
      readiness = async () => ({ ...WELL, reason: 'disk of /d: full' });
      assert.deepEqual(await ask('/ready'), [503, { ready: false, ...WELL, reason: 'disk of /d: full' }]);
      readiness = () => Promise.reject(new Error('a bug'));
      assert.deepEqual(await ask('/ready'), [503, { ready: false, reason: 'a bug' }]);
      assert.deepEqual(await ask('/live'), [200, { live: true }], 'which is no reason to be killed');
      assert.deepEqual(await ask('/'), [404, { reason: 'ask for /live, /ready or /metrics' }]);
      assert.deepEqual(await ask('/ready', 'POST'), [405, { reason: 'use GET' }]);
    } finally {
      await port.close();
    }
  });

  it('looks once for all who ask meanwhile', async () => {
    let looked = 0;
    let found = () => {};
    const port = await serveHealth('[::1]:0', async () => {
      looked++;
      await new Promise<void>((resolve) => {
        found = resolve;
      });
      return WELL;
    });
    try {
      const three = [1, 2, 3].map(() => fetch(`http://${port.address}/ready`));
      while ((await fetch(`http://${port.address}/live`)).status !== 200 || looked === 0);
      found();
      for (const one of three) assert.equal((await one).status, 200);
      assert.ok(looked <= 2, `${looked}`);
    } finally {
      await port.close();
    }
  });

  it('is refused where it cannot be, in words', async () => {
    for (const listen of ['', 'x', '1:2:3', 'localhost:1', '127.0.0.1:65536', '127.0.0.1:'])
      await assert.rejects(
        serveHealth(listen, async () => WELL),
        { code: 'invalid-argument', message: /^health-port: / },
      );
    const port = await serveHealth('127.0.0.1:0', async () => WELL);
    await assert.rejects(
      serveHealth(port.address, async () => WELL),
      {
        code: 'unavailable',
        message: /^health-port: listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
      },
    );
    await port.close();
  });

  it('of a coordinator is up from its start to its end, and says that it starts', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-health-'));
    const { reason } = await readinessOf(dataDir, {});
    assert.equal(reason, `starting: the runs of ${dataDir} are being read`);
    const coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent', healthPort: '0' });
    const url = `http://${coordinator.healthAddress}/ready`;
    assert.deepEqual(await (await fetch(url)).json(), { ready: true, reason: '', running: 0, paused: [], damaged: [] });
    await coordinator.stop();
    await assert.rejects(fetch(url));
    await rm(dataDir, { recursive: true });
  });
});

describe('the reserve of descriptors', () => {
  it('keeps 64 back, or half when there are few, and always takes one connection', () => {
    const cases = [
      [1_024, 40, 920],
      [168, 40, 64],
      [100, 40, 30],
      [100, 99, 1],
      [100, 140, 1],
      [Number.POSITIVE_INFINITY, 40, Number.POSITIVE_INFINITY],
    ];
    for (const [limit, others, connections] of cases) assert.equal(limitFor({ limit, others }), connections);
  });

  it('counts what this process has open', async () => {
    const before = await connectionLimit(0);
    assert.ok(before !== undefined && before > 0);
    assert.equal(await connectionLimit(5), before + 5, 'connections are not counted among the others');
  });
});
